"""What is said to a child comes out as it went in; what a child says is checked."""

import json
import re
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facematch.errors import CODES, REFUSALS
from facematch.faces import Box
from worker.fetch import FetchLimits
from worker.frames import (
    Broken,
    ChildSettings,
    Exhausted,
    Fetch,
    Fetched,
    Fork,
    Look,
    Outcome,
    Refused,
    Request,
    Task,
    Wait,
    decode_outcome,
    decode_request,
    decode_task,
    encode_outcome,
    encode_request,
    encode_task,
)
from worker.looking import PictureLimits, Seen
from worker.thumbnail import MOST_BYTES, thumbnail

BOXES = [Box(1, 2, 3, 0), Box(5, 2**30, 7, 4)]
CHIPS = np.random.default_rng(0).integers(0, 256, (2, 150, 150, 3), np.uint8)
ENCODINGS = np.random.default_rng(0).normal(size=(2, 128)).astype(np.float32)


@pytest.mark.parametrize("task", [Fetch("https://ü.example/ä?b#c"), Look(b""), Look(bytes(9000))])
def test_tasks_come_out_as_they_went_in(task: Task) -> None:
    assert decode_task(encode_task(task)) == task


@pytest.mark.parametrize("request_", [Fork(), Wait(1), Wait(2**22)])
def test_requests_come_out_as_they_went_in(request_: Request) -> None:
    assert decode_request(encode_request(request_)) == request_


@pytest.mark.parametrize(
    "outcome",
    [Fetched(b"\0\xff"), Refused("bad_image", "why"), Exhausted(), Broken("KeyError in f")],
)
def test_outcomes_come_out_as_they_went_in(outcome: Outcome) -> None:
    assert decode_outcome(encode_outcome(outcome)) == outcome


@pytest.mark.parametrize("crops", [CHIPS, ENCODINGS, CHIPS[:, ::2]], ids=["chips", "rows", "view"])
def test_what_was_seen_comes_out_as_it_went_in(crops: np.ndarray) -> None:
    seen = decode_outcome(encode_outcome(Seen(640, 480, BOXES, 5, crops, 0.25, 1.5)))
    assert isinstance(seen, Seen)
    assert (seen.decoding, seen.finding) == (0.25, 1.5)
    assert (seen.width, seen.height, seen.boxes, seen.total) == (640, 480, BOXES, 5)
    assert seen.crops.dtype == crops.dtype
    assert (seen.crops == crops).all()


def test_a_thumbnail_comes_out_as_it_went_in_and_nothing_else_does() -> None:
    small = thumbnail(np.zeros((900, 1200, 3), dtype=np.uint8))
    seen = Seen(640, 480, BOXES, 5, CHIPS, 0.25, 1.5, small)
    out = decode_outcome(encode_outcome(seen))
    assert isinstance(out, Seen)
    assert out.thumbnail == small
    assert (out.crops == CHIPS).all()
    for wrong in (b"<svg onload=alert(1)>", small[:3] + bytes(MOST_BYTES)):
        with pytest.raises(ValueError, match="thumbnail"):
            decode_outcome(encode_outcome(replace(seen, thumbnail=wrong)))


def test_settings_come_out_as_they_went_in() -> None:
    fetch = FetchLimits(1, 2.5, 3, frozenset({("a.example", 80), ("10.0.0.1", 8080)}))
    settings = ChildSettings("onnx", "hog", PictureLimits(1, 2, 3), fetch, 4, 5)
    assert ChildSettings.decode(settings.encode()) == settings


def seen_with(**changed: object) -> bytes:
    head = {
        "outcome": "seen",
        "width": 10,
        "height": 10,
        "boxes": [[0, 1, 1, 0]],
        "total": 1,
        "shape": [1, 4],
        "dtype": "|u1",
        "seconds": [0.5, 0.0],
    }
    text = json.dumps(head | changed).encode()
    return struct.pack("<I", len(text)) + text + bytes(4)


def test_the_frame_that_is_changed_below_is_a_good_one() -> None:
    assert isinstance(decode_outcome(seen_with()), Seen)


@pytest.mark.parametrize(
    "changed",
    [
        {"outcome": "nothing"},
        {"outcome": "refused"},
        {"outcome": "refused", "code": "a code of its own", "detail": ""},
        {"outcome": "broken"},
        {"outcome": ["seen"]},
        {"width": -1},
        {"width": 2**40},
        {"width": "10"},
        {"width": 1.5},
        {"height": None},
        {"total": [1]},
        {"boxes": [[0, 1, 1]]},
        {"boxes": [[0, 1, 1, -3]]},
        {"boxes": 7},
        {"boxes": []},
        {"boxes": [[0, 1, 1, 0]] * 300, "shape": [300, 0]},
        {"shape": [1, 5]},
        {"shape": [1, -1]},
        {"shape": []},
        {"shape": None},
        {"dtype": "|O"},
        {"dtype": "<f8"},
        {"dtype": 1},
        {"seconds": None},
        {"seconds": [1.0]},
        {"seconds": [1.0, -1.0]},
        {"seconds": [1.0, float("nan")]},
        {"seconds": [1.0, float("inf")]},
        {"seconds": [1.0, "1"]},
    ],
    ids=str,
)
def test_what_no_child_of_ours_says_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  of several kinds
        decode_outcome(seen_with(**changed))


@given(st.binary(max_size=300))
def test_bytes_are_an_outcome_or_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  of several kinds
        decode_outcome(data)


def test_what_a_child_may_refuse_with_is_what_decoding_and_fetching_say() -> None:
    worker = Path(__file__).parents[2] / "worker"
    said = {
        code
        for name in ("costly", "decode", "fetch", "outbound")
        for code in re.findall(
            r'(?:Rejected|_MayPass)\)?\("([a-z_]+)"', (worker / f"{name}.py").read_text()
        )
    }
    assert said == REFUSALS
    assert CODES.keys() >= REFUSALS
