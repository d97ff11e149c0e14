"""One who feeds many collections: whatever is wrong with one feeder, the others have their turn."""

import threading
import time
from typing import cast

import pytest
from histories import add
from indexes import FACE, new_store
from waiting import eventually

from facematch.errors import NotFound, Unavailable
from facematch.feeder import LEASE, Feeder
from facematch.generations import current
from facematch.memory_generations import MemoryGenerations
from worker import feeding
from worker.feeding import keep_feeding


class Ailing:
    """A feeder about which something is wrong, or that never comes to an end."""

    def __init__(self, error: Exception | None, seconds: float = 0.0) -> None:
        self.error, self.seconds, self.turns = error, seconds, 0

    def turn(self, stop: threading.Event, seconds: float) -> None:
        self.turns += 1
        time.sleep(self.seconds or seconds)
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize(
    ("ailing", "most", "more"),  # turns in two seconds, and in each one after those
    [
        (Ailing(Unavailable("index_unavailable"), 0.01), 1, 0),
        (Ailing(Unavailable("index_loading"), 0.01), 1, 0),
        (Ailing(RuntimeError("an error of ours"), 0.01), 1, 0),
        (Ailing(NotFound("unknown_collection"), 0.01), 100, 50),
        (Ailing(None), 100, 50),
    ],
)
def test_one_feeder_that_is_unwell_keeps_no_other_waiting(
    ailing: Ailing, most: int, more: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeding, "TURN_SECONDS", 0.05)
    monkeypatch.setattr(feeding, "_LEFT_SECONDS", 600.0)
    store, generations = new_store("a"), MemoryGenerations()
    feeders = [
        ("ailing", cast(Feeder, ailing)),
        ("none", None),
        ("well", Feeder(store, generations)),
    ]
    stop = threading.Event()
    began = time.monotonic()
    thread = threading.Thread(
        target=keep_feeding, args=(lambda: feeders, stop), kwargs={"seconds": 0.01}
    )
    thread.start()

    def fed() -> bool:
        places = current(generations.places())
        return bool(places) and places[-1].tail == store.collection().tail

    try:
        eventually(fed, "it is fed")
        for name in ("b", "c"):
            add(store, name, FACE)
            eventually(fed, "it is fed")
    finally:
        stop.set()
        thread.join(5)
    assert 1 <= ailing.turns <= most + more * max(0.0, time.monotonic() - began - 2)


def test_a_feeder_with_much_to_do_lets_the_next_one_have_its_turn() -> None:
    steps = []

    class Endless(Feeder):
        def step(self, stop: threading.Event) -> bool:
            steps.append(stop)
            time.sleep(0.02)
            return False

    store = new_store("a")
    began = time.monotonic()
    Endless(store, MemoryGenerations()).turn(threading.Event(), 0.1)
    assert time.monotonic() - began < 30
    assert len(steps) > 1
    assert store.lease(LEASE, "another", 10)
