"""A worker's part in keeping people up, beside its jobs: it groups anew what is marked."""

import secrets
import threading
import time
from collections.abc import Callable, Iterable

import structlog

from facematch.background import stand_back
from facematch.errors import Unavailable
from facematch.people import People
from facematch.regrouping import regroup
from facematch.store import Store
from worker.rounds import unless_erased

#: How often to look for marks, and for how long one worker does it alone.
SECONDS = 2.0
_LEASE_SECONDS = 10.0
_LEASE = "people"
#: While jobs are in hand, so many times as long as a portion took they come first.
_REST, _LONGEST_REST = 4, 10.0

_log = structlog.get_logger()


def keep_grouping(
    look: Callable[[], Iterable[tuple[Store, People]]],
    stop: threading.Event,
    *,
    give_way: Callable[[float], object] = lambda seconds: None,
    seconds: float = SECONDS,
) -> None:
    """Group anew what is marked until `stop` is set; for a thread of its own. `look`: the
    collections to be looked at, each time. `give_way`: waits until no job is in hand, but no longer
    than so many seconds.

    The lease only spares several workers from doing the same: what is written is right without it.
    """
    stand_back()
    name = secrets.token_hex(8)
    while not stop.wait(seconds):
        try:
            for store, people in look():
                with unless_erased():
                    _group(store, people, name, stop, give_way)
        except Unavailable as error:
            _log.warning("grouping put off", code=error.code, detail=str(error))
        except Exception:  # noqa: BLE001 - jobs go on, and so shall people
            _log.exception("grouping failed")


def _group(
    store: Store,
    people: People,
    name: str,
    stop: threading.Event,
    give_way: Callable[[float], object],
) -> None:
    while store.lease(_LEASE, name, _LEASE_SECONDS):
        begun = time.monotonic()
        if stop.is_set() or not regroup(store, people):
            store.lease(_LEASE, name, 0)
            break
        give_way(min(_LONGEST_REST, _REST * (time.monotonic() - begun)))
