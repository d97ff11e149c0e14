"""One contract for every broker: in memory, Redis Streams on Redis and on Valkey, RabbitMQ."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pika
import pytest
from rabbit_server import RabbitServer
from servers import RedisServer, Server
from waiting import eventually

from benchmarks.servers import free_port
from facematch.broker import Broker, Delivery, MemoryBroker
from facematch.brokers import open_broker
from facematch.errors import Misconfigured, Unavailable
from facematch.job import DEAD_LETTERS, QUEUE, Message
from facematch.rabbit_broker import RabbitBroker
from facematch.redis_connection import connect
from facematch.streams import GROUP, StreamsBroker, dead_stream_of, stream_of

LEASE = 1.0
ROOT = Path(__file__).resolve().parents[2]

DIES_WITH_A_MESSAGE = """
import sys, time
from facematch.brokers import open_broker
delivery = open_broker(sys.argv[1]).receive(10)
print(delivery.body.decode(), flush=True)
time.sleep(60)
"""


@dataclass
class Place:
    """A broker's server, empty, and how to make clients of it."""

    connect: Callable[[], Broker]
    dead: Callable[[], list[bytes]]
    lose: Callable[[], None]
    server: Server | None = None
    url: str = ""
    clients: list[Broker] = field(default_factory=list)

    def client(self) -> Broker:
        """A new one; closed when the test ends."""
        broker = self.connect()
        self.clients.append(broker)
        return broker


