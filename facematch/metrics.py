"""What a process tells a monitoring system: the only module that imports prometheus_client.

Each process has a registry of its own and tells it at a place of its own (`facematch.metrics_port`;
the index on its socket, too), so nothing has to be added up between processes but by who asks.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

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

from facematch import __version__

__all__ = ["CONTENT_TYPE", "PREFIX", "Counter", "Gauge", "Histogram", "Registry", "gauge"]

CONTENT_TYPE = CONTENT_TYPE_LATEST
PREFIX = "facematch_"
#: Seconds, for what takes a thousandth to ten of them.
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


@dataclass(frozen=True)
class Gauge:
    """A number that is read when somebody asks: its name without PREFIX, what it means, and its
    values, each behind those of its labels."""

    name: str
    text: str
    values: Sequence[tuple[Sequence[str], float]]
    labels: Sequence[str] = field(default=())


def gauge(name: str, text: str, value: float) -> Gauge:
    """One without labels."""
    return Gauge(name, text, [((), value)])


class Registry:
    """The metrics of one process. Safe to share between threads."""

    def __init__(self, part: str) -> None:
        """`part`: api, worker or index."""
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        about = Gauge("build_info", "1", [((part, __version__), 1)], ("part", "version"))
        self.watch(lambda: [about])

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """One that counts up. Its name gets PREFIX before and `_total` behind it."""
        return Counter(PREFIX + name, text, labels, registry=self._registry)

    def histogram(
        self, name: str, text: str, *labels: str, buckets: Sequence[float] = SECONDS
    ) -> Histogram:
        """How often it was how much."""
        return Histogram(PREFIX + name, text, labels, buckets=buckets, registry=self._registry)

    def watch(self, gauges: Callable[[], Iterable[Gauge]]) -> None:
        """Tell these whenever somebody asks. `gauges` must not take long, nor raise."""
        self._registry.register(_Watched(gauges))

    def encode(self) -> bytes:
        """All of them, as CONTENT_TYPE."""
        return generate_latest(self._registry)

    def value(self, name: str, **labels: str) -> float | None:
        """That of one of them, by its full name; None where there is none."""
        return self._registry.get_sample_value(name, labels)


class _Watched:
    """A collector of prometheus_client: reads what is so now."""

    def __init__(self, gauges: Callable[[], Iterable[Gauge]]) -> None:
        self._gauges = gauges

    def describe(self) -> list[Metric]:
        """Nothing: it would be asked for all values at its registration instead."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The gauges."""
        for one in self._gauges():
            family = GaugeMetricFamily(PREFIX + one.name, one.text, labels=one.labels)
            for labels, value in one.values:
                family.add_metric(labels, float(value))
            yield family
