"""A worker's part in a reindex: it works on ranges beside its jobs, and rests as it shall."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from histories import MODEL, Switch, add, running
from waiting import eventually

from facematch.broker import MemoryBroker
from facematch.errors import NotFound, Unavailable
from facematch.job import RangeMessage
from facematch.memory_reindexing import MemoryReindexing
from facematch.memory_store import MemoryStore
from facematch.neighbours import ExactNeighbours
from facematch.reindexing import Phase, Range
from worker import rebuilding
from worker.ranges import RangeParts
from worker.rebuilding import keep_rebuilding, rest
from worker.rounds import only


@pytest.fixture
def parts() -> RangeParts:
    store = MemoryStore()
    store.create(MODEL, 0.6)
    for number in range(6):
        add(store, str(number), np.full((1, 128), number / 100, dtype=np.float32))
    return RangeParts(store, MemoryReindexing(store), ExactNeighbours(store))


def test_ranges_are_published_and_built_and_what_was_given_up_is_forgotten(
    parts: RangeParts,
) -> None:
    broker = MemoryBroker()
    store = parts.store
    assert isinstance(store, MemoryStore)

    def run(stop: threading.Event) -> None:
        of, forget = (lambda name: parts), (lambda one: one.reindexing.drop_some())
        keep_rebuilding(of, only(parts), broker, forget, seconds=0.02, age=1, stop=stop)

    with running(run):
        made = parts.reindexing.begin(0.5, span=2)
        eventually(lambda: _phase(parts) is Phase.BUILT, "it is built")
        assert store.linked([2], made.generation)[2]
        parts.reindexing.cancel(made.id)
        eventually(lambda: made.generation not in store._links, "its match sets are gone")


def test_each_collection_has_its_ranges_built_and_one_that_is_gone_keeps_no_other_waiting(
    parts: RangeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = MemoryStore()
    other.create(MODEL, 0.6)
    for number in range(4):
        add(other, str(number), np.full((1, 128), number / 100, dtype=np.float32))
    its_own = RangeParts(other, MemoryReindexing(other), ExactNeighbours(other), collection="b")
    gone = replace(its_own, reindexing=Switch(MemoryReindexing(MemoryStore())), collection="a")

    def erased() -> None:
        raise NotFound("unknown_collection")

    gone.reindexing.before["current"] = erased  # type: ignore[attr-defined]
    there = {"default": parts, "a": gone, "b": its_own}
    broker = MemoryBroker()
    broker.publish(RangeMessage("r", 1, "a"))

    def run(stop: threading.Event) -> None:
        forget = lambda one: one.reindexing.drop_some()  # noqa: E731
        keep_rebuilding(
            there.__getitem__, there.values, broker, forget, seconds=0.02, age=1, stop=stop
        )

    made = its_own.reindexing.begin(0.5, span=2), parts.reindexing.begin(0.5, span=2)
    with running(run):
        eventually(lambda: {_phase(parts), _phase(its_own)} == {Phase.BUILT}, "both are built")
    assert other.linked([2], made[0].generation)[2]
    assert isinstance(parts.store, MemoryStore)
    assert parts.store.linked([6], made[1].generation)[6]


def test_an_index_that_is_away_and_an_error_of_ours_do_not_end_it(
    parts: RangeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "_PAUSE_SECONDS", 0.01)
    broken = Switch(parts.reindexing)
    failures = [RuntimeError("a bug"), Unavailable("index_loading")]

    def fail() -> None:
        if failures:
            broken.before["current"] = fail
            raise failures.pop()

    broken.before["current"] = fail
    failing = replace(parts, reindexing=broken)

    def run(stop: threading.Event) -> None:
        keep_rebuilding(
            lambda name: failing,
            only(failing),
            MemoryBroker(),
            lambda one: parts.reindexing.drop_some(),
            seconds=0.02,
            age=1,
            stop=stop,
        )

    with running(run):
        parts.reindexing.begin(0.5, span=2)
        eventually(lambda: _phase(parts) is Phase.BUILT, "it is built")
    assert not failures


def _phase(parts: RangeParts) -> Phase | None:
    found = parts.reindexing.current()
    return found.phase if found else None


def test_a_worker_rests_as_its_share_wants_it(parts: RangeParts) -> None:
    made = parts.reindexing.begin(0.5, share=0.5)
    done = Range(made.id, 0.5, 1, 6, 0.5)
    begun = time.monotonic()
    rest(done, parts, 0.2, threading.Event())
    assert time.monotonic() - begun >= 0.2
    begun = time.monotonic()
    rest(replace(done, share=1.0), parts, 100.0, threading.Event())
    assert time.monotonic() - begun < 50


@pytest.mark.parametrize("how", ["another share", "paused", "cancelled", "stopped"])
def test_a_rest_ends_when_it_is_not_wanted_any_more(
    parts: RangeParts, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(rebuilding, "_PAUSE_SECONDS", 0.01)
    made, stop = parts.reindexing.begin(0.5, share=0.01), threading.Event()
    thread = threading.Thread(target=rest, args=(Range(made.id, 0.5, 1, 6, 0.01), parts, 60, stop))
    thread.start()
    if how == "another share":
        parts.reindexing.resume(made.id, 1.0)
    elif how == "paused":
        parts.reindexing.pause(made.id)
    elif how == "cancelled":
        parts.reindexing.cancel(made.id)
    else:
        stop.set()
    thread.join(20)
    assert not thread.is_alive()
