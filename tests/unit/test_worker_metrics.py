"""What a worker tells of its jobs."""

import time

import pytest
from worlds import World

from facematch.errors import Misconfigured, Unavailable
from facematch.memory_store import MemoryStore
from facematch.store import Job, State
from worker.in_hand import InHand
from worker.metrics import Metrics, Readiness, gauges_of
from worker.pipeline import Parts, process


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def world() -> World:
    return World(MemoryStore())


def parts_of(world: World, metrics: Metrics) -> Parts:
    parts = world.parts[0]
    return Parts(
        *(parts.store, parts.neighbours, parts.fetch, parts.looker, parts.model, 3, metrics.ended)
    )


def told(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.value(f"facematch_worker_{name}", **labels)


def test_a_job_that_is_done_counts_once_with_its_stages(world: World, metrics: Metrics) -> None:
    world.submit(0)
    for _ in range(3):  # delivered again, there is nothing left to do
        process(world.jobs[0], parts_of(world, metrics))
    assert told(metrics, "jobs_total", state="done", code="") == 1
    for stage in ("fetch", "commit", "query", "link", "finish"):
        assert told(metrics, "stage_seconds_count", stage=stage) == 1
    assert told(metrics, "job_seconds_count") == 1
    seconds = told(metrics, "job_seconds_sum")
    assert seconds is not None
    assert 0 < seconds < 60


def test_a_job_whose_image_is_there_already_counts_too(world: World, metrics: Metrics) -> None:
    world.submit(0)
    world.submit(0)
    for job in (*world.jobs, *world.jobs):
        process(job, parts_of(world, metrics))
    assert told(metrics, "jobs_total", state="done", code="") == 2
    assert told(metrics, "stage_seconds_count", stage="fetch") == 1


def test_how_long_a_job_took_counts_from_when_it_was_submitted(metrics: Metrics) -> None:
    metrics.ended(Job("a", State.DONE, "a", submitted=time.time() - 100), {})
    assert told(metrics, "job_seconds_bucket", le="60.0") == 0
    assert told(metrics, "job_seconds_bucket", le="300.0") == 1


def test_clocks_that_disagree_make_no_time_negative(metrics: Metrics) -> None:
    metrics.ended(Job("a", State.DONE, "a", submitted=time.time() + 100), {})
    assert told(metrics, "job_seconds_sum") == 0


def test_a_job_that_fails_counts_by_its_code_and_not_again(world: World, metrics: Metrics) -> None:
    world.submit(0)
    world.store._blobs[world.store.job(world.jobs[0]).image] = b"no picture"  # type: ignore[attr-defined]
    for _ in range(2):
        process(world.jobs[0], parts_of(world, metrics))
    text = metrics.registry.encode().decode()
    failed = [line for line in text.splitlines() if 'state="failed"' in line]
    assert len([line for line in failed if line.endswith(" 1.0") and "_total" in line]) == 1
    assert told(metrics, "job_seconds_count") == 0


def test_a_job_that_is_given_back_counts_by_its_code(metrics: Metrics) -> None:
    with pytest.raises(Unavailable), metrics.giving_back():
        raise Unavailable("index_loading")
    with metrics.giving_back():
        pass
    with pytest.raises(Misconfigured), metrics.giving_back():
        raise Misconfigured("another model")
    assert told(metrics, "given_back_total", code="index_loading") == 1
    assert "misconfigured" not in metrics.registry.encode().decode()


def test_a_worker_is_ready_when_all_was_there_that_it_needs(metrics: Metrics) -> None:
    answers: list[Exception | None] = [Unavailable("index_loading"), None, Misconfigured("no")]

    def check() -> None:
        if (answer := answers.pop(0)) is not None:
            raise answer

    ready, in_hand = Readiness(check), InHand(lambda jobs: None)
    metrics.registry.watch(lambda: gauges_of(lambda: in_hand.count, 4, ready))
    assert told(metrics, "ready") == 0
    with pytest.raises(Unavailable):
        ready()
    assert told(metrics, "ready") == 0
    ready()
    assert told(metrics, "ready") == 1
    with pytest.raises(Misconfigured):
        ready()
    assert told(metrics, "ready") == 0
    assert told(metrics, "hands") == 4


def test_a_job_counts_as_in_hand_once_however_often_it_was_delivered(metrics: Metrics) -> None:
    in_hand = InHand(lambda jobs: None)
    metrics.registry.watch(lambda: gauges_of(lambda: in_hand.count, 4, Readiness(lambda: None)))
    with in_hand.having("a"), in_hand.having("a"), in_hand.having("b"):
        assert told(metrics, "in_hand") == 2
    assert told(metrics, "in_hand") == 0
