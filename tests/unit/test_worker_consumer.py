"""Which deliveries are acknowledged, given back, or dead."""

import threading
from collections.abc import Callable

import pytest

from facematch.broker import MemoryBroker
from facematch.errors import NotFound, Unavailable
from facematch.job import Message
from worker import consumer


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "_PAUSE_SECONDS", 0.01)


def run(
    broker: MemoryBroker,
    process: Callable[[str], object],
    until: Callable[[], bool],
    ready: Callable[[], None] = lambda: None,
) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=consumer.consume, args=(broker, process, ready, stop))
    thread.start()
    for _ in range(1000):
        if until():
            break
        stop.wait(0.01)
    stop.set()
    thread.join(5)
    assert until()


def test_a_processed_job_is_acknowledged() -> None:
    broker, seen = MemoryBroker(), list[str]()
    broker.publish(Message("a"))
    run(broker, seen.append, lambda: bool(seen))
    assert (seen, broker.depth()) == (["a"], 0)


@pytest.mark.parametrize("error", [Unavailable("index_loading"), RuntimeError("a bug")])
def test_a_job_that_could_not_be_processed_comes_again(error: Exception) -> None:
    broker, seen = MemoryBroker(), list[str]()
    broker.publish(Message("a"))

    def process(job: str) -> None:
        seen.append(job)
        if len(seen) < 3:
            raise error

    run(broker, process, lambda: len(seen) == 3)
    assert broker.depth() == 0


def test_a_job_that_is_gone_does_not_come_again() -> None:
    broker, seen = MemoryBroker(), list[str]()
    broker.publish(Message("a"))

    def process(job: str) -> None:
        seen.append(job)
        raise NotFound("not_found")

    run(broker, process, lambda: bool(seen))
    assert broker.depth() == 0


def test_nonsense_goes_to_the_dead_letters() -> None:
    broker = MemoryBroker()
    for body in (b"", b"\xff", b"[]", b'{"v": 1}', b'{"v": 2, "job": "a"}'):
        broker._put(body)
    run(broker, lambda job: pytest.fail(job), lambda: broker.dead.qsize() == 5)


def test_nothing_is_taken_while_a_part_is_missing() -> None:
    broker, asked, seen = MemoryBroker(), list[int](), list[str]()
    broker.publish(Message("a"))

    def ready() -> None:
        asked.append(broker.depth())
        if len(asked) < 4:
            raise Unavailable("index_loading")

    run(broker, seen.append, lambda: bool(seen), ready)
    assert asked[:4] == [1, 1, 1, 1]
