"""What a monitoring system asks for: the only module that imports prometheus_client.

Used by `index.collections`, and by `index.server` for GET /metrics.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    Metric,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily

from facematch.errors import FacematchError
from facematch.sidecar import IndexStatus
from index.budget import Budget

CONTENT_TYPE = CONTENT_TYPE_LATEST
_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
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
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._seconds = self._histogram("query_seconds", "How long queries took that were answered")
        self._pairs_seconds = self._histogram("pairs_seconds", "The same, of queries for pairs")
        self._refused = self._counter("refusals", "Queries refused", "code")
        self._loads = self._counter("loads", "Loads from the store that came to their end")
        self._drops = self._counter("drops", "How often it was dropped for another's sake")

    def watch(self, budget: Budget, held: _Held) -> None:
        """Tell of the collections held, and of what they share, whenever somebody asks."""
        self._registry.register(_Watched(budget, held))

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
        return generate_latest(self._registry)

    def _histogram(self, name: str, text: str) -> Histogram:
        name = f"facematch_index_{name}"
        return Histogram(name, text, ["collection"], buckets=_BUCKETS, registry=self._registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        name = f"facematch_index_{name}"
        return Counter(name, text, ["collection", *labels], registry=self._registry)


class _Watched:
    """A collector of prometheus_client: reads what is so now."""

    def __init__(self, budget: Budget, held: _Held) -> None:
        self._budget = budget
        self._held = held

    def describe(self) -> list[Metric]:
        """Nothing: it would be asked for all values at its registration instead."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The gauges."""
        for name, text, shared in (
            ("memory_limit_bytes", "Memory that all collections may take; 0: any", "limit"),
            ("memory_used_bytes", "Memory that all collections have taken", "used"),
        ):
            yield GaugeMetricFamily(
                f"facematch_index_{name}", text, value=getattr(self._budget, shared)
            )
        held = self._held()
        for name, (text, of) in _OF_COLLECTION.items():
            gauge = GaugeMetricFamily(f"facematch_index_{name}", text, labels=["collection"])
            for collection, of_it in held.items():
                if (value := of(*of_it)) is not None:
                    gauge.add_metric([collection], float(value))
            yield gauge
