"""The broker in Redis Streams, for where there is no RabbitMQ: a consumer group, Redis or Valkey 7.

The one home of its keys. An entry is removed when it is acknowledged, so the stream is what
waits plus what is in hand.
"""

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import structlog

from facematch.broker import Delivery
from facematch.errors import Unavailable
from facematch.job import QUEUE, Message, RangeMessage
from facematch.redis_connection import Redis, ResponseError, connect, info_of, server_of, translated
from facematch.redis_functions import ServerScript, Source

GROUP = "workers"

_CODE = "broker_unavailable"
_MOST_DEAD_LETTERS = 10_000
#: Below the driver's time limit for an answer, with room to spare.
_BLOCK_SECONDS = 2.0
_ANSWER_SECONDS = 5.0
_PAUSE = 0.5
_START = "0-0"
#: One step looks at ten entries in hand of others.
_CLAIM_STEPS = 10
#: More than one process ever has in hand.
_ALL_OURS = 1000
_BODY = b"body"
#: A consumer that got nothing for so many leases is taken for gone; if it is not, it comes back
#: by itself.
_GONE_LEASES = 10

_Entry = tuple[bytes, bytes]

#: Atomic, because deleting a consumer forgets what it has in hand.
FORGET = Source(
    "forget_consumers",
    """
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local about = {}
  for i = 1, #consumer, 2 do about[consumer[i]] = consumer[i + 1] end
  if about.pending == 0 and about.idle > tonumber(ARGV[3]) and about.name ~= ARGV[2] then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], about.name)
  end
end
""",
)

_log = structlog.get_logger()


def stream_of(queue: str) -> str:
    """The key of a queue's stream. The hash tag keeps it in one slot of a cluster with that of its
    dead letters, for the transactions over both."""
    return f"fm:queue:{{{queue.rpartition('.')[2]}}}"


def dead_stream_of(queue: str) -> str:
    """The key of the stream of a queue's dead letters."""
    return f"{stream_of(queue)}:dead"


