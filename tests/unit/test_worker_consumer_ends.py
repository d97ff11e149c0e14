"""What a worker does with its broker when it cannot work for a while, or not at all."""

import threading

import pytest
from waiting import eventually

from facematch.broker import MemoryBroker
from facematch.errors import Misconfigured, Unavailable
from facematch.job import Message
from worker.consumer import consume


def job_of(data: bytes) -> str:
    """All that these tests want of a message."""
    return Message.decode(data).job


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
    monkeypatch.setattr("worker.consumer._READY_SECONDS", 0)
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

    consume(broker, job_of, process, ready, stop)
    assert broker.calls == ["receive", "rest", "receive"]


def test_a_worker_that_finds_itself_misconfigured_gives_its_message_back_and_ends() -> None:
    broker = MemoryBroker()
    broker.publish(Message("a"))

    def process(job: str) -> None:
        raise Misconfigured("another model")

    with pytest.raises(Misconfigured, match="another model"):
        consume(broker, job_of, process, lambda: None, threading.Event())
    assert broker.depth() == 1


def test_a_worker_that_finds_itself_misconfigured_before_a_message_takes_none() -> None:
    broker = RestingBroker()
    broker.publish(Message("a"))

    def ready() -> None:
        raise Misconfigured("another model")

    with pytest.raises(Misconfigured, match="another model"):
        consume(broker, job_of, lambda job: None, ready, threading.Event())
    assert (broker.calls, broker.depth()) == ([], 1)


def test_as_many_messages_are_in_hand_as_there_are_hands_and_no_more() -> None:
    broker, stop, go_on = MemoryBroker(), threading.Event(), threading.Event()
    begun, finished = list[str](), list[str]()
    for name in "abcde":
        broker.publish(Message(name))

    def process(job: str) -> None:
        begun.append(job)
        assert go_on.wait(20)
        finished.append(job)

    arguments = (broker, job_of, process, lambda: None, stop, 3)
    thread = threading.Thread(target=consume, args=arguments)
    thread.start()
    try:
        eventually(lambda: len(begun) == 3)
        assert broker.depth() == 2
        stop.set()  # what is in hand is finished first, and nothing else is begun
        thread.join(0.2)
        assert thread.is_alive()
    finally:
        stop.set()
        go_on.set()
        thread.join(20)
    assert sorted(finished) == sorted(begun) == ["a", "b", "c"]
    assert broker.depth() == 2


def test_a_worker_that_is_not_ready_does_not_rest_while_it_has_a_message_in_hand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("worker.consumer._PAUSE_SECONDS", 0.01)
    monkeypatch.setattr("worker.consumer._READY_SECONDS", 0)
    broker, stop, asked, working = RestingBroker(), threading.Event(), list[int](), list[str]()
    rested: list[bool] = []
    broker.publish(Message("a"))

    def ready() -> None:
        asked.append(1)
        if working:
            raise Unavailable("index_unavailable")

    def process(job: str) -> None:
        working.append(job)
        before = len(asked)
        try:
            eventually(lambda: len(asked) > before + 3)
            rested.append("rest" in broker.calls)
        finally:
            stop.set()

    consume(broker, job_of, process, ready, stop, 2)
    assert (working, rested) == (["a"], [False])
