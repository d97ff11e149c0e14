"""A worker's part in a reindex, beside its jobs: it works on ranges as they come, and looks after
those that were left lying."""

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping

import structlog

from facematch.background import stand_back
from facematch.broker import Broker
from facematch.collection_name import DEFAULT
from facematch.errors import NotFound, Unavailable
from facematch.jitter import jittered
from facematch.job import RangeMessage
from facematch.reindex import BREATH_SECONDS, publish_due
from facematch.reindexing import Phase, Range
from worker.consumer import consume
from worker.ranges import RangeParts, rebuild
from worker.rounds import unless_erased

#: One at a time: the store has time for requests while the index is asked. With two, a request
#: waits twice as long.
HANDS = 1
#: Before each chunk that is written, and each question to the index, so long for jobs in hand.
WAY_SECONDS = 0.01
_PAUSE_SECONDS = 1.0
#: One worker at a time forgets what was given up.
_LEASE_SECONDS = 60.0

_log = structlog.get_logger()


def keep_rebuilding(
    of: Callable[[str], RangeParts],
    look: Callable[[], Iterable[RangeParts]],
    broker: Broker,
    forget: Callable[[RangeParts], bool],
    *,
    seconds: float,
    age: float,
    stop: threading.Event,
) -> None:
    """Work on ranges until `stop` is set, and every `seconds` or so publish again those that nobody
    has looked after for `age` seconds; for a thread of its own.

    `of`: the parts of a collection; `look`: those of the collections that are looked at, each time.
    `forget`: forgets a portion of what a reindex has given up; whether nothing of it is left."""
    sweeper = threading.Thread(
        target=_keep_sweeping, args=(look, broker, forget, seconds, age, stop), daemon=True
    )
    sweeper.start()
    worked_on = DEFAULT

    def ready() -> None:
        try:
            parts = of(worked_on)
            if parts.reindexing.current() is not None:
                parts.neighbours.check()
        except NotFound:
            return  # erased meanwhile: the next message is of another one

    def work(message: RangeMessage) -> None:
        nonlocal worked_on
        stand_back()
        worked_on = message.collection
        parts = of(worked_on)
        begun = time.monotonic()
        done = rebuild(message, parts)
        if done is not None:
            rest(done, parts, time.monotonic() - begun, stop)

    while not stop.is_set():
        try:
            consume(broker, RangeMessage.decode, work, ready, stop, HANDS, _about)
        except Exception:  # noqa: BLE001 - jobs go on, and so shall ranges
            _log.exception("work on ranges failed")
            stop.wait(_PAUSE_SECONDS)
    sweeper.join()


def _about(message: RangeMessage) -> Mapping[str, str]:
    return {"range": str(message)}


def rest(done: Range, parts: RangeParts, spent: float, stop: threading.Event) -> None:
    """Rest as long as the share of a reindex wants it after so many seconds of work for it; no
    longer when that changes meanwhile. Raises Unavailable."""
    begun, share = time.monotonic(), done.share
    while (left := begun + spent * (1 - share) / share - time.monotonic()) > 0:
        if stop.wait(min(left, _PAUSE_SECONDS)):
            return
        found = parts.reindexing.current()
        if found is None or found.id != done.reindex or found.phase is not Phase.BUILDING:
            return
        share = found.share


def _keep_sweeping(
    look: Callable[[], Iterable[RangeParts]],
    broker: Broker,
    forget: Callable[[RangeParts], bool],
    seconds: float,
    age: float,
    stop: threading.Event,
) -> None:
    name = secrets.token_hex(8)
    while not stop.wait(jittered(seconds)):
        try:
            for parts in look():
                with unless_erased():
                    publish_due(parts.reindexing, broker, age, parts.collection)
                    while parts.store.lease("dropping", name, _LEASE_SECONDS):
                        if forget(parts) or stop.wait(BREATH_SECONDS):
                            parts.store.lease("dropping", name, 0)
                            break
        except Unavailable as error:
            _log.warning("sweep of ranges put off", code=error.code, detail=str(error))
        except Exception:  # noqa: BLE001 - the next sweep may do better, a dead sweeper cannot
            _log.exception("sweep of ranges failed")
