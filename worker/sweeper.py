"""Finishes what was left lying: lost messages, dead workers, half-done erasures.

Every worker sweeps. The store hands a job or image that was left lying to one of them, and all
steps are idempotent: so no locks and no leases.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import structlog

from facematch.broker import QUEUE_ENOUGH, Broker
from facematch.collection_name import DEFAULT
from facematch.errors import Unavailable
from facematch.jitter import jittered
from facematch.job import Message
from facematch.store import Store
from worker.rounds import unless_erased

_log = structlog.get_logger()

_IMAGES_AT_ONCE = 100


@dataclass(frozen=True)
class Swept:
    """A collection that is swept. `finish`: brings an image to done."""

    store: Store
    finish: Callable[[str], None]
    collection: str = DEFAULT


def sweep(
    store: Store,
    broker: Broker,
    finish: Callable[[str], None],
    age: float,
    collection: str = DEFAULT,
) -> None:
    """Do once all that was not looked after for `age` seconds, in this collection.

    Raises Unavailable when a part is not there.
    """
    for position in store.erasing():
        while not store.unlink(position):
            pass
    room = QUEUE_ENOUGH - broker.depth()
    jobs = store.due_jobs(room, age) if room > 0 else []
    for job in jobs:
        broker.publish(Message(job, collection=collection))
    if jobs:
        _log.info("published jobs again", count=len(jobs), collection=collection)
    for _ in range(_IMAGES_AT_ONCE):
        # One by one: without an index the first fails, and the others are left to other workers.
        images = store.due_images(1, age)
        if not images:
            return
        _finish(images[0], finish)


def _finish(image: str, finish: Callable[[str], None]) -> None:
    with structlog.contextvars.bound_contextvars(image=image):
        _log.info("finishing an image that was left indexed")
        try:
            finish(image)
        except Unavailable:
            raise
        except Exception:  # noqa: BLE001 - one image must not keep the others waiting
            _log.exception("cannot finish")


def keep_sweeping(
    look: Callable[[], Iterable[Swept]],
    broker: Broker,
    *,
    seconds: float,
    age: float,
    stop: threading.Event,
) -> None:
    """Sweep every `seconds` or so until `stop` is set; for a thread of its own. `look`: the
    collections to be swept then."""
    while not stop.wait(jittered(seconds)):
        try:
            for one in look():
                _sweep(one, broker, age)
        except Unavailable as error:
            _log.warning("sweep put off", code=error.code, detail=str(error))
        except Exception:  # noqa: BLE001 - the next sweep may do better, a dead sweeper cannot
            _log.exception("sweep failed")


def _sweep(one: Swept, broker: Broker, age: float) -> None:
    """One that cannot be finished now, or is gone, does not keep the others waiting."""
    try:
        with unless_erased():
            sweep(one.store, broker, one.finish, age, one.collection)
    except Unavailable as error:
        if one.collection == DEFAULT or error.code in ("store_unavailable", "broker_unavailable"):
            raise
        about = {"collection": one.collection, "code": error.code, "detail": str(error)}
        _log.warning("sweep put off", **about)
