"""Which edition of the collection a worker works for: the one that has its encoder's model."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from facematch import startup
from facematch.calibration import NAMES
from facematch.collection_name import DEFAULT, edition_name
from facematch.errors import Misconfigured
from facematch.reencoding import Editions, Reencoding
from facematch.settings import Settings
from facematch.store import Collection, Store

_Store = TypeVar("_Store", bound=Store)

_log = structlog.get_logger()


@dataclass(frozen=True)
class Joined(Generic[_Store]):
    """An edition: its number and name, its store, the threshold it was made with, and the
    calibration that was pinned."""

    number: int
    name: str
    store: _Store
    threshold: float
    calibration: str


def join(
    durable: Callable[[], list[str]],
    reencoding: Reencoding,
    open_store: Callable[[str], _Store],
    model: str,
    calibration: str,
    settings: Settings,
    stop: threading.Event,
) -> Joined[_Store] | None:
    """Wait for Redis, and join the edition of this model; make the collection, with this
    calibration and the threshold in the settings, if there is none. None when stopped meanwhile.

    `durable`: in what ways Redis may lose what it has taken; `open_store`: the store of an edition
    by its name. Raises Misconfigured.
    """

    def attempt() -> tuple[list[str], Joined[_Store], Collection]:
        weaknesses = durable()
        number = number_for(model, reencoding.editions())
        name = edition_name(DEFAULT, number)
        store = open_store(name)
        collection = store.create(model, settings.threshold, calibration)
        if collection.model == model:
            reencoding.note(number, settings.encoder, settings.detector)
        joined = Joined(number, name, store, collection.threshold, collection.calibration)
        return weaknesses, joined, collection

    told = startup.wait_for_redis(attempt, stop)
    if told is None:
        return None
    weaknesses, joined, collection = told
    for weakness in weaknesses:
        _log.warning("Redis may lose what was acknowledged", reason=weakness)
    check(collection, model)
    if joined.threshold != settings.threshold:
        _log.warning(
            "the collection keeps the threshold it was made with",
            threshold=joined.threshold,
            set=settings.threshold,
        )
    return joined


def number_for(model: str, there: Editions) -> int:
    """That of the edition for this model. Raises Misconfigured when there is none."""
    for edition in there.all:
        if edition.model in ("", model):
            return edition.number
    raise _other_model(there.served.model, model)


def check(collection: Collection, model: str) -> None:
    """Raise Misconfigured unless the collection is of this model, and its calibration known."""
    if collection.model != model:
        raise _other_model(collection.model, model)
    if collection.calibration not in {"", *NAMES}:
        raise Misconfigured(
            f"the collection has the calibration {collection.calibration!r}, this version has not"
        )


def _other_model(pinned: str, model: str) -> Misconfigured:
    return Misconfigured(
        f"the collection has encodings of {pinned}, this worker makes {model}:"
        " facematch reindex --encoder changes over to others"
    )
