"""Pictures that take down who looks at them: attempts are counted, then the job has its code."""

import secrets
from collections.abc import Sequence

import pytest
from planted import PlantedEncoder
from worlds import HASHES, PICTURES, World

from facematch.errors import Rejected, Unavailable
from facematch.memory_store import MemoryStore
from facematch.store import Commit, Committed, Job, NewJob, State
from worker import pipeline
from worker.looking import Crashed, Looked
from worker.pipeline import Parts, process

MAX_ATTEMPTS = 3
FINE = Looked(8, 6, (), 0)


class Looker:
    """Raises, or answers, as it is told, the last thing for ever."""

    def __init__(self, *outcomes: Exception | Looked) -> None:
        self.outcomes = list(outcomes)

    def look(self, data: bytes) -> Looked:
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@pytest.fixture
def world() -> World:
    return World(MemoryStore())


def parts(world: World, outcomes: Sequence[Exception | Looked], url: bool = False) -> Parts:
    looker = Looker(*outcomes)

    def fetch(address: str) -> bytes:
        looker.look(b"")
        return PICTURES[0]

    store, index = world.store, world.indexes[0]
    model = PlantedEncoder.model
    return Parts(store, index, fetch, Looker(FINE) if url else looker, model, MAX_ATTEMPTS)


def submitted(world: World, url: str = "") -> str:
    job = secrets.token_hex(8)
    image, data = ("", b"") if url else (HASHES[0], PICTURES[0])
    world.store.accept(NewJob(job, "0.png", url, image, data), 10**9)
    return job


def worked_at(job: str, parts: Parts) -> list[Job | str]:
    """What came of each attempt: the code of what it raised, or the job."""
    results: list[Job | str] = []
    for _ in range(MAX_ATTEMPTS):
        try:
            results.append(process(job, parts))
            break
        except Unavailable as error:
            results.append(error.code)
    return results


@pytest.mark.parametrize("code", ["decoder_crashed", "timed_out", "out_of_memory"])
@pytest.mark.parametrize("url", ["", "http://pictures.example/a.jpg"])
def test_a_job_fails_with_the_code_of_the_crash_after_its_attempts(
    world: World, code: str, url: str
) -> None:
    job = submitted(world, url)
    *before, last = worked_at(job, parts(world, [Crashed(code)], bool(url)))
    assert before == [code] * (MAX_ATTEMPTS - 1)
    assert isinstance(last, Job)
    assert (last.state, last.code, last.attempts) == (State.FAILED, code, MAX_ATTEMPTS)
    if not url:
        assert world.store.image(HASHES[0]).code == code


@pytest.mark.parametrize("url", ["", "http://pictures.example/a.jpg"])
def test_a_picture_that_crashes_once_may_still_be_done(world: World, url: str) -> None:
    job = submitted(world, url)
    first, last = worked_at(job, parts(world, [Crashed("timed_out"), FINE], bool(url)))
    assert first == "timed_out"
    assert isinstance(last, Job)
    assert last.state is State.DONE


def test_a_sandbox_that_is_away_is_no_fault_of_the_picture(world: World) -> None:
    job = submitted(world)
    away = Unavailable("sandbox_unavailable")
    assert worked_at(job, parts(world, [away])) == ["sandbox_unavailable"] * MAX_ATTEMPTS
    assert world.store.job(job).state is State.ACCEPTED


def test_a_store_that_is_full_is_no_fault_of_the_picture(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, commit = submitted(world), world.store.commit

    def full(_: Commit) -> Committed:
        raise Unavailable("store_unavailable", "OOM")

    monkeypatch.setattr(world.store, "commit", full)
    for _ in range(2):
        assert worked_at(job, parts(world, [FINE])) == ["store_unavailable"] * MAX_ATTEMPTS
    monkeypatch.setattr(world.store, "commit", commit)
    (last,) = worked_at(job, parts(world, [FINE]))
    assert isinstance(last, Job)
    assert (last.state, last.attempts) == (State.DONE, 1)


def test_a_store_that_is_away_is_waited_for_before_a_job_is_let_go(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, give_back, away = submitted(world), world.store.give_back, iter([True, True])

    def fail(*_: object) -> None:
        raise Unavailable("store_unavailable")

    def back_after_a_while(job: str) -> None:
        if next(away, False):
            fail()
        give_back(job)

    monkeypatch.setattr(pipeline, "_AWAY_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(world.store, "commit", fail)
    monkeypatch.setattr(world.store, "give_back", back_after_a_while)
    assert worked_at(job, parts(world, [FINE]))[0] == "store_unavailable"
    assert world.store.job(job).attempts == 0


def test_what_can_never_be_processed_fails_at_once(world: World) -> None:
    job = submitted(world)
    (last,) = worked_at(job, parts(world, [Rejected("bad_image")]))
    assert isinstance(last, Job)
    assert (last.state, last.code, last.attempts) == (State.FAILED, "bad_image", 1)


def test_bytes_that_failed_may_be_submitted_again(world: World) -> None:
    worked_at(submitted(world), parts(world, [Crashed("timed_out")]))
    (last,) = worked_at(submitted(world), parts(world, [FINE]))
    assert isinstance(last, Job)
    assert last.state is State.DONE
