"""A worker's part in keeping a vector database in step, for all collections but the default one,
whose feeder has a thread of its own."""

import threading
from collections.abc import Callable, Iterable

import structlog

from facematch.errors import NotFound, Unavailable
from facematch.feeder import Feeder

SECONDS = 0.25
_MOST_SECONDS_BETWEEN_TRIES = 5.0

_log = structlog.get_logger()


def keep_feeding(
    look: Callable[[], Iterable[Feeder | None]], stop: threading.Event, *, seconds: float = SECONDS
) -> None:
    """Feed one after the other until `stop` is set; for a thread of its own. `look`: those of the
    collections that are looked at, each time."""
    pause = seconds
    while not stop.wait(pause):
        pause = seconds
        try:
            for feeder in look():
                if feeder is not None:
                    _turn(feeder, stop)
        except Unavailable as error:
            pause = _MOST_SECONDS_BETWEEN_TRIES
            _log.warning("cannot feed the index", code=error.code, reason=str(error))
        except Exception:  # noqa: BLE001 - the next turn may do better, a dead feeder cannot
            pause = _MOST_SECONDS_BETWEEN_TRIES
            _log.exception("feeding the index failed")


def _turn(feeder: Feeder, stop: threading.Event) -> None:
    try:
        feeder.turn(stop)
    except NotFound:  # erased meanwhile
        return