class StreamsBroker:
    """See facematch.broker.Broker. For any thread; its first use must be behind a fork.

    What a process that died had in hand goes to another one after `lease` seconds; a process
    that lives keeps it, however long it works on it. While the broker is away, `publish` and
    `depth` raise Unavailable; `receive` goes on trying for its `timeout` and then raises it, so
    that a loop around it does not spin; the verbs of a delivery then do nothing, and it comes
    again.
    """

    def __init__(self, url: str, *, queue: str = QUEUE, lease: float = 60.0) -> None:
        """`url`: see redis_connection.connect; `lease`: seconds. Raises Misconfigured."""
        self._stream, self._dead_stream = stream_of(queue), dead_stream_of(queue)
        self._redis: Redis = connect(url, timeout=_ANSWER_SECONDS)
        self._forget = ServerScript(self._redis, FORGET)
        self._lease = lease
        self._name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._lock = threading.Lock()
        self._in_hand: set[bytes] = set()
        #: Whether there may be entries given to us of which we do not know: a lost answer.
        self._astray = False
        self._keeper: threading.Thread | None = None
        self._closed = threading.Event()
        self._cursor: bytes | str = _START
        self._next_claim = self._next_tidying = time.monotonic()

    def publish(self, message: Message | RangeMessage) -> None:
        """See Broker."""
        self._check_open()
        with translated(_CODE):
            self._redis.xadd(self._stream, {_BODY: message.encode()})

    def receive(self, timeout: float) -> Delivery | None:
        """See Broker."""
        until = time.monotonic() + timeout
        while True:
            self._check_open()
            self._start_keeper()
            try:
                entry = self._next(until - time.monotonic())
            except Unavailable:
                self._astray = True
                if (left := until - time.monotonic()) <= 0:
                    raise
                self._closed.wait(min(left, _PAUSE))
                continue
            if entry is not None:
                return self._delivery(*entry)
            if time.monotonic() >= until:
                return None

    def rest(self) -> None:
        """See Broker; nothing is taken before it is asked for."""

    def depth(self) -> int:
        """See Broker. Those in hand do not count."""
        self._check_open()

        def read() -> int:
            with self._redis.pipeline(transaction=True) as pipe:
                pipe.xlen(self._stream)
                pipe.xpending(self._stream, GROUP)
                length, pending = pipe.execute()
            return max(0, int(length) - int(pending["pending"]))

        return int(self._grouped(read))

    def dead_letters(self) -> int:
        """See Broker."""
        self._check_open()
        with translated(_CODE):
            return int(self._redis.xlen(self._dead_stream))

    def server(self) -> str:
        """See Broker."""
        self._check_open()
        with translated(_CODE):
            return server_of(info_of(self._redis))

    def close(self) -> None:
        """See Broker."""
        if self._closed.is_set():
            return
        self._closed.set()
        if self._keeper is not None:
            self._keeper.join(_ANSWER_SECONDS)
            try:
                self._leave()
            except Unavailable as error:
                _log.debug("left_to_the_lease", why=str(error))
        self._redis.close()

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise Unavailable(_CODE, "it was closed")

    # -- getting entries

    def _next(self, left: float) -> _Entry | None:
        entry = self._recover() if self._astray else None
        if entry is None and time.monotonic() >= self._next_claim:
            entry = self._claim()
        if entry is None:
            entry = self._read(left)
        if entry is None:
            self._tidy()
            entry = self._claim()
        if entry is not None:
            with self._lock:
                self._in_hand.add(entry[0])
        return entry

    def _read(self, left: float) -> _Entry | None:
        # BLOCK 0 would be for ever.
        block = int(min(left, _BLOCK_SECONDS) * 1000) or None if left > 0 else None
        entries = self._read_group(">", 1, block)
        return entries[0] if entries else None

    def _recover(self) -> _Entry | None:
        with self._lock:
            known = set(self._in_hand)
        for entry in self._read_group("0", _ALL_OURS):
            if entry[0] not in known:
                return entry
        self._astray = False
        return None

    def _claim(self) -> _Entry | None:
        self._next_claim = time.monotonic() + self._lease / 4
        for _ in range(_CLAIM_STEPS):
            self._cursor, entries, *_deleted = self._grouped(
                lambda: self._redis.xautoclaim(
                    self._stream, GROUP, self._name, int(self._lease * 1000), self._cursor, count=1
                )
            )
            for entry_id, fields in entries:
                if entry_id not in self._in_hand:
                    return entry_id, fields[_BODY]
            if self._cursor == _START.encode():
                break
        return None

    def _read_group(self, after: str, count: int, block: int | None = None) -> list[_Entry]:
        answer = self._grouped(
            lambda: self._redis.xreadgroup(
                GROUP, self._name, {self._stream: after}, count=count, block=block
            )
        )
        # An entry that was deleted while it was ours comes without fields.
        return [(id_, fields[_BODY]) for _, entries in answer for id_, fields in entries if fields]

    def _grouped(self, ask: Callable[[], Any]) -> Any:
        with translated(_CODE):
            try:
                return ask()
            except ResponseError as error:
                # Nobody has been here before, or somebody flushed Redis.
                if not any(word in str(error) for word in ("NOGROUP", "UNBLOCKED")):
                    raise
            try:
                self._redis.xgroup_create(self._stream, GROUP, id="0", mkstream=True)
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise
            return ask()

    # -- keeping, settling and giving back

    def _start_keeper(self) -> None:
        with self._lock:
            if self._keeper is None:
                self._keeper = threading.Thread(target=self._keep, name="lease", daemon=True)
                self._keeper.start()

    def _keep(self) -> None:
        while not self._closed.wait(self._lease / 3):
            with self._lock:
                known = set(self._in_hand)
            if not known:
                continue
            try:
                # Reading what is ours once more restarts its idle time, and only if it is
                # still ours.
                ours = self._read_group("0", _ALL_OURS)
            except Unavailable:
                continue
            if any(entry_id not in known for entry_id, _ in ours):
                self._astray = True

    def _settle(self, entry_id: bytes, add: str, body: bytes) -> None:
        with self._lock:
            if entry_id not in self._in_hand:
                _log.debug("delivery_not_in_hand", id=entry_id.decode())
                return
            self._in_hand.remove(entry_id)
        try:
            with translated(_CODE), self._redis.pipeline(transaction=True) as pipe:
                self._replace(pipe, entry_id, add, body)
                pipe.execute()
        except Unavailable as error:
            self._astray = True
            _log.debug("delivery_not_settled", id=entry_id.decode(), why=str(error))

    def _leave(self) -> None:
        with self._lock:
            self._in_hand.clear()
        ours = self._read_group("0", _ALL_OURS)
        with translated(_CODE), self._redis.pipeline(transaction=True) as pipe:
            for entry_id, body in ours:
                self._replace(pipe, entry_id, self._stream, body)
            pipe.xgroup_delconsumer(self._stream, GROUP, self._name)
            pipe.execute()

    def _tidy(self) -> None:
        if time.monotonic() < self._next_tidying:
            return
        self._next_tidying = time.monotonic() + self._lease
        gone = int(_GONE_LEASES * self._lease * 1000)
        self._grouped(lambda: self._forget(keys=[self._stream], args=[GROUP, self._name, gone]))

    def _replace(self, pipe: Any, entry_id: bytes, add: str, body: bytes) -> None:
        if add:
            bound = _MOST_DEAD_LETTERS if add == self._dead_stream else None
            pipe.xadd(add, {_BODY: body}, maxlen=bound)
        pipe.xack(self._stream, GROUP, entry_id)
        pipe.xdel(self._stream, entry_id)

    def _delivery(self, entry_id: bytes, body: bytes) -> Delivery:
        return _StreamDelivery(self._settle, self._stream, self._dead_stream, entry_id, body)


class _StreamDelivery:
    def __init__(
        self,
        settle: Callable[[bytes, str, bytes], None],
        stream: str,
        dead_stream: str,
        entry_id: bytes,
        body: bytes,
    ) -> None:
        self._finish, self._id = settle, entry_id
        self._stream, self._dead_stream = stream, dead_stream
        self.body = body

    def ack(self) -> None:
        self._finish(self._id, "", self.body)

    def retry(self) -> None:
        self._finish(self._id, self._stream, self.body)

    def reject(self) -> None:
        self._finish(self._id, self._dead_stream, self.body)
