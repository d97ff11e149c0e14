"""Waiting: woken by events and not by looking again and again; places; a store that goes away."""

import threading
import time
from collections.abc import Iterator

import pytest
from api_parts import later
from waiting import eventually

from api.waiting import Awaited, Waiting
from facematch.errors import Unavailable
from facematch.memory_store import MemoryStore


class ToldStore(MemoryStore):
    """Tells what a test says, and goes away when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.away = threading.Event()
        self.connections = 0
        self.refused = 0

    def listen(self, timeout: float) -> Iterator[str | None]:
        if self.away.is_set():
            self.refused += 1
            raise Unavailable("store_unavailable")
        self.connections += 1
        for event in super().listen(0.02):
            if self.away.is_set():
                raise Unavailable("store_unavailable")
            yield event

    def tell(self, event: str) -> None:
        self._tell(event)


class Value:
    """What is waited for: a value, changed after so and so many reads."""

    def __init__(self, *events: str) -> None:
        self.events = list(events)
        self.reads = 0

    def read(self) -> Awaited[str]:
        self.reads += 1
        return Awaited(self.events[0], (self.events[0],)) if self.events else Awaited("final")


@pytest.fixture
def store() -> ToldStore:
    return ToldStore()


@pytest.fixture
def waiting(store: ToldStore) -> Iterator[Waiting]:
    waiting = Waiting(store, places=2)
    # When it begins to listen it wakes everybody, which must not be in the middle of a test.
    woken = threading.Event()
    waiting._register({"the first"}, woken)
    waiting.start()
    assert woken.wait(20)
    waiting._unregister({"the first"}, woken)
    yield waiting
    waiting.stop()


def test_what_is_final_is_answered_at_once(waiting: Waiting) -> None:
    value = Value()
    assert waiting.until(value.read, 10) == "final"
    assert value.reads == 1


def test_a_waiting_request_is_woken_by_its_event_and_reads_no_oftener(
    store: ToldStore, waiting: Waiting
) -> None:
    value = Value("job:1")

    def change() -> None:
        eventually(lambda: value.reads == 2)
        value.events.clear()
        store.tell("job:1")

    before = time.monotonic()
    later(change, 0.5)
    assert waiting.until(value.read, 20) == "final"
    assert 0.4 < time.monotonic() - before < 10
    # Once before it waits, once when it is registered, once when it is woken.
    assert value.reads == 3


def test_an_event_of_somebody_else_wakes_nobody(store: ToldStore, waiting: Waiting) -> None:
    value = Value("job:1")
    for _ in range(20):
        later(lambda: store.tell("job:2"), 0.1)
    assert waiting.until(value.read, 0.4) == "job:1"
    # The last time when its time is up.
    assert value.reads == 3


def test_a_change_between_the_first_read_and_the_wait_is_not_missed(waiting: Waiting) -> None:
    value = Value("job:1")

    def read() -> Awaited[str]:
        found = value.read()
        value.events.clear()  # the change comes right after the read, and its event is lost
        return found

    before = time.monotonic()
    assert waiting.until(read, 20) == "final"
    assert time.monotonic() - before < 10


def test_a_wait_goes_on_with_the_next_event(store: ToldStore, waiting: Waiting) -> None:
    value = Value("job:1", "image:a")

    def advance(reads: int) -> None:
        eventually(lambda: value.reads == reads)
        store.tell(value.events.pop(0))

    later(lambda: advance(2))
    later(lambda: advance(4))
    assert waiting.until(value.read, 20) == "final"
    assert value.reads == 5


def test_of_several_events_each_wakes_and_what_is_known_is_not_read(
    store: ToldStore, waiting: Waiting
) -> None:
    value = Value("job:1", "image:a")
    both = ("job:1", "image:a")

    def advance(reads: int) -> None:
        eventually(lambda: value.reads == reads)
        store.tell(value.events.pop(0))

    def read() -> Awaited[str]:
        found = value.read()
        return Awaited(found.value, both if found.events else ())

    later(lambda: advance(1))
    later(lambda: advance(2))
    assert waiting.until(read, 20, known=Awaited("job:1", both)) == "final"
    # Once when they are registered, and once for each event.
    assert value.reads == 3


def test_a_lost_event_costs_time_and_not_the_result(waiting: Waiting) -> None:
    value = Value("job:1")

    def change() -> None:
        eventually(lambda: value.reads == 2)
        value.events.clear()

    before = time.monotonic()
    later(change)
    assert waiting.until(value.read, 3) == "final"
    assert time.monotonic() - before > 2.99


def test_a_wait_ends_in_time(waiting: Waiting) -> None:
    before = time.monotonic()
    assert waiting.until(Value("job:1").read, 0.3) == "job:1"
    assert 0.29 < time.monotonic() - before < 10


def test_without_a_place_nobody_waits_and_places_are_given_back(
    store: ToldStore, waiting: Waiting
) -> None:
    ended = Value("job:1")

    def wait() -> None:
        waiting.until(ended.read, 60)

    threads = [threading.Thread(target=wait) for _ in range(2)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(waiting._waiters.get("job:1", ())) == 2)
    before = time.monotonic()
    assert waiting.until(Value("job:1").read, 20) == "job:1"
    assert time.monotonic() - before < 10
    ended.events.clear()
    store.tell("job:1")
    for thread in threads:
        thread.join(10)
    before = time.monotonic()
    waiting.until(Value("job:1").read, 0.3)
    assert time.monotonic() - before > 0.29
    assert not waiting._waiters


def test_an_error_of_a_read_comes_through_and_frees_the_place(waiting: Waiting) -> None:
    reads = iter([Awaited("a", ("job:1",))])

    def read() -> Awaited[str]:
        try:
            return next(reads)
        except StopIteration:
            raise Unavailable("store_unavailable") from None

    with pytest.raises(Unavailable):
        waiting.until(read, 20)
    assert not waiting._waiters


def test_a_store_that_goes_away_makes_everybody_read_again(
    store: ToldStore, waiting: Waiting
) -> None:
    value = Value("job:1")

    def lose() -> None:
        value.events.clear()  # nobody hears of this change
        store.away.set()

    later(lose)
    before = time.monotonic()
    assert waiting.until(value.read, 20) == "final"
    assert time.monotonic() - before < 10


def test_a_store_that_comes_back_is_listened_to_and_everybody_reads_again(
    store: ToldStore, waiting: Waiting
) -> None:
    store.away.set()
    eventually(lambda: store.refused)
    value = Value("job:1")

    def come_back() -> None:
        value.events.clear()
        store.away.clear()

    later(come_back, 0.3)
    assert waiting.until(value.read, 20) == "final"
    eventually(lambda: store.connections == 2)


def test_it_is_said_whenever_the_store_is_there_again(store: ToldStore) -> None:
    said: list[int] = []
    waiting = Waiting(store, 1, on_connect=lambda: said.append(store.connections))
    waiting.start()
    eventually(lambda: said == [1])
    store.away.set()
    eventually(lambda: store.refused)
    store.away.clear()
    eventually(lambda: said == [1, 2])
    waiting.stop()


def test_a_stop_lets_everybody_go(waiting: Waiting) -> None:
    later(waiting.stop)
    before = time.monotonic()
    assert waiting.until(Value("job:1").read, 20) == "job:1"
    assert waiting.until(Value("job:1").read, 20) == "job:1"
    assert time.monotonic() - before < 10