@pytest.fixture(params=["memory", "redis", "valkey", "rabbitmq"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    made = _place(request, request.param)
    yield made
    for broker in made.clients:
        broker.close()


@pytest.fixture(params=["redis", "valkey", "rabbitmq"])
def real(request: pytest.FixtureRequest) -> Iterator[Place]:
    made = _place(request, request.param)
    yield made
    for broker in made.clients:
        broker.close()


def _place(request: pytest.FixtureRequest, name: str) -> Place:
    if name == "memory":
        broker = MemoryBroker()
        return Place(
            lambda: broker,
            lambda: [broker.dead.get() for _ in range(broker.dead.qsize())],
            broker.purge,
        )
    server = request.getfixturevalue(f"{name}_server")
    url = request.getfixturevalue(f"{name}_url")
    if name == "rabbitmq":
        return Place(
            lambda: RabbitBroker(url),
            lambda: _dead_in_rabbitmq(url),
            lambda: server.delete_queues(QUEUE, DEAD_LETTERS),
            server,
            url,
        )
    return Place(
        lambda: StreamsBroker(url, lease=LEASE),
        lambda: _dead_in_stream(url),
        server.flush,
        server,
        url,
    )


def _dead_in_rabbitmq(url: str) -> list[bytes]:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        got = connection.channel().basic_get(DEAD_LETTERS, auto_ack=True)
        return [got[2]] if got[0] else []
    finally:
        connection.close()


def _dead_in_stream(url: str) -> list[bytes]:
    with connect(url) as client:
        return [fields[b"body"] for _, fields in client.xrange(dead_stream_of(QUEUE))]


def _take(broker: Broker, timeout: float = 5.0) -> Delivery:
    delivery = broker.receive(timeout)
    assert delivery is not None, "no message came"
    return delivery


def _job(delivery: Delivery) -> str:
    return Message.decode(delivery.body).job


def _publish_until_taken(broker: Broker, message: Message, seconds: float = 30.0) -> None:
    def taken() -> bool:
        try:
            broker.publish(message)
        except Unavailable:
            return False
        return True

    eventually(taken, "the broker takes a message", seconds)


# -- every broker


def test_a_message_arrives_as_it_was_sent_and_is_gone_once_acknowledged(place: Place) -> None:
    publisher, consumer = place.client(), place.client()
    publisher.publish(Message("a"))
    delivery = _take(consumer)
    assert delivery.body == Message("a").encode()
    delivery.ack()
    assert consumer.receive(0.3) is None
    assert publisher.depth() == 0


def test_nothing_to_receive_is_none_when_the_time_is_up(place: Place) -> None:
    broker = place.client()
    assert broker.receive(0) is None
    for timeout in (0.5, 0.0, 1.0):
        started = time.monotonic()
        assert broker.receive(timeout) is None
        assert timeout - 0.05 <= time.monotonic() - started < timeout + 5


def test_a_message_published_while_somebody_waits_arrives_at_once(place: Place) -> None:
    publisher, consumer = place.client(), place.client()
    publisher.depth()
    consumer.receive(0.5)
    arrived = []

    def wait() -> None:
        arrived.append((_job(_take(consumer, 30)), time.monotonic()))

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.5)
    published = time.monotonic()
    publisher.publish(Message("a"))
    thread.join(60)
    assert [job for job, _ in arrived] == ["a"]
    assert arrived[0][1] - published < 5


def test_a_message_given_back_comes_again(place: Place) -> None:
    broker = place.client()
    broker.publish(Message("a"))
    _take(broker).retry()
    again = _take(broker)
    assert _job(again) == "a"
    again.ack()
    assert broker.receive(0.3) is None


def test_a_rejected_message_is_a_dead_letter_and_does_not_come_again(place: Place) -> None:
    broker = place.client()
    broker.publish(Message("a"))
    _take(broker).reject()
    dead: list[bytes] = []

    def found() -> bool:
        dead.extend(place.dead())
        return bool(dead)

    eventually(found, "the dead letter")
    assert dead == [Message("a").encode()]
    assert broker.receive(0.3) is None
    assert broker.depth() == 0


def test_messages_come_in_the_order_they_were_sent(place: Place) -> None:
    broker = place.client()
    sent = [f"job{number}" for number in range(20)]
    for job in sent:
        broker.publish(Message(job))
    got = []
    for _ in sent:
        delivery = _take(broker)
        got.append(_job(delivery))
        delivery.ack()
    assert got == sent


def test_the_depth_counts_what_waits_and_not_what_is_in_hand(place: Place) -> None:
    broker = place.client()
    assert broker.depth() == 0
    for number in range(3):
        broker.publish(Message(f"job{number}"))
    assert broker.depth() == 3
    delivery = _take(broker)
    eventually(lambda: broker.depth() == 2, "two wait")
    delivery.ack()


def test_the_dead_letters_are_counted_and_the_server_says_what_it_is(place: Place) -> None:
    broker = place.client()
    assert broker.dead_letters() == 0
    broker.publish(Message("a"))
    _take(broker).reject()
    eventually(lambda: broker.dead_letters() == 1, "it is counted")
    assert broker.depth() == 0
    name, _, version = broker.server().partition(" ")
    assert name in ("memory", "Redis", "Valkey", "RabbitMQ")
    assert version.replace(".", "").isdigit() or name == "memory"


def test_two_consumers_share_the_messages_and_none_comes_twice(place: Place) -> None:
    publisher = place.client()
    assert publisher.depth() == 0
    sent = {f"job{number}" for number in range(40)}
    got: tuple[list[str], list[str]] = ([], [])
    both = threading.Barrier(2)
    until = time.monotonic() + 60

    def consume(broker: Broker, mine: list[str]) -> None:
        while sum(map(len, got)) < len(sent) and time.monotonic() < until:
            if (delivery := broker.receive(0.5)) is not None:
                mine.append(_job(delivery))
                if len(mine) == 1:
                    both.wait(30)  # each has one in hand
                delivery.ack()

    threads = [threading.Thread(target=consume, args=(place.client(), mine)) for mine in got]
    for thread in threads:
        thread.start()
    for job in sent:
        publisher.publish(Message(job))
    for thread in threads:
        thread.join(90)
    assert sorted(got[0] + got[1]) == sorted(sent)
    assert all(got)
    assert publisher.receive(0.3) is None


def test_many_threads_may_publish_at_once(place: Place) -> None:
    publisher = place.client()

    def publish(number: int) -> None:
        for count in range(5):
            publisher.publish(Message(f"job{number}-{count}"))

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert publisher.depth() == 100


def test_publishing_goes_on_after_everything_in_the_broker_was_lost(place: Place) -> None:
    publisher, consumer = place.client(), place.client()
    publisher.publish(Message("lost"))
    _take(consumer)
    place.lose()
    publisher.publish(Message("a"))
    assert _job(_take(consumer)) == "a"


def test_a_consumer_alone_notices_that_everything_was_lost_and_goes_on(place: Place) -> None:
    publisher, consumer = place.client(), place.client()
    assert consumer.receive(0.3) is None
    place.lose()
    assert consumer.receive(5) is None
    publisher.publish(Message("a"))
    assert _job(_take(consumer)) == "a"


# -- brokers on a server


def test_what_is_in_hand_comes_again_when_its_consumer_closes(real: Place) -> None:
    first, second = real.client(), real.client()
    first.publish(Message("a"))
    delivery = _take(first)
    started = time.monotonic()
    first.close()
    assert time.monotonic() - started < 10
    again = _take(second)
    assert _job(again) == "a"
    again.ack()
    delivery.ack()  # too late, and harmless
    assert second.receive(0.3) is None


def test_what_is_in_hand_comes_again_when_its_consumer_is_killed(real: Place) -> None:
    broker = real.client()
    broker.publish(Message("a"))
    process = subprocess.Popen(
        [sys.executable, "-c", DIES_WITH_A_MESSAGE, real.url],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with process:
        assert process.stdout is not None
        assert Message.decode(process.stdout.readline()) == Message("a")
        process.send_signal(signal.SIGKILL)
    again = _take(broker, 10 * LEASE)
    assert _job(again) == "a"
    again.ack()


def test_a_message_survives_the_broker_being_killed_and_both_ends_come_back(real: Place) -> None:
    assert real.server is not None
    publisher, consumer = real.client(), real.client()
    publisher.publish(Message("in hand"))
    delivery = _take(consumer)
    publisher.publish(Message("waiting"))
    time.sleep(4)  # RabbitMQ 3.10 needs half a second to keep a queue it has just made
    real.server.kill()

    started = time.monotonic()
    with pytest.raises(Unavailable) as publishing:
        publisher.publish(Message("nobody takes it"))
    assert publishing.value.code == "broker_unavailable"
    assert time.monotonic() - started < 15
    started = time.monotonic()
    with pytest.raises(Unavailable) as receiving:
        consumer.receive(1.5)
    assert receiving.value.code == "broker_unavailable"
    assert 1.4 < time.monotonic() - started < 10
    with pytest.raises(Unavailable):
        publisher.depth()

    real.server.start()
    delivery.retry()  # what becomes of it is the broker's choice, but it is not lost
    _publish_until_taken(publisher, Message("new"))
    got: set[str] = set()
    while got != {"in hand", "waiting", "new"}:
        delivery = _take(consumer, 10 * LEASE)
        got.add(_job(delivery))
        delivery.ack()
    assert consumer.receive(0.3) is None


def test_a_broker_that_was_never_there_is_unavailable_within_bounds(real: Place) -> None:
    url = real.url.split("://")[0].replace("unix", "redis") + f"://127.0.0.1:{free_port()}"
    broker = open_broker(url)
    for call in (
        lambda: broker.publish(Message("a")),
        lambda: broker.receive(1.0),
        broker.depth,
    ):
        started = time.monotonic()
        with pytest.raises(Unavailable) as error:
            call()
        assert error.value.code == "broker_unavailable"
        assert time.monotonic() - started < 15
    started = time.monotonic()
    broker.close()
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("real", ["redis", "rabbitmq"], indirect=True)
def test_a_broker_that_does_not_answer_is_unavailable_within_bounds(real: Place) -> None:
    assert real.server is not None
    broker = real.client()
    broker.publish(Message("a"))
    delivery = _take(broker)
    real.server.pause()
    try:
        started = time.monotonic()
        with pytest.raises(Unavailable):
            broker.publish(Message("b"))
        assert time.monotonic() - started < 15
    finally:
        real.server.resume()
    delivery.ack()
    _publish_until_taken(broker, Message("c"))


def test_a_closed_broker_is_unavailable(real: Place) -> None:
    broker = real.client()
    broker.publish(Message("a"))
    broker.close()
    broker.close()
    for call in (lambda: broker.publish(Message("b")), lambda: broker.receive(0), broker.depth):
        with pytest.raises(Unavailable):
            call()


def test_a_url_that_means_no_broker_is_refused() -> None:
    for url in ("http://rabbitmq", "rabbitmq:5672", "redis://host:port", "amqp://host:port/"):
        with pytest.raises(Misconfigured):
            open_broker(url)


# -- RabbitMQ


def test_rabbitmq_work_longer_than_the_heartbeat_does_not_lose_the_connection(
    rabbitmq_url: str,
) -> None:
    broker, other = RabbitBroker(rabbitmq_url, heartbeat=2), RabbitBroker(rabbitmq_url)
    try:
        broker.publish(Message("a"))
        delivery = _take(broker)
        until = time.monotonic() + 8
        while time.monotonic() < until:
            assert other.receive(1.0) is None, "it was given to another"
        delivery.ack()
        assert broker.depth() == 0
        broker.close()
        assert other.receive(0.5) is None
    finally:
        broker.close()
        other.close()


def test_rabbitmq_short_of_memory_refuses_messages_and_takes_acknowledgements(
    rabbitmq_server: RabbitServer,
) -> None:
    broker, other = RabbitBroker(rabbitmq_server.url), RabbitBroker(rabbitmq_server.url)
    try:
        broker.publish(Message("a"))
        delivery = _take(broker)
        rabbitmq_server.control("set_vm_memory_high_watermark", "0")
        for _ in range(3):
            started = time.monotonic()
            with pytest.raises(Unavailable):
                broker.publish(Message("b"))
            assert time.monotonic() - started < 15
        delivery.ack()
        started = time.monotonic()
        broker.close()
        assert time.monotonic() - started < 10
        rabbitmq_server.control("set_vm_memory_high_watermark", "0.4")
        _publish_until_taken(other, Message("c"))
        jobs: set[str] = set()
        while (arrived := other.receive(1.0 if "c" in jobs else 20.0)) is not None:
            jobs.add(_job(arrived))
            arrived.ack()
        assert "c" in jobs
        assert "a" not in jobs
    finally:
        rabbitmq_server.control("set_vm_memory_high_watermark", "0.4")
        broker.close()
        other.close()


def test_rabbitmq_takes_a_message_returned_a_hundred_times_for_a_dead_letter(
    rabbitmq_url: str,
) -> None:
    broker = RabbitBroker(rabbitmq_url)
    try:
        broker.publish(Message("a"))
        returned = 0
        while (delivery := broker.receive(5.0)) is not None:
            delivery.retry()
            returned += 1
        assert returned == 101
        dead: list[bytes] = []

        def found() -> bool:
            dead.extend(_dead_in_rabbitmq(rabbitmq_url))
            return bool(dead)

        eventually(found, "the dead letter")
        assert dead == [Message("a").encode()]
    finally:
        broker.close()


def test_rabbitmq_forgetting_a_consumer_does_not_leave_it_waiting_for_ever(
    rabbitmq_server: RabbitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facematch.rabbit_broker._IDLE_SECONDS", 1.0)
    publisher, consumer = RabbitBroker(rabbitmq_server.url), RabbitBroker(rabbitmq_server.url)
    try:
        assert consumer.receive(0.5) is None
        publisher.depth()
        rabbitmq_server.delete_queues(QUEUE)
        publisher.depth()  # makes the queue again, at once: the consumer is not told
        publisher.publish(Message("a"))
        eventually(lambda: consumer.receive(5.0) is not None, "the message")
    finally:
        publisher.close()
        consumer.close()


def test_rabbitmq_refusing_the_password_is_unavailable(rabbitmq_url: str) -> None:
    broker = RabbitBroker(rabbitmq_url.replace("guest:guest", "guest:wrong"))
    started = time.monotonic()
    with pytest.raises(Unavailable) as error:
        broker.publish(Message("a"))
    assert time.monotonic() - started < 15
    assert "Authentication" in str(error.value)
    broker.close()


# -- Redis Streams


def test_streams_keep_what_is_in_hand_of_a_living_process_beyond_the_lease(
    redis_url: str,
) -> None:
    first, second = StreamsBroker(redis_url, lease=6), StreamsBroker(redis_url, lease=6)
    try:
        first.publish(Message("a"))
        delivery = _take(first)
        assert second.receive(15) is None
        delivery.ack()
        assert second.receive(8) is None
    finally:
        first.close()
        second.close()


def test_streams_find_a_message_again_whose_answer_was_lost(redis_url: str) -> None:
    broker = StreamsBroker(redis_url, lease=0.6)
    with connect(redis_url) as client:
        broker.publish(Message("a"))
        delivery = _take(broker)
        [consumer] = client.xinfo_consumers(stream_of(QUEUE), GROUP)
        broker.publish(Message("b"))
        # The server gave it to this consumer, and the answer never arrived.
        assert client.xreadgroup(GROUP, consumer["name"], {stream_of(QUEUE): ">"}, count=1)
        assert _job(_take(broker, 10)) == "b"
        delivery.ack()
        broker.close()
        assert client.xlen(stream_of(QUEUE)) == 1  # b was given back


def test_streams_forget_consumers_that_are_gone(redis_url: str) -> None:
    with connect(redis_url) as client:
        broker = StreamsBroker(redis_url, lease=0.2)
        broker.publish(Message("a"))
        _take(broker).ack()
        client.xgroup_createconsumer(stream_of(QUEUE), GROUP, "gone")
        eventually(
            lambda: (
                broker.receive(0.2) is None
                and len(client.xinfo_consumers(stream_of(QUEUE), GROUP)) == 1
            ),
            "the consumer that is gone is forgotten",
        )
        broker.close()
        assert client.xinfo_consumers(stream_of(QUEUE), GROUP) == []


def test_streams_wait_for_a_server_that_starts_later(redis_server: RedisServer) -> None:
    consumer, publisher = StreamsBroker(redis_server.url), StreamsBroker(redis_server.url)
    redis_server.stop()

    def start() -> None:
        redis_server.start()
        publisher.publish(Message("a"))

    starter = threading.Timer(0.5, start)
    starter.start()
    assert _job(_take(consumer, 60)) == "a"
    starter.join()
    consumer.close()
    publisher.close()


def test_who_rests_leaves_what_waits_to_others_and_takes_it_up_again(place: Place) -> None:
    first, second = place.client(), place.client()
    assert first.receive(0.5) is None
    first.publish(Message("a"))
    time.sleep(0.5)  # a broker that pushes has pushed it to the first by now
    first.rest()
    delivery = _take(second)
    assert _job(delivery) == "a"
    delivery.ack()
    second.rest()
    first.publish(Message("b"))
    delivery = _take(first)
    assert _job(delivery) == "b"
    delivery.ack()
    second.rest()
    assert first.depth() == 0
