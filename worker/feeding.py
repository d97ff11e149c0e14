"""A worker's part in keeping a vector database in step, for all collections but the default one,
whose feeder has a thread of its own."""

import threading
import time
from collections.abc import Callable, Iterable

import structlog

from facematch.errors import NotFound, Unavailable
from facematch.feeder import Feeder

SECONDS = 0.25
#: One is fed for so long before it is another one's turn.
TURN_SECONDS = 1.0
#: One that cannot be fed is left alone for so long, or for so many times as long as it took to find
#: that out: what has to be waited for is not to take most of the time.
_LEFT_SECONDS, _LEFT_TIMES = 5.0, 10

_log = structlog.get_logger()


def keep_feeding(
    look: Callable[[], Iterable[tuple[str, Feeder | None]]],
    stop: threading.Event,
    *,
    seconds: float = SECONDS,
) -> None:
    """Feed one after the other until `stop` is set; for a thread of its own. `look`: those of the
    collections that are looked at, by name, each time."""
    pause = seconds
    left_until: dict[str, float] = {}
    while not stop.wait(pause):
        pause = seconds
        try:
            for name, feeder in look():
                if feeder is None or time.monotonic() < left_until.get(name, 0.0):
                    continue
                began = time.monotonic()
                if not _turn(name, feeder, stop):
                    now = time.monotonic()
                    left_until[name] = now + max(_LEFT_SECONDS, _LEFT_TIMES * (now - began))
        except Unavailable as error:
            pause = _LEFT_SECONDS
            _log.warning("cannot feed the index", code=error.code, reason=str(error))
        except Exception:  # noqa: BLE001 - the next turn may do better, a dead feeder cannot
            pause = _LEFT_SECONDS
            _log.exception("feeding the index failed")
        now = time.monotonic()
        left_until = {name: until for name, until in left_until.items() if now < until}


def _turn(name: str, feeder: Feeder, stop: threading.Event) -> bool:
    """Whether it can be fed. What is wrong about it is not the others' fault."""
    try:
        feeder.turn(stop, TURN_SECONDS)
    except NotFound:  # erased meanwhile
        pass
    except Unavailable as error:
        if error.code == "store_unavailable":
            raise
        about = {"collection": name, "code": error.code, "reason": str(error)}
        _log.warning("cannot feed the index", **about)
        return False
    except Exception:  # noqa: BLE001 - the next turn may do better
        _log.exception("feeding the index failed", collection=name)
        return False
    return True
