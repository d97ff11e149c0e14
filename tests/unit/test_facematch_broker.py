"""What the brokers run on: the loop in a thread, the link that comes back, the Redis edge."""

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from waiting import eventually

from facematch.brokers import open_broker
from facematch.errors import Misconfigured, Unavailable
from facematch.loop_thread import Link, LoopThread
from facematch.rabbit_broker import RabbitBroker
from facematch.redis_connection import connect, translated
from facematch.streams import StreamsBroker

CODE = "broker_unavailable"


async def _nothing() -> None:
    pass


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    made = LoopThread("test", CODE)
    yield made
    made.stop(_nothing, 1)


class Connection:
    """A connection that ends when the test says so."""

    def __init__(self) -> None:
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        self.lost.set_result("")


# -- the loop in a thread


def test_work_runs_in_another_thread_and_its_result_comes_back(thread: LoopThread) -> None:
    async def work() -> int:
        return threading.get_ident()

    there = thread.run(work, 1)
    assert there != threading.get_ident()
    assert thread.run(work, 1) == there


def test_an_error_of_the_work_comes_back_as_it_is(thread: LoopThread) -> None:
    async def work() -> None:
        raise Misconfigured("no")

    with pytest.raises(Misconfigured):
        thread.run(work, 1)


def test_work_that_takes_too_long_is_cancelled_and_unavailable(thread: LoopThread) -> None:
    cancelled = threading.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    started = time.monotonic()
    with pytest.raises(Unavailable) as error:
        thread.run(work, 0.2)
    assert error.value.code == CODE
    assert time.monotonic() - started < 10
    assert cancelled.wait(10)


def test_stopping_ends_the_thread_and_whoever_waits_for_work(thread: LoopThread) -> None:
    errors = []

    async def work() -> None:
        await asyncio.sleep(60)

    def wait() -> None:
        try:
            thread.run(work, 60)
        except Unavailable as error:
            errors.append(error.code)

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.2)
    said = threading.Event()

    async def last() -> None:
        said.set()

    thread.stop(last, 1)
    waiting.join(20)
    assert errors == [CODE]
    assert said.is_set()
    eventually(lambda: "test" not in {thread.name for thread in threading.enumerate()})
    with pytest.raises(Unavailable):
        thread.run(work, 1)


# -- the link


def test_a_link_opens_one_session_for_all_and_another_when_that_is_lost() -> None:
    opened: list[Connection] = []

    async def open_session() -> Connection:
        await asyncio.sleep(0.05)
        opened.append(Connection())
        return opened[-1]

    async def scenario() -> None:
        link = Link(open_session, CODE, 1)
        assert link.current is None
        sessions = await asyncio.gather(*(link.session() for _ in range(5)))
        assert set(sessions) == {opened[0]}
        assert link.current is opened[0]
        opened[0].lost.set_result("the cable was pulled")
        assert link.current is None
        assert await link.session() is opened[1]
        await link.close()
        assert link.current is None

    asyncio.run(scenario())
    assert len(opened) == 2


def test_a_link_goes_on_connecting_when_who_asked_first_gave_up() -> None:
    async def open_session() -> Connection:
        await asyncio.sleep(0.2)
        return Connection()

    async def scenario() -> None:
        link = Link(open_session, CODE, 1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(link.session(), 0.05)
        async with asyncio.timeout(20):
            while link.current is None:
                await asyncio.sleep(0.01)
        await link.close()

    asyncio.run(scenario())


def test_a_link_fails_at_once_between_attempts_and_waits_longer_each_time() -> None:
    attempts = 0

    async def open_session() -> Connection:
        nonlocal attempts
        attempts += 1
        raise Unavailable(CODE, "nobody there")

    async def scenario() -> list[float]:
        link = Link(open_session, CODE, 1)
        pauses = []
        for _ in range(4):
            for _ in range(3):
                with pytest.raises(Unavailable, match="nobody there"):
                    await link.session()
            pauses.append(link.pause)
            await asyncio.sleep(link.pause)
        return pauses

    pauses = asyncio.run(scenario())
    assert attempts == 4
    # Each pause is drawn from the upper half of 0.1, 0.2, 0.4, 0.8 seconds.
    assert pauses == sorted(pauses)
    assert 0.03 < pauses[0] <= 0.1
    assert 0.35 < pauses[3] <= 0.8


def test_a_link_gives_up_an_attempt_that_takes_too_long() -> None:
    async def open_session() -> Connection:
        await asyncio.sleep(60)
        raise AssertionError

    async def scenario() -> None:
        link = Link(open_session, CODE, 0.1)
        with pytest.raises(Unavailable):
            await link.session()

    asyncio.run(scenario())


# -- the Redis edge


def test_errors_of_the_redis_driver_are_unavailable_with_the_code_asked_for() -> None:
    @translated()
    def store() -> None:
        raise RedisConnectionError("gone")

    with pytest.raises(Unavailable, match="gone") as error:
        store()
    assert error.value.code == "store_unavailable"
    with pytest.raises(Unavailable) as error, translated(CODE):
        raise RedisConnectionError("gone")
    assert error.value.code == CODE


def test_other_errors_pass_the_redis_edge_as_they_are() -> None:
    with pytest.raises(KeyError), translated():
        raise KeyError("a bug of ours")


# -- which broker


def test_the_url_chooses_the_broker_and_connects_to_nothing() -> None:
    for url in ("amqp://rabbitmq", "amqps://user:password@rabbitmq:5671/%2F"):
        assert isinstance(open_broker(url), RabbitBroker)
    for url in ("redis://redis:6379/0", "rediss://redis", "unix:///run/redis.sock"):
        assert isinstance(open_broker(url), StreamsBroker)


@pytest.mark.parametrize(
    "url",
    ["", "rabbitmq:5672", "http://rabbitmq", "redis://h:secret@x:y", "amqp://u:secret@x:y/"],
)
def test_a_url_that_means_no_broker_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(Misconfigured) as error:
        open_broker(url)
    assert "secret" not in str(error.value)
    assert error.value.__cause__ is None


def test_a_redis_url_with_a_slash_in_the_password_is_refused_without_quoting_it() -> None:
    with pytest.raises(Misconfigured) as error:
        connect("redis://user:sec/ret@host:6379")
    assert "sec" not in str(error.value).replace("seconds", "")
