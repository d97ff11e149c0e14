"""The protocol step by step: two workers crossed with an erasure, a crash or a lost tail."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

import interleaving
import pytest
from worlds import HASHES, World

from facematch.errors import Unavailable
from facematch.memory_store import MemoryStore
from facematch.neighbours import Candidates, Query
from facematch.store import State
from worker.pipeline import process

#: More than a job has failpoints.
ALL_STEPS = 9
#: Steps that take a job to just behind its commit, and to just behind its query.
COMMITTED, QUERIED = 4, 5


@pytest.fixture(autouse=True)
def _stepped() -> Iterator[None]:
    interleaving.install()
    yield
    interleaving.remove()


@pytest.fixture
def world() -> World:
    return World(MemoryStore())


def begin(world: World, picture: int, steps: int, index: int = 0) -> interleaving.SteppedWorker:
    """Submit a picture and let a worker take its job `steps` steps far."""
    world.submit(picture)
    return deliver(world, world.jobs[-1], steps, index)


def deliver(world: World, job: str, steps: int, index: int = 0) -> interleaving.SteppedWorker:
    parts = world.parts[index]
    worker = interleaving.SteppedWorker(lambda: process(job, parts))
    world.workers.append(worker)
    for _ in range(steps):
        if worker.alive:
            worker.step()
    return worker


def erase(world: World, worker: interleaving.SteppedWorker) -> None:
    del worker
    world.live.discard(0)
    erased = world.store.erase(HASHES[0])
    while erased.position and not world.store.unlink(erased.position):
        pass


def crash(world: World, worker: interleaving.SteppedWorker) -> None:
    del world
    if worker.alive:
        worker.crash()


def deliver_again(world: World, worker: interleaving.SteppedWorker) -> None:
    del worker
    deliver(world, world.jobs[0], ALL_STEPS, index=1)


@pytest.mark.parametrize("event", [erase, crash, deliver_again])
@pytest.mark.parametrize("first_goes_on_first", [True, False])
def test_two_workers_and_an_event_between_any_of_their_steps(
    event: Callable[[World, interleaving.SteppedWorker], None], first_goes_on_first: bool
) -> None:
    for steps in itertools.product(range(ALL_STEPS), repeat=2):
        world = World(MemoryStore())
        first = begin(world, 0, steps[0])
        second = begin(world, 1, steps[1], index=1)
        event(world, first)
        for worker in (first, second) if first_goes_on_first else (second, first):
            worker.finish()
        world.settle()
        world.check()


@pytest.mark.parametrize("frozen_at", range(6))
def test_an_index_frozen_at_any_position_gives_the_same_matches(
    world: World, frozen_at: int
) -> None:
    world.indexes[0].limit = frozen_at
    for picture in range(5):
        begin(world, picture, ALL_STEPS)
    world.erase(0)
    begin(world, 0, ALL_STEPS)
    assert all(not worker.alive for worker in world.workers)
    world.settle()
    world.check()


def test_an_erasure_that_the_store_forgot_while_a_query_was_under_way(world: World) -> None:
    begin(world, 0, ALL_STEPS)
    second = begin(world, 1, COMMITTED)
    world.remember(0)
    erase(world, second)
    second.step()  # its query sees the erasure
    world.lose_the_tail(0)
    second.finish()
    world.settle()
    world.check()


def test_an_index_of_a_lost_future_is_not_believed(world: World) -> None:
    begin(world, 0, ALL_STEPS)
    begin(world, 3, ALL_STEPS)
    world.remember(0)
    erase(world, world.workers[0])
    begin(world, 2, ALL_STEPS)  # its query takes the index past the erasure
    world.indexes[0].limit = 0  # and there it stays
    world.lose_the_tail(0)
    for picture in (4, 1):
        begin(world, picture, COMMITTED, index=1)
    third = begin(world, 2, ALL_STEPS)
    assert isinstance(third.error, Unavailable)
    assert third.error.code == "index_diverged"
    assert world.store.image(HASHES[2]).state is State.INDEXED
    world.settle()
    world.check()


def test_an_index_ahead_of_a_store_that_lost_its_tail_is_not_believed(world: World) -> None:
    begin(world, 0, ALL_STEPS)
    world.remember(0)
    for picture in (3, 2, 4):
        begin(world, picture, ALL_STEPS)
    world.indexes[0].limit = 0
    world.lose_the_tail(0)
    second = begin(world, 1, ALL_STEPS)
    assert isinstance(second.error, Unavailable)
    world.settle()
    world.check()


def test_an_image_that_the_store_forgot_and_took_in_again_at_the_same_place(world: World) -> None:
    begin(world, 3, ALL_STEPS)
    world.submit(0)
    world.remember(0)
    first = deliver(world, world.jobs[-1], COMMITTED)
    first_place = world.store.image(HASHES[0])
    world.lose_the_tail(0)
    second = deliver(world, world.jobs[-1], COMMITTED, index=1)
    assert world.store.image(HASHES[0]) == first_place
    begin(world, 1, ALL_STEPS)
    for worker in (first, second):
        worker.finish()
    world.settle()
    world.check()


def test_a_query_of_a_log_that_no_longer_reaches_the_image_counts_for_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.submit(0)
    world.remember(0)
    begin(world, 3, ALL_STEPS)
    within = world.indexes[0].within

    def forgetting(query: Query) -> Candidates:
        world.lose_the_tail(0)
        return within(query)

    with monkeypatch.context() as patch:
        patch.setattr(world.indexes[0], "within", forgetting)
        first = deliver(world, world.jobs[0], QUERIED)  # at position 2, of a log that is empty now
    begin(world, 1, ALL_STEPS, index=1)
    deliver(world, world.jobs[0], COMMITTED, index=1)  # at position 2 again
    first.finish()
    world.settle()
    world.check()


def test_copies_of_a_message_do_not_use_up_the_attempts_of_a_job_in_hand(world: World) -> None:
    world.parts = [replace(parts, max_attempts=2) for parts in world.parts]
    first = begin(world, 0, 2)
    for _ in range(5):
        deliver(world, world.jobs[0], 2, index=1)
    first.finish()
    assert world.store.job(world.jobs[0]).state is State.DONE
    for worker in world.workers:
        worker.finish()
    world.check()


def test_an_error_after_the_commit_is_the_sweepers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(world.indexes[0], "within", lambda query: 1 / 0)
        worker = begin(world, 0, ALL_STEPS)
        assert worker.error is None
    assert world.store.image(HASHES[0]).state is State.INDEXED
    world.settle()
    world.check()


def test_a_worker_passes_on_that_an_answer_may_lack_faces(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(world, 0, ALL_STEPS)
    assert world.store.matches(HASHES[0], 10).exact
    within = world.indexes[0].within
    with monkeypatch.context() as patch:
        patch.setattr(world.indexes[0], "within", lambda query: replace(within(query), exact=False))
        begin(world, 1, ALL_STEPS)
    for picture in (0, 1):
        page = world.store.matches(HASHES[picture], 10)
        assert (page.complete_through, page.exact) == (2, False)
    world.check()
