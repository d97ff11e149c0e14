"""A worker's part in a reindex, beside its jobs: it works on ranges as they come, and looks after
those that were left lying."""

import threading
import time

import structlog

from facematch.background import stand_back
from facematch.broker import Broker
from facematch.errors import Unavailable
from facematch.job import RangeMessage
from facematch.reindex import publish_due
from worker.consumer import consume
from worker.ranges import RangeParts, rebuild

#: One at a time: the store has time for requests while the index is asked. With two, a request
#: waits twice as long.
HANDS = 1

_log = structlog.get_logger()


def keep_rebuilding(
    parts: RangeParts, broker: Broker, *, seconds: float, age: float, stop: threading.Event
) -> None:
    """Work on ranges until `stop` is set, and every `seconds` publish again those that nobody has
    looked after for `age` seconds; for a thread of its own."""
    sweeper = threading.Thread(
        target=_keep_sweeping, args=(parts, broker, seconds, age, stop), daemon=True
    )
    sweeper.start()

    def ready() -> None:
        if parts.reindexing.current() is not None:
            parts.neighbours.check()

    def work(message: RangeMessage) -> None:
        stand_back()
        begun = time.monotonic()
        done = rebuild(message, parts)
        if done is not None:
            spent = time.monotonic() - begun
            stop.wait(spent * (1 - done.share) / done.share)

    try:
        consume(broker, RangeMessage.decode, work, ready, stop, HANDS)
    finally:
        sweeper.join()


def _keep_sweeping(
    parts: RangeParts, broker: Broker, seconds: float, age: float, stop: threading.Event
) -> None:
    while not stop.wait(seconds):
        try:
            publish_due(parts.reindexing, broker, age)
            while not stop.is_set() and not parts.reindexing.drop_some():
                pass
        except Unavailable as error:
            _log.warning("sweep of ranges put off", code=error.code, detail=str(error))
        except Exception:  # noqa: BLE001 - the next sweep may do better, a dead sweeper cannot
            _log.exception("sweep of ranges failed")
