"""From deliveries to the pipeline: who is acknowledged, who is given back, who is dead."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

import structlog

from facematch.broker import Broker, Delivery
from facematch.errors import Misconfigured, NotFound, Unavailable
from facematch.failpoints import reached
from facematch.job import NewerMessage

#: Jobs that a worker has in hand for each picture it looks at: the others wait for a server, for
#: Redis or for the index meanwhile, and leave the processor to it.
HANDS_PER_SLOT = 4

_log = structlog.get_logger()

_RECEIVE_SECONDS = 1.0
_PAUSE_SECONDS = 1.0
#: For so long a worker believes that the parts it needs are still there.
_READY_SECONDS = 1.0

_Work = TypeVar("_Work")


def consume(
    broker: Broker,
    decode: Callable[[bytes], _Work],
    process: Callable[[_Work], object],
    ready: Callable[[], None],
    stop: threading.Event,
    hands: int = 1,
    about: Callable[[_Work], Mapping[str, str]] = lambda work: {"job": str(work)},
) -> None:
    """Take messages and process what they are about, up to `hands` at a time, until `stop` is set.

    `decode` raises ValueError for what is no message of this queue, and NewerMessage for one that a
    newer worker is to have. `ready` raises Unavailable
    while the parts that `process` needs are not all there; no message is taken meanwhile, so that
    another worker can have it. Raises Misconfigured when one of them does; the messages in hand are
    finished or given back first. `about`: what each line of the log says of the work it is for.
    """
    _Consumer(broker, decode, process, ready, stop, hands, about).run()


class _Consumer(Generic[_Work]):
    def __init__(
        self,
        broker: Broker,
        decode: Callable[[bytes], _Work],
        process: Callable[[_Work], object],
        ready: Callable[[], None],
        stop: threading.Event,
        hands: int,
        about: Callable[[_Work], Mapping[str, str]],
    ) -> None:
        self._about = about
        self._broker, self._decode, self._process = broker, decode, process
        self._ready, self._stop = ready, stop
        self._hands = hands
        self._free = threading.Semaphore(hands)
        self._busy = 0
        self._lock = threading.Lock()
        self._ready_until = 0.0
        self._misconfigured: Misconfigured | None = None

    def run(self) -> None:
        with ThreadPoolExecutor(self._hands, "hand") as pool:
            while not self._done():
                if self._free.acquire(timeout=_RECEIVE_SECONDS):
                    delivery = None if self._done() else self._next()
                    if delivery is None:
                        self._free.release()
                    else:
                        with self._lock:
                            self._busy += 1
                        pool.submit(self._work, delivery)
        if self._misconfigured is not None:
            raise self._misconfigured

    def _done(self) -> bool:
        return self._stop.is_set() or self._misconfigured is not None

    def _next(self) -> Delivery | None:
        if not self._is_ready():
            return None
        try:
            return self._broker.receive(_RECEIVE_SECONDS)
        except Unavailable as error:
            self._wait(error)
            return None

    def _is_ready(self) -> bool:
        if time.monotonic() < self._ready_until:
            return True
        try:
            self._ready()
        except Unavailable as error:
            with self._lock:
                idle = self._busy == 0
            if idle:
                self._broker.rest()
            self._wait(error)
            return False
        self._ready_until = time.monotonic() + _READY_SECONDS
        return True

    def _wait(self, error: Unavailable) -> None:
        _log.warning("waiting", code=error.code, detail=str(error))
        self._stop.wait(_PAUSE_SECONDS)

    def _work(self, delivery: Delivery) -> None:
        try:
            self._handle(delivery)
        except Misconfigured as error:
            self._misconfigured = error
        finally:
            with self._lock:
                self._busy -= 1
            self._free.release()

    def _handle(self, delivery: Delivery) -> None:
        try:
            work = self._decode(delivery.body)
        except NewerMessage as error:
            _log.warning("left to a newer worker", detail=str(error))
            # First: each free hand would take it again at once, until it is a dead letter.
            self._stop.wait(_PAUSE_SECONDS)
            delivery.retry()
            return
        except ValueError as error:
            _log.error("not a message of this queue", detail=str(error))
            delivery.reject()
            return
        structlog.contextvars.clear_contextvars()
        with structlog.contextvars.bound_contextvars(**self._about(work)):
            try:
                self._process(work)
            except NotFound as error:
                _log.warning("no such job any more", detail=str(error))
            except Unavailable as error:
                # Whatever there is of a collection that is being erased is not worked on any more.
                if error.code != "collection_erasing":
                    _log.warning("given back", code=error.code, detail=str(error))
                    self._ready_until = 0.0
                    delivery.retry()
                    self._stop.wait(_PAUSE_SECONDS)
                    return
                _log.warning("no such job any more", detail=str(error))
            except Misconfigured:
                delivery.retry()
                raise
            except Exception:  # noqa: BLE001 - whatever it is, the attempts counted in the job end it
                _log.exception("given back after an error of ours")
                delivery.retry()
                self._stop.wait(_PAUSE_SECONDS)
                return
            delivery.ack()
            reached("after_ack")
