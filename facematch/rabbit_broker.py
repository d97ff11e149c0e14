"""The broker in RabbitMQ (3.10 or later).

All of it runs in one thread with an event loop of its own, so that heartbeats go on while a
worker computes; callers hand a coroutine over to it and wait, with a bound. Publishing and
consuming have a connection each: a broker short of memory or disk stops reading what a
publisher sends, and acknowledgements must still get through.
"""

import asyncio

import structlog

from facematch.broker import Delivery
from facematch.errors import Unavailable
from facematch.job import DEAD_LETTERS, QUEUE, Message, RangeMessage
from facematch.loop_thread import Link, LoopThread
from facematch.rabbitmq import CODE, CONNECT_SECONDS, Session, parameters

_ANSWER_SECONDS = 5.0
_CLOSE_SECONDS = 1.5
#: When a queue is deleted and made again at once, RabbitMQ may forget to tell its consumers, and
#: never sends them anything again. So we give it time to tell them, and a consumer that hears
#: nothing for long starts over.
_REDECLARE_PAUSE = 0.25
_IDLE_SECONDS = 60.0

#: Returns of one message before it is a dead letter. Attempts are counted in the store, and far
#: fewer: this is only a brake for a message that never gets as far as being counted. It is set
#: because the default is none in RabbitMQ 3 and 20 in RabbitMQ 4, which one outage of Redis
#: could use up.
_DELIVERY_LIMIT = 100
_JOB_QUEUE = {
    "x-queue-type": "quorum",
    "x-delivery-limit": _DELIVERY_LIMIT,
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": DEAD_LETTERS,
    # Both are needed for a dead letter not to be lost on its way.
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}
_DEAD_LETTER_QUEUE = {
    "x-queue-type": "quorum",
    "x-max-length": 10_000,
    "x-overflow": "drop-head",
}

_log = structlog.get_logger()


class RabbitBroker:
    """See facematch.broker.Broker. For any thread; connects on first use, which must be behind
    a fork.

    While the broker is away, `publish` and `depth` raise Unavailable at once, or after 5 s when
    it is there and does not answer; `receive` goes on trying for its `timeout` and then raises
    it, so that a loop around it does not spin. A delivery whose connection was lost is the
    broker's again: its verbs then do nothing.
    """

    def __init__(
        self, url: str, *, queue: str = QUEUE, heartbeat: int = 10, prefetch: int = 1
    ) -> None:
        """`url`: amqp:// or amqps://; `heartbeat`: seconds; `prefetch`: messages in hand at the
        most. Raises Misconfigured."""
        self._parameters = parameters(url, heartbeat)
        self._queue = queue
        self._prefetch = prefetch
        self._thread = LoopThread("rabbitmq", CODE)
        self._publisher = Link(self._open_publisher, CODE, CONNECT_SECONDS)
        self._consumer = Link(self._open_consumer, CODE, CONNECT_SECONDS)

    def publish(self, message: Message | RangeMessage) -> None:
        """See Broker. Persistent, mandatory and confirmed."""
        body = message.encode()
        self._thread.run(lambda: self._publish(body), _ANSWER_SECONDS)

    def receive(self, timeout: float) -> Delivery | None:
        """See Broker. Consuming starts with the first call, and the first after `rest`."""
        arrived = self._thread.run(lambda: self._receive(timeout), timeout + 1)
        return _RabbitDelivery(self._thread, *arrived) if arrived else None

    def rest(self) -> None:
        """See Broker. RabbitMQ pushes a message to who consumes, so the connection is closed."""
        try:
            self._thread.run(self._consumer.close, _ANSWER_SECONDS)
        except Unavailable as error:
            _log.debug("no_rest", why=str(error))

    def depth(self) -> int:
        """See Broker. Those in hand do not count."""
        return self._thread.run(self._depth, _ANSWER_SECONDS)

    def dead_letters(self) -> int:
        """See Broker."""
        return self._thread.run(self._dead_letters, _ANSWER_SECONDS)

    def server(self) -> str:
        """See Broker."""
        return self._thread.run(self._server, _ANSWER_SECONDS)

    def close(self) -> None:
        """See Broker. Returns within 2 s."""
        self._thread.stop(self._disconnect, _CLOSE_SECONDS)

    async def _publish(self, body: bytes) -> None:
        for _ in range(2):
            session = await self._publisher.session()
            if await session.publish(self._queue, body):
                return
            await asyncio.sleep(_REDECLARE_PAUSE)  # somebody deleted the queue
            await self._declare(session)
        raise Unavailable(CODE, f"there is no queue {self._queue}")

    async def _receive(self, timeout: float) -> "tuple[Session, int, bytes] | None":
        problem = None
        try:
            async with asyncio.timeout(timeout):
                while True:
                    try:
                        session = await self._consumer.session()
                        if session.idle > _IDLE_SECONDS:
                            await session.close()
                        return (session, *await session.next())
                    except Unavailable as error:
                        problem = error
                        await asyncio.sleep(self._consumer.pause)
        except TimeoutError:
            if problem is not None and self._consumer.current is None:
                raise problem from None
            return None

    async def _depth(self) -> int:
        return await self._declare(await self._publisher.session())

    async def _dead_letters(self) -> int:
        session = await self._publisher.session()
        return await session.declare(DEAD_LETTERS, _DEAD_LETTER_QUEUE)

    async def _server(self) -> str:
        return (await self._publisher.session()).server

    async def _disconnect(self) -> None:
        await asyncio.gather(self._publisher.close(), self._consumer.close())

    async def _open_publisher(self) -> "Session":
        async def prepare(session: Session) -> None:
            await self._declare(session)
            await session.confirm()

        return await Session.open(self._parameters, prepare)

    async def _open_consumer(self) -> "Session":
        async def prepare(session: Session) -> None:
            await self._declare(session)
            await session.consume(self._queue, self._prefetch)

        return await Session.open(self._parameters, prepare)

    async def _declare(self, session: "Session") -> int:
        await session.declare(DEAD_LETTERS, _DEAD_LETTER_QUEUE)
        return await session.declare(self._queue, _JOB_QUEUE)


class _RabbitDelivery:
    def __init__(self, thread: LoopThread, session: "Session", tag: int, body: bytes) -> None:
        self._thread, self._session, self._tag = thread, session, tag
        self.body = body

    def ack(self) -> None:
        self._settle("basic_ack")

    def retry(self) -> None:
        self._settle("basic_nack", requeue=True)

    def reject(self) -> None:
        self._settle("basic_reject", requeue=False)

    def _settle(self, verb: str, **options: bool) -> None:
        async def settle() -> None:
            self._session.settle(verb, self._tag, **options)

        try:
            self._thread.run(settle, _ANSWER_SECONDS)
        except Unavailable as error:
            _log.debug("delivery_of_a_lost_connection", verb=verb, why=str(error))
