"""Which deliveries are acknowledged, given back, or dead."""

import threading
import time
from collections.abc import Callable

import pytest
from waiting import eventually

from facematch.broker import Delivery, MemoryBroker
from facematch.errors import NotFound, Unavailable
from facematch.job import Message
from worker import consumer


def job_of(data: bytes) -> str:
    """All that these tests want of a message."""
    return Message.decode(data).job


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "_PAUSE_SECONDS", 0.01)


class Told(Delivery):
    """A delivery that tells how it ended."""

    def __init__(self, delivery: Delivery, ended: list[str]) -> None:
        self._delivery, self._ended = delivery, ended

    @property
    def body(self) -> bytes:
        return self._delivery.body

    def ack(self) -> None:
        self._ended.append("ack")
        self._delivery.ack()

    def retry(self) -> None:
        self._ended.append("retry")
        self._delivery.retry()

    def reject(self) -> None:
        self._ended.append("reject")
        self._delivery.reject()


class ToldBroker(MemoryBroker):
    """A broker that knows how each delivery ended, in this order."""

    def __init__(self) -> None:
        super().__init__()
        self.ended: list[str] = []

    def receive(self, timeout: float) -> Delivery | None:
        delivery = super().receive(timeout)
        return None if delivery is None else Told(delivery, self.ended)


def run(
    broker: ToldBroker,
    process: Callable[[str], object],
    until: Callable[[], bool],
    ready: Callable[[], None] = lambda: None,
    hands: int = 1,
) -> None:
    stop = threading.Event()
    arguments = (broker, job_of, process, ready, stop, hands)
    thread = threading.Thread(target=consumer.consume, args=arguments)
    thread.start()
    try:
        eventually(until)
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()


def test_a_processed_job_is_acknowledged() -> None:
    broker, seen = ToldBroker(), list[str]()
    broker.publish(Message("a"))
    run(broker, seen.append, lambda: bool(seen))
    assert (seen, broker.ended, broker.depth()) == (["a"], ["ack"], 0)


@pytest.mark.parametrize("error", [Unavailable("index_loading"), RuntimeError("a bug")])
def test_a_job_that_could_not_be_processed_comes_again(error: Exception) -> None:
    broker, seen = ToldBroker(), list[str]()
    broker.publish(Message("a"))

    def process(job: str) -> None:
        seen.append(job)
        if len(seen) < 3:
            raise error

    run(broker, process, lambda: len(seen) == 3)
    assert (broker.ended, broker.depth()) == (["retry", "retry", "ack"], 0)


@pytest.mark.parametrize("error", [NotFound("not_found"), Unavailable("collection_erasing")])
def test_a_job_that_is_gone_does_not_come_again(error: Exception) -> None:
    broker, seen = ToldBroker(), list[str]()
    broker.publish(Message("a"))

    def process(job: str) -> None:
        seen.append(job)
        raise error

    run(broker, process, lambda: bool(seen))
    assert (broker.ended, broker.depth()) == (["ack"], 0)


def test_nonsense_goes_to_the_dead_letters() -> None:
    broker = ToldBroker()
    for body in (b"", b"\xff", b"[]", b'{"v": 1}', b'{"v": 0, "job": "a"}'):
        broker._put(body)
    run(broker, lambda job: pytest.fail(job), lambda: broker.dead.qsize() == 5)
    assert broker.ended == ["reject"] * 5


def test_a_message_of_a_newer_version_is_left_to_a_newer_worker() -> None:
    broker, seen = ToldBroker(), list[str]()
    broker._put(b'{"v": 2, "job": "b"}')
    broker.publish(Message("a"))
    run(broker, seen.append, lambda: broker.ended.count("retry") > 1)
    assert seen == ["a"]
    assert "reject" not in broker.ended
    assert (broker.depth(), broker.dead.qsize()) == (1, 0)


def test_a_message_of_a_newer_version_does_not_go_from_hand_to_hand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(consumer, "_PAUSE_SECONDS", 0.2)
    broker, start = ToldBroker(), time.monotonic()
    broker._put(b'{"v": 2, "job": "b"}')
    run(broker, lambda job: pytest.fail(job), lambda: len(broker.ended) >= 3, hands=8)
    assert time.monotonic() - start >= 3 * 0.2


def test_nothing_is_taken_while_a_part_is_missing() -> None:
    broker, asked, seen = ToldBroker(), list[int](), list[str]()
    broker.publish(Message("a"))

    def ready() -> None:
        asked.append(broker.depth())
        if len(asked) < 4:
            raise Unavailable("index_loading")

    run(broker, seen.append, lambda: bool(seen), ready)
    assert asked[:4] == [1, 1, 1, 1]
    assert broker.ended == ["ack"]
