"""What a worker says of the time that each stage of a job took."""

import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted import PLANTED, PlantedEncoder, people
from structlog.testing import capture_logs
from worlds import HASHES, PICTURES, World

from facematch.errors import Rejected
from facematch.memory_store import MemoryStore
from facematch.store import NewJob
from worker.fetch import FetchLimits
from worker.frames import ChildSettings
from worker.looking import PictureLimits
from worker.pipeline import Parts, process
from worker.sandbox import Sandbox, SandboxedLooker
from worker.stages import begin, stage, took

ROOT = Path(__file__).parents[2]
LIMITS = PictureLimits(max_pixels=10**6, max_side=0, max_faces=100)


class Deliberate(PlantedEncoder):
    """Takes its time over every batch."""

    def encode(self, crops: np.ndarray) -> np.ndarray:
        time.sleep(0.05)
        return super().encode(crops)


@pytest.fixture(scope="module")
def looker() -> Iterator[SandboxedLooker]:
    settings = ChildSettings(
        PLANTED, "hog", LIMITS, FetchLimits(1, 1.0, 0), memory=10**9, cpu_seconds=10
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'tests'}")
        with Sandbox(settings, lookers=1, fetchers=1) as sandbox:
            yield SandboxedLooker(sandbox, Deliberate())


def told(looker: SandboxedLooker, url: str = "") -> dict[str, Any]:
    """What the worker logs of a job with a picture of two people."""
    world = World(MemoryStore())
    store, index = world.store, world.indexes[0]

    def fetch(address: str) -> bytes:
        time.sleep(0.02)
        if address == "http://gone":
            raise Rejected("http_status")
        return PICTURES[4]

    job = secrets.token_hex(8)
    given = ("", b"") if url else (HASHES[4], PICTURES[4])
    store.accept(NewJob(job, "name", url, *given), 10**9)
    with capture_logs() as logged:
        process(job, Parts(store, index, fetch, looker, PlantedEncoder.model, 3))
    (line,) = (line for line in logged if line["event"] == "job")
    return dict(line)


def test_every_stage_of_a_job_is_told(looker: SandboxedLooker) -> None:
    start = time.perf_counter()
    line = told(looker, "http://here")
    taken = time.perf_counter() - start
    seconds = line["seconds"]
    assert line["state"] == "done"
    stages = {"fetch", "decode", "detect", "encode", "commit", "query", "link"}
    assert seconds.keys() == stages | {"finish"}
    assert min(seconds.values()) > 0
    assert sum(seconds[name] for name in stages) < taken
    assert seconds["fetch"] > 0.02
    assert seconds["encode"] > 0.05
    assert seconds["finish"] > seconds["query"] + seconds["link"]


def test_a_job_that_fails_tells_as_far_as_it_came(looker: SandboxedLooker) -> None:
    line = told(looker, "http://gone")
    assert (line["state"], line["code"]) == ("failed", "http_status")
    assert line["seconds"].keys() == {"fetch"}


def test_two_jobs_in_one_batch_share_its_time_by_their_faces(looker: SandboxedLooker) -> None:
    seconds: dict[int, dict[str, float]] = {}
    batcher = looker._batcher
    rows = people(np.random.default_rng(1), 4)

    def encode(faces: int) -> None:
        seconds[faces] = begin()
        batcher.encode(rows[:faces])

    threads = [threading.Thread(target=encode, args=(faces,)) for faces in (1, 3)]
    with batcher._turn:
        for thread in threads:
            thread.start()
        while len(batcher._waiting) < 2:
            time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert seconds[3]["encode"] == pytest.approx(3 * seconds[1]["encode"], abs=1e-5)
    assert sum(each["encode"] for each in seconds.values()) > 0.05


def test_what_is_done_again_is_added_and_another_job_begins_anew() -> None:
    first = begin()
    took("query", 1.0)
    took("query", 0.5)
    with pytest.raises(ZeroDivisionError), stage("link"):
        _ = 1 / 0
    assert first["query"] == 1.5
    assert first["link"] >= 0
    second = begin()
    took("query", 2.0)
    assert (first["query"], second) == (1.5, {"query": 2.0})


def test_where_no_job_was_begun_nothing_is_kept() -> None:
    kept: list[Exception] = []

    def work() -> None:
        try:
            took("query", 1.0)
        except Exception as error:
            kept.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert kept == []
