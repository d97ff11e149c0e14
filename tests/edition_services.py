"""A collection with editions and all its parts, in memory and on Redis, for protocol tests."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import interleaving
import numpy as np
from planted import PlantedEncoder

from facematch.collection_name import edition_name, served_name
from facematch.faces import Encodings
from facematch.failed_jobs import FailedJobs
from facematch.memory_failed_jobs import MemoryFailedJobs
from facematch.memory_reencoding import MemoryFront, MemoryReencoding
from facematch.memory_store import MemoryStore
from facematch.redis_connection import Redis
from facematch.redis_failed_jobs import RedisFailedJobs
from facematch.redis_reencoding import RedisReencoding
from facematch.redis_store import RedisStore
from facematch.reencoding import Reencoding
from facematch.store import Front, Store


class NegatedEncoder(PlantedEncoder):
    """Another model, of which no encoding is near one of the first; the distances are the same."""

    model = "negated"

    def encode(self, crops: Encodings) -> Encodings:
        """The opposite of what is planted."""
        return np.negative(crops)


ENCODERS = {encoder.model: encoder for encoder in (PlantedEncoder(), NegatedEncoder())}


@dataclass(frozen=True)
class Service:
    """A collection with all its parts; `store` gives an edition's, there or not."""

    front: Front
    reencoding: Reencoding
    store: Callable[[int], Store]
    failed: FailedJobs
    client: Redis | None = None


def in_memory() -> Service:
    memory = MemoryReencoding(MemoryStore())
    nothing = MemoryStore()
    return Service(
        MemoryFront(memory),
        memory,
        lambda number: memory.stores.get(number, nothing),
        MemoryFailedJobs(memory),
    )


def on_redis(client: Redis) -> Service:
    return Service(
        RedisStore(client, served_name("default")),
        RedisReencoding(client),
        functools.cache(lambda number: RedisStore(client, edition_name("default", number))),
        RedisFailedJobs(client),
        client,
    )


class EditionStore:
    """The store of an edition, whichever it is at the time. Stepped workers stop at each call."""

    def __init__(self, store: Callable[[], Store], *, stepped: bool) -> None:
        self._store = store
        self._stepped = stepped

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            if self._stepped:
                interleaving.pause_at_failpoints(name)
            return getattr(self._store(), name)(*args, **named)

        return call
