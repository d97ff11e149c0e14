"""Which edition of the collection a worker works for: the one that has its encoder's model."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from facematch import startup
from facematch.calibration import NAMES
from facematch.collection_name import DEFAULT, edition_name
from facematch.errors import Misconfigured, Unavailable
from facematch.policy import PolicyChange, policy_told
from facematch.reencoding import Editions, Reencoding
from facematch.reindex import BREATH_SECONDS
from facematch.settings import Settings
from facematch.store import DEFAULT_BOUNDS, Bounds, Collection, Store

_Store = TypeVar("_Store", bound=Store)

_log = structlog.get_logger()


@dataclass(frozen=True)
class Joined(Generic[_Store]):
    """An edition: its number and name, its store, the policy it was made with, and the calibration
    that was pinned."""

    number: int
    name: str
    store: _Store
    threshold: float
    bounds: Bounds
    calibration: str


def join(
    durable: Callable[[], list[str]],
    reencoding: Reencoding,
    open_store: Callable[[str], _Store],
    model: str,
    calibration: str,
    settings: Settings,
    stop: threading.Event,
    forget: Callable[[], bool] = lambda: True,
) -> Joined[_Store] | None:
    """Wait for Redis, and join the edition of this model; make the collection, with this
    calibration and the policy in the settings, if there is none. None when stopped meanwhile.

    `durable`: in what ways Redis may lose what it has taken; `open_store`: the store of an edition
    by its name. `forget`: forgets a portion of the default collection where that is being emptied;
    whether nothing of it is left. Until then there is nothing to join, and if all workers were
    stopped over it, nobody else who goes on with it. Raises Misconfigured.
    """

    bounds = PolicyChange(
        max_false_matches=settings.max_false_matches, max_matches=settings.max_matches
    ).bounds_of(DEFAULT_BOUNDS)
    if settings.max_false_matches and not calibration:
        raise Misconfigured(
            "FACEMATCH_MAX_FALSE_MATCHES is set, and the encoder has no calibration"
        )

    def attempt() -> tuple[list[str], Joined[_Store], Collection]:
        weaknesses = durable()
        while not forget():
            if stop.wait(BREATH_SECONDS):
                raise Unavailable("collection_erasing")
        number = number_for(model, reencoding.editions())
        name = edition_name(DEFAULT, number)
        store = open_store(name)
        collection = store.create(model, settings.threshold, calibration, bounds)
        if collection.model == model:
            reencoding.note(number, settings.encoder, settings.detector)
        served = collection.generations[0]
        joined = Joined(
            *(number, name, store), served.threshold, served.bounds, collection.calibration
        )
        return weaknesses, joined, collection

    told = startup.wait_for_redis(attempt, stop)
    if told is None:
        return None
    weaknesses, joined, collection = told
    for weakness in weaknesses:
        _log.warning("Redis may lose what was acknowledged", reason=weakness)
    check(collection, model)
    if (joined.threshold, joined.bounds) != (settings.threshold, bounds):
        _log.warning(
            "the collection keeps the policy it was made with",
            policy=policy_told(joined.threshold, joined.bounds),
            set=policy_told(settings.threshold, bounds),
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
    bounded = any(one.bounds.max_false_matches for one in collection.generations)
    if bounded and not collection.calibration:
        raise Misconfigured(
            "the collection bounds false matches, and the encoder has no calibration:"
            " facematch reindex with --max-false-matches none changes that"
        )


def _other_model(pinned: str, model: str) -> Misconfigured:
    return Misconfigured(
        f"the collection has encodings of {pinned}, this worker makes {model}:"
        " facematch reindex --encoder changes over to others"
    )
