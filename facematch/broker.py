"""The port to the message broker, and the in-memory one.

The broker only wakes workers up: a lost message costs a delay (the sweeper publishes again),
a duplicate costs nothing (every step is idempotent).
"""

import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

from facematch.job import Message, RangeMessage

#: What was left lying is published again only while fewer messages than this wait: with more,
#: nobody is idle, and publishing again what still waits would only lengthen the queue.
QUEUE_ENOUGH = 1000


class Delivery(Protocol):
    """One message in hand. Exactly one of the three verbs is called, once."""

    @property
    def body(self) -> bytes:
        """The message as it came; `Message.decode` reads it."""

    def ack(self) -> None:
        """Done with it, for good."""

    def retry(self) -> None:
        """Give it back; another worker, or this one later, shall have it."""

    def reject(self) -> None:
        """It is no message of ours: to the dead letters."""


class Broker(Protocol):
    """What api, worker and sweeper need of a broker, for one queue. Unless it says otherwise, a
    method raises Unavailable("broker_unavailable") when the broker does not answer."""

    def publish(self, message: Message | RangeMessage) -> None:
        """Send a wake-up, durably; returns when the broker has it."""

    def receive(self, timeout: float) -> Delivery | None:
        """The next message, or None after `timeout` seconds. Several may be in hand, up to what
        the broker was opened for."""

    def rest(self) -> None:
        """Give back what waits here and take no more until the next `receive`.

        For who has no message in hand and cannot work for a while. Never raises.
        """

    def depth(self) -> int:
        """How many messages wait, about."""

    def dead_letters(self) -> int:
        """How many messages were rejected, about."""

    def server(self) -> str:
        """The name of the broker's server and its version, such as "RabbitMQ 4.1.0"."""

    def close(self) -> None:
        """Give back what is in hand and disconnect."""


class Queues:
    """The brokers of the queues of several editions, each opened when it is first asked for. Safe
    to share between threads."""

    def __init__(self, open_queue: Callable[[int], Broker]) -> None:
        """`open_queue`: the broker of the queue with the jobs of an edition."""
        self._open = open_queue
        self._lock = threading.Lock()
        self._opened: dict[int, Broker] = {}

    def of(self, edition: int) -> Broker:
        """That of an edition."""
        with self._lock:
            if edition not in self._opened:
                self._opened[edition] = self._open(edition)
            return self._opened[edition]

    def close(self) -> None:
        """Close all."""
        with self._lock:
            for broker in self._opened.values():
                broker.close()


class MemoryBroker:
    """A broker in one process, for tests: messages are really encoded and decoded."""

    def __init__(self) -> None:
        self._ready: deque[bytes] = deque()
        self._changed = threading.Condition()
        self.dead: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def publish(self, message: Message | RangeMessage) -> None:
        """See Broker."""
        self._put(message.encode())

    def receive(self, timeout: float) -> Delivery | None:
        """See Broker."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._ready, timeout):
                return None
            return _MemoryDelivery(self, self._ready.popleft())

    def rest(self) -> None:
        """See Broker; nothing is taken before it is asked for."""

    def depth(self) -> int:
        """See Broker."""
        return len(self._ready)

    def dead_letters(self) -> int:
        """See Broker."""
        return self.dead.qsize()

    def server(self) -> str:
        """See Broker; there is none."""
        return "memory"

    def purge(self) -> None:
        """Lose every waiting message."""
        with self._changed:
            self._ready.clear()

    def close(self) -> None:
        """See Broker; nothing is connected."""

    def _put(self, body: bytes) -> None:
        with self._changed:
            self._ready.append(body)
            self._changed.notify()


class _MemoryDelivery:
    def __init__(self, broker: MemoryBroker, body: bytes) -> None:
        self._broker = broker
        self.body = body

    def ack(self) -> None:
        pass

    def retry(self) -> None:
        self._broker._put(self.body)

    def reject(self) -> None:
        self._broker.dead.put(self.body)
