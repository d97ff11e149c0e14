"""A worker's part in erasing whole collections, beside its jobs: it forgets what is left."""

import threading
from collections.abc import Callable, Iterable

import structlog

from facematch.collections import Collections
from facematch.errors import NotFound, Unavailable
from facematch.reindex import BREATH_SECONDS

SECONDS = 2.0

_log = structlog.get_logger()


def keep_forgetting(
    collections: Collections,
    names: Iterable[str],
    forget: Callable[[str], object],
    stop: threading.Event,
    *,
    seconds: float = SECONDS,
) -> None:
    """Forget what is being erased until `stop` is set; for a thread of its own. `names`: those that
    are looked at, each time, whether they are there at all. `forget`: called with the name of one
    of which nothing is left but in other places than the store.

    Every worker does it, and steps of several do no harm.
    """
    while not stop.wait(seconds):
        try:
            for name in (*collections.dropping(), *_gone(collections, names)):
                while not (collections.drop_some(name, forget) or stop.wait(BREATH_SECONDS)):
                    pass
        except Unavailable as error:
            _log.warning("forgetting put off", code=error.code, detail=str(error))
        except Exception:  # noqa: BLE001 - jobs go on, and so shall this
            _log.exception("forgetting failed")


def _gone(collections: Collections, names: Iterable[str]) -> list[str]:
    gone = []
    for name in names:
        try:
            collections.about(name)
        except NotFound:
            gone.append(name)
        except Unavailable as error:
            if error.code == "collection_erasing":
                gone.append(name)
    return gone
