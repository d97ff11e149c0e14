"""What a worker does with its broker when it cannot work for a while, or not at all."""

import threading

import pytest

from facematch.broker import MemoryBroker
from facematch.errors import Misconfigured, Unavailable
from facematch.job import Message
from worker.consumer import consume


class RestingBroker(MemoryBroker):
    """Notes when it is told to rest, and when it is asked for a message."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def rest(self) -> None:
        self.calls.append("rest")

    def receive(self, timeout: float):
        self.calls.append("receive")
        return super().receive(timeout)


def test_a_worker_that_is_not_ready_rests_before_it_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("worker.consumer._PAUSE_SECONDS", 0.01)
    broker, stop, asked = RestingBroker(), threading.Event(), list[str]()
    broker.publish(Message("a"))

    def ready() -> None:
        asked.append("ready")
        if len(asked) == 2:
            raise Unavailable("index_unavailable")

    def process(job: str) -> None:
        if len(asked) > 2:
            stop.set()
        else:
            broker.publish(Message("b"))

    consume(broker, process, ready, stop)
    assert broker.calls == ["receive", "rest", "receive"]


def test_a_worker_that_finds_itself_misconfigured_gives_its_message_back_and_ends() -> None:
    broker = MemoryBroker()
    broker.publish(Message("a"))

    def process(job: str) -> None:
        raise Misconfigured("another model")

    with pytest.raises(Misconfigured, match="another model"):
        consume(broker, process, lambda: None, threading.Event())
    assert broker.depth() == 1


def test_a_worker_that_finds_itself_misconfigured_before_a_message_takes_none() -> None:
    broker = RestingBroker()
    broker.publish(Message("a"))

    def ready() -> None:
        raise Misconfigured("another model")

    with pytest.raises(Misconfigured, match="another model"):
        consume(broker, lambda job: None, ready, threading.Event())
    assert (broker.calls, broker.depth()) == ([], 1)
