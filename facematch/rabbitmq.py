"""A connection to RabbitMQ, for the RabbitMQ broker: the only module that imports `pika`."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pika
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.exceptions import AMQPError, ConnectionClosedByClient

from facematch import tls
from facematch.errors import Misconfigured, Unavailable

CODE = "broker_unavailable"
CONNECT_SECONDS = 4.0
_GOODBYE_SECONDS = 1.0


def parameters(url: str, heartbeat: int) -> Any:
    """What `Session.open` needs, of an amqp:// or amqps:// URL and a heartbeat in seconds.

    The latter is as facematch.tls has it.
    Raises Misconfigured.
    """
    # Each loss is logged by who uses the session, once; the driver would log it in ten lines.
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    try:
        plain, files = tls.split(url)
        made = pika.URLParameters(plain)
    except (ValueError, TypeError):
        # The driver's own words may quote the password.
        raise Misconfigured(
            "a RabbitMQ URL is amqp://user:password@host:port/virtual-host, or amqps://"
        ) from None
    if files:
        made.ssl_options = pika.SSLOptions(files.context())
    made.heartbeat = heartbeat
    made.connection_attempts = 1
    made.socket_timeout = CONNECT_SECONDS
    made.stack_timeout = CONNECT_SECONDS
    made.blocked_connection_timeout = None
    return made


class Session:
    """A connection with one channel; when one of them ends, both do. For one event loop."""

    def __init__(self) -> None:
        #: Done when the session has ended; why, or nothing when it was closed here.
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._inbox: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue()
        #: By number: True when the broker has the message, False when it found no queue for it.
        self._unconfirmed: dict[int, asyncio.Future[bool | Unavailable]] = {}
        self._published = 0
        self._blocked = ""
        self._unsettled = 0
        self._heard = asyncio.get_running_loop().time()
        self._leaving = False
        self._connection: Any = None
        self._channel: Any = None

    @classmethod
    async def open(
        cls, parameters: Any, prepare: "Callable[[Session], Awaitable[None]]"
    ) -> "Session":
        """Connect, then `prepare`. Raises Unavailable."""
        self = cls()
        try:
            await self._answer(lambda done: self._connect(parameters, done))
            self._connection.add_on_connection_blocked_callback(self._on_blocked)
            self._connection.add_on_connection_unblocked_callback(self._on_unblocked)
            self._channel = await self._answer(
                lambda done: self._connection.channel(on_open_callback=done)
            )
            self._channel.add_on_close_callback(lambda _, error: self._end(error))
            self._channel.add_on_cancel_callback(lambda _: self._end("the queue was deleted"))
            self._channel.add_on_return_callback(self._on_return)
            await prepare(self)
        except BaseException:
            self._abort()
            raise
        return self

    async def declare(self, queue: str, arguments: dict[str, Any]) -> int:
        """Make a durable queue unless it is there; how many messages wait in it."""
        answer = await self._answer(
            lambda done: self._channel.queue_declare(
                queue, durable=True, arguments=arguments, callback=done
            )
        )
        return int(answer.method.message_count)

    async def confirm(self) -> None:
        """From now on, hear of every message whether the broker has it."""
        await self._answer(lambda done: self._channel.confirm_delivery(self._on_confirm, done))

    async def consume(self, queue: str, prefetch: int) -> None:
        """From now on, get messages, up to `prefetch` before one of them is settled."""
        await self._answer(
            lambda done: self._channel.basic_qos(prefetch_count=prefetch, callback=done)
        )
        await self._answer(
            lambda done: self._channel.basic_consume(queue, self._on_message, callback=done)
        )

    @property
    def server(self) -> str:
        """The server's name and version, as it says."""
        about = self._connection.server_properties or {}
        return f"{about.get('product', 'AMQP')} {about.get('version', '')}".rstrip()

    @property
    def idle(self) -> float:
        """Seconds without a message, and without one in hand."""
        return 0.0 if self._unsettled else asyncio.get_running_loop().time() - self._heard

    async def next(self) -> tuple[int, bytes]:
        """The tag and body of the next message. Raises Unavailable once the session is lost."""
        arrived = await self._inbox.get()
        if arrived is None:
            self._inbox.put_nowait(None)
            raise Unavailable(CODE, self.lost.result())
        return arrived

    async def publish(self, queue: str, body: bytes) -> bool:
        """Whether there is such a queue; returns when the broker has the message."""
        if self._blocked:
            raise Unavailable(CODE, self._blocked)
        number = self._published + 1
        properties = pika.BasicProperties(delivery_mode=2, message_id=str(number))
        try:
            self._channel.basic_publish("", queue, body, properties, mandatory=True)
        except AMQPError as error:
            raise Unavailable(CODE, repr(error)) from error
        self._published = number
        self._unconfirmed[number] = asyncio.get_running_loop().create_future()
        try:
            answer = await self._unconfirmed[number]
        finally:
            del self._unconfirmed[number]
        if isinstance(answer, Unavailable):
            raise answer
        return answer

    def settle(self, verb: str, tag: int, **options: bool) -> None:
        """Say what became of a message. Raises Unavailable once the session is lost."""
        if self.lost.done():
            raise Unavailable(CODE, self.lost.result())
        try:
            getattr(self._channel, verb)(tag, **options)
        except AMQPError as error:
            raise Unavailable(CODE, repr(error)) from error
        self._unsettled -= 1
        self._heard = asyncio.get_running_loop().time()

    async def close(self) -> None:
        """Say goodbye to the broker, which puts back what is unacknowledged."""
        self._leaving = True
        if self._connection.is_open:
            self._connection.close()
            await asyncio.wait({self.lost}, timeout=_GOODBYE_SECONDS)
        self._abort()

    def _connect(self, parameters: Any, done: Callable[[Any], None]) -> None:
        self._connection = AsyncioConnection(
            parameters,
            on_open_callback=done,
            on_open_error_callback=lambda _, error: self._end(error),
            on_close_callback=lambda _, error: self._end(error),
            custom_ioloop=asyncio.get_running_loop(),
        )

    async def _answer(self, ask: Callable[[Callable[[Any], None]], object]) -> Any:
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def done(answer: Any) -> None:
            if not answered.done():
                answered.set_result(answer)

        if self._blocked:
            raise Unavailable(CODE, self._blocked)
        try:
            ask(done)
        except AMQPError as error:
            raise Unavailable(CODE, repr(error)) from error
        await asyncio.wait({answered, self.lost}, return_when=asyncio.FIRST_COMPLETED)
        if not answered.done():
            raise Unavailable(CODE, self.lost.result())
        return answered.result()

    def _abort(self) -> None:
        if self._connection is None or self._connection.is_closed:
            return
        if self._connection.is_open or self._connection.is_closing:
            # pika has no public way to leave a broker that does not answer.
            self._connection._terminate_stream(ConnectionClosedByClient(200, "gone"))
        else:
            self._connection.close()

    def _end(self, why: object) -> None:
        if self.lost.done():
            return
        text = why if isinstance(why, str) else repr(why)
        self.lost.set_result("" if self._leaving else text)
        self._inbox.put_nowait(None)
        self._decide(self._unconfirmed, Unavailable(CODE, self.lost.result()))
        self._abort()

    def _on_message(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        self._unsettled += 1
        self._inbox.put_nowait((method.delivery_tag, body))

    def _on_confirm(self, frame: Any) -> None:
        tag = frame.method.delivery_tag
        numbers = [n for n in self._unconfirmed if n == tag or (frame.method.multiple and n < tag)]
        taken = isinstance(frame.method, pika.spec.Basic.Ack)
        refused = Unavailable(CODE, "the broker refused the message")
        self._decide(numbers, True if taken else refused)

    def _on_return(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        self._decide([int(properties.message_id)], False)

    def _on_blocked(self, connection: Any, frame: Any) -> None:
        self._blocked = f"the broker takes no messages: {frame.method.reason}"
        self._decide(self._unconfirmed, Unavailable(CODE, self._blocked))

    def _on_unblocked(self, connection: Any, frame: Any) -> None:
        self._blocked = ""

    def _decide(self, numbers: Iterable[int], answer: bool | Unavailable) -> None:
        for number in numbers:
            fate = self._unconfirmed.get(number)
            if fate is not None and not fate.done():
                fate.set_result(answer)
