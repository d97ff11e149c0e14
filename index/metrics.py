"""What an index tells a monitoring system, in the names of `facematch.metrics`.

Used by `index.collections`, and by `index.server` for GET /metrics.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from facematch.errors import FacematchError
from facematch.metrics import Counter, Gauge, Histogram, Registry, gauge
from facematch.sidecar import IndexStatus
from index.budget import Budget

#: Of a collection's status, and the seconds since it was last used; None: nothing to tell.
_OF_COLLECTION: dict[str, tuple[str, Callable[[IndexStatus, float], float | None]]] = {
    "faces": ("Faces held", lambda status, idle: status.faces),
    "memory_bytes": ("Memory that its faces take", lambda status, idle: status.memory),
    "position": ("The place in the log that is reflected", lambda status, idle: status.position),
    "log_lag": ("Entries that the log had more", lambda status, idle: status.behind),
    "ready": ("1 when it answers", lambda status, idle: status.ready),
    "exact": ("1 when no answer lacks a face", lambda status, idle: status.exact),
    "full": ("1 when it lacks memory to go on", lambda status, idle: status.code == "index_full"),
    "recall": (
        "Part of the faces within the radius that an approximate index finds, as sampled",
        lambda status, idle: status.recall,
    ),
    "idle_seconds": ("Since the last query", lambda status, idle: idle),
}

_Held = Callable[[], Mapping[str, tuple[IndexStatus, float]]]


class Metrics:
    """Of one process. Safe to share between threads."""

    def __init__(self) -> None:
        self._registry = Registry("index")
        self._seconds = self._histogram("query_seconds", "How long queries took that were answered")
        self._pairs_seconds = self._histogram("pairs_seconds", "The same, of queries for pairs")
        self._refused = self._counter("refusals", "Queries refused", "code")
        self._loads = self._counter("loads", "Loads from the store that came to their end")
        self._drops = self._counter("drops", "How often it was dropped for another's sake")

    def watch(self, budget: Budget, held: _Held) -> None:
        """Tell of the collections held, and of what they share, whenever somebody asks."""
        self._registry.watch(lambda: _gauges(budget, held))

    def query(self, collection: str) -> AbstractContextManager[None]:
        """Around one query: its time, or the code it is refused with."""
        return self._timed(self._seconds, collection)

    def pairs(self, collection: str) -> AbstractContextManager[None]:
        """The same around one for pairs."""
        return self._timed(self._pairs_seconds, collection)

    @contextmanager
    def _timed(self, seconds: Histogram, collection: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        except FacematchError as error:
            self._refused.labels(collection, error.code).inc()
            raise
        seconds.labels(collection).observe(time.perf_counter() - began)

    def loaded(self, collection: str) -> None:
        """It has been loaded."""
        self._loads.labels(collection).inc()

    def dropped(self, collection: str) -> None:
        """It has been dropped."""
        self._drops.labels(collection).inc()

    def encode(self) -> bytes:
        """All of them, as CONTENT_TYPE."""
        return self._registry.encode()

    def value(self, name: str, **labels: str) -> float | None:
        """That of one of them; None where there is none."""
        return self._registry.value(name, **labels)

    def _histogram(self, name: str, text: str) -> Histogram:
        return self._registry.histogram(f"index_{name}", text, "collection")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return self._registry.counter(f"index_{name}", text, "collection", *labels)


def _gauges(budget: Budget, held: _Held) -> Iterator[Gauge]:
    """What is so now."""
    limit = "Memory that all collections may take; 0: any"
    yield gauge("index_memory_limit_bytes", limit, budget.limit)
    used = "Memory that all collections have taken"
    yield gauge("index_memory_used_bytes", used, budget.used)
    collections = held()
    for name, (text, of) in _OF_COLLECTION.items():
        values = [((one,), of(*of_it)) for one, of_it in collections.items()]
        known = [(labels, value) for labels, value in values if value is not None]
        yield Gauge(f"index_{name}", text, known, ("collection",))
