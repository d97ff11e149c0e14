"""The frame of pairs: what goes in comes out, and anything else is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facematch import wire
from facematch.errors import Rejected
from facematch.log import Tail
from facematch.wire import MAX_ENCODINGS, Gathering, Pairs

TAIL = Tail(7, "ab" * 20)
FRAME = Pairs(np.array([2, 0]), np.array([256, 2**62]), TAIL).encode()


def same(one: Pairs, other: Pairs) -> bool:
    return (
        one.numbers.tolist() == other.numbers.tolist()
        and one.faces.tolist() == other.faces.tolist()
        and (one.tail, one.exact) == (other.tail, other.exact)
    )


@given(
    pairs=st.lists(st.tuples(st.integers(0, MAX_ENCODINGS - 1), st.integers(0, 2**63 - 1))),
    position=st.integers(0, 2**64 - 1),
    chain=st.binary(min_size=20, max_size=20),
    exact=st.booleans(),
)
def test_what_goes_in_comes_out(
    pairs: list[tuple[int, int]], position: int, chain: bytes, exact: bool
) -> None:
    numbers, faces = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    answer = Pairs(numbers, faces, Tail(position, chain.hex()), exact)
    decoded = Pairs.decode(answer.encode(), MAX_ENCODINGS)
    assert same(decoded, answer)
    assert decoded.numbers.dtype == decoded.faces.dtype == np.int64


@given(st.binary(max_size=100))
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="frame"):
        Pairs.decode(data, MAX_ENCODINGS)


@given(st.integers(0, len(FRAME) - 1), st.integers(0, 255))
def test_a_frame_with_one_byte_changed_is_a_frame_or_refused(place: int, byte: int) -> None:
    data = FRAME[:place] + bytes([byte]) + FRAME[place + 1 :]
    try:
        decoded = Pairs.decode(data, 3)
    except ValueError:
        return
    assert decoded.encode() == data
    assert (decoded.numbers < 3).all()
    assert (decoded.faces >= 0).all()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (FRAME[:39], "header"),
        (FRAME[:-1], "version 1"),
        (FRAME + b"\0", "version 1"),
        (b"FMR2" + FRAME[4:], "version 1"),
        (b"FMP2" + FRAME[4:], "different versions"),
        (FRAME[:8] + b"\2" + FRAME[9:], "version 1"),
        (FRAME[:40] + b"\xff" * 8 + FRAME[48:], "not asked for"),
        (FRAME[:-4] + b"\3" + FRAME[-3:], "not asked for"),
    ],
)
def test_what_is_wrong_with_a_frame_is_said(data: bytes, reason: str) -> None:
    assert same(Pairs.decode(FRAME, 3), Pairs(np.array([2, 0]), np.array([256, 2**62]), TAIL))
    with pytest.raises(ValueError, match=reason):
        Pairs.decode(data, 3)


def test_no_more_are_gathered_than_go_into_one_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MOST_PAIRS", 5)
    gathering = Gathering()
    for portion in ([0, 1], [], [2, 3, 4]):
        numbers = np.array(portion, dtype=np.int32)
        gathering.add(numbers, numbers * np.int64(2))
    pairs = gathering.pairs(TAIL, exact=False)
    assert same(pairs, Pairs(np.arange(5), np.arange(0, 10, 2), TAIL, exact=False))
    with pytest.raises(Rejected) as raised:
        gathering.add(np.zeros(1, dtype=np.int32), np.zeros(1, dtype=np.int64))
    assert raised.value.code == "answer_too_large"


def test_an_empty_answer_has_numbers_and_ids_of_the_right_kind() -> None:
    pairs = Gathering().pairs(TAIL)
    assert len(pairs.numbers) == len(pairs.faces) == 0
    assert pairs.numbers.dtype == pairs.faces.dtype == np.int64
