"""Publishing: nobody waits for the broker, whatever it does."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog
from api_parts import running_api
from waiting import eventually

from api.publishing import Publisher
from facematch.broker import MemoryBroker, Queues
from facematch.errors import Unavailable
from facematch.job import Message


class UnreliableBroker(MemoryBroker):
    """Away, hanging or broken, as a test says."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.broken = False
        self.free = threading.Event()
        self.free.set()
        self.tries = 0
        self.closed = False

    def publish(self, message: Message) -> None:
        self.tries += 1
        self.free.wait(20)
        if self.away:
            raise Unavailable("broker_unavailable", "connection refused")
        if self.broken:
            raise RuntimeError("nobody planned for this")
        super().publish(message)

    def depth(self) -> int:
        if self.away:
            raise Unavailable("broker_unavailable", "connection refused")
        return super().depth()

    def close(self) -> None:
        self.closed = True

    def jobs(self) -> list[str]:
        found = []
        while (delivery := self.receive(0)) is not None:
            found.append(Message.decode(delivery.body).job)
        return found


@contextmanager
def publishing(broker: UnreliableBroker, patience: float, size: int = 100) -> Iterator[Publisher]:
    publisher = Publisher(Queues(lambda edition: broker), patience, size)
    publisher.start()
    try:
        yield publisher
    finally:
        broker.free.set()
        publisher.close()


@pytest.fixture
def broker() -> UnreliableBroker:
    return UnreliableBroker()


def test_jobs_are_published_in_order(broker: UnreliableBroker) -> None:
    with publishing(broker, 5) as publisher:
        for number in range(10):
            publisher.publish(f"job {number}")
        eventually(lambda: broker.depth() == 10)
        eventually(lambda: publisher.state == "up")
    assert broker.jobs() == [f"job {number}" for number in range(10)]


def test_a_broker_that_comes_back_soon_gets_what_waited(broker: UnreliableBroker) -> None:
    broker.away = True
    with publishing(broker, 20) as publisher:
        publisher.publish("job")
        eventually(lambda: broker.tries >= 2)
        assert publisher.state == "down: connection refused"
        broker.away = False
        eventually(lambda: broker.depth() == 1)
        eventually(lambda: publisher.state == "up")


def test_a_job_is_left_to_the_sweeper_after_a_while(broker: UnreliableBroker) -> None:
    broker.away = True
    with publishing(broker, 0.3) as publisher, structlog.testing.capture_logs() as logged:
        publisher.publish("old")
        left = "not published; the sweeper will"
        eventually(lambda: left in [line["event"] for line in logged])
        broker.away = False
        publisher.publish("new")
        eventually(lambda: broker.depth() == 1)
    assert broker.jobs() == ["new"]


def test_a_full_queue_holds_nobody_up_and_is_said_once(broker: UnreliableBroker) -> None:
    broker.free.clear()
    with publishing(broker, 5, size=3) as publisher:
        publisher.publish("in hand")
        eventually(lambda: broker.tries == 1)
        before = time.monotonic()
        with structlog.testing.capture_logs() as logged:
            for number in range(1000):
                publisher.publish(f"job {number}")
        assert time.monotonic() - before < 15
        assert [line["log_level"] for line in logged] == ["warning"]
        broker.free.set()
        eventually(lambda: broker.depth() == 4)
    assert broker.jobs() == ["in hand", "job 0", "job 1", "job 2"]


def test_an_error_nobody_planned_for_does_not_end_publishing(broker: UnreliableBroker) -> None:
    broker.broken = True
    with publishing(broker, 5) as publisher, structlog.testing.capture_logs() as logged:
        publisher.publish("lost")
        eventually(lambda: "error" in [line["log_level"] for line in logged])
        broker.broken = False
        publisher.publish("next")
        eventually(lambda: broker.depth() == 1)


def test_closing_sends_what_is_queued_and_disconnects(broker: UnreliableBroker) -> None:
    publisher = Publisher(Queues(lambda edition: broker))
    publisher.start()
    for number in range(50):
        publisher.publish(f"job {number}")
    publisher.close()
    assert len(broker.jobs()) == 50
    assert broker.closed


def test_closing_does_not_wait_for_a_broker_that_is_away(broker: UnreliableBroker) -> None:
    broker.away = True
    publisher = Publisher(Queues(lambda edition: broker), patience=60)
    publisher.start()
    publisher.publish("job")
    before = time.monotonic()
    publisher.close(seconds=0.3)
    assert time.monotonic() - before < 30
    eventually(lambda: broker.closed)


def test_pictures_are_accepted_while_the_broker_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unreliable = UnreliableBroker()
    unreliable.free.clear()
    monkeypatch.setattr("api_parts.MemoryBroker", lambda: unreliable)
    with running_api(tmp_path) as api:
        client = api.app.test_client()
        before = time.monotonic()
        answers = [client.post("/v1/images", data=b"%d" % number) for number in range(20)]
        assert time.monotonic() - before < 15
        assert {answer.status_code for answer in answers} == {202}
        jobs = [answer.json["job"] for answer in answers]
        assert sorted(api.store.due_jobs(100, 0)) == sorted(jobs)
        unreliable.free.set()
