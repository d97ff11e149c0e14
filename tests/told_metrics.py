"""Every metric of all processes, each told at least once, without a process or a server."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from api_parts import running_api
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from api.app import create_app
from api.listening import Listeners
from api.metrics import Metrics as ApiMetrics
from api.metrics import gauges_of as api_gauges
from api.vitals import Watch
from facematch.broker import MemoryBroker, Queues
from facematch.errors import Unavailable
from facematch.memory_batches import MemoryBatches
from facematch.memory_events import MemoryEvents
from facematch.memory_people import MemoryPeople
from facematch.memory_webhooks import MemoryWebhooks
from facematch.reindexing import Phase
from facematch.settings import Settings
from facematch.sidecar import IndexStatus
from facematch.store import Job, State
from facematch.vitals import Checked, EditionVitals, Server, Vitals
from index.budget import Budget
from index.metrics import Metrics as IndexMetrics
from worker.metrics import Metrics as WorkerMetrics
from worker.metrics import Readiness
from worker.metrics import gauges_of as worker_gauges

#: Of a store with everything in it: a reindex in one edition, another edition, an fsck.
VITALS = Vitals(
    (
        EditionVitals(1, 5, 2, 7.5, 0.5, 100, 2, 3.5, 120, 110, 4, 1000, Phase.BUILDING, 10, 6),
        EditionVitals(0, 1, 0, 0.5, 0.5, 90, 0, 0.0, 95, 95),
    ),
    Server(memory=2**20, most_memory=2**30),
    checked=Checked({"log": 1, "symmetry": 2, "approximate": 40}, 60.0),
)


@dataclass(frozen=True)
class Told:
    """What the metrics of a process are called in questions, and which labels each has."""

    families: frozenset[str]
    names: dict[str, frozenset[str]]

    @classmethod
    def of(cls, text: str) -> "Told":
        """Of an answer to GET /metrics."""
        names: defaultdict[str, set[str]] = defaultdict(set)
        families = set()
        for family in text_string_to_metric_families(text):
            if family.name.startswith("facematch_") and not family.name.endswith("_created"):
                families.add(shown(family))
            for sample in family.samples:
                names[sample.name] |= sample.labels.keys()
        return cls(frozenset(families), {name: frozenset(own) for name, own in names.items()})


def shown(family: Metric) -> str:
    """Its name as docs/metrics.md has it."""
    return f"{family.name}_total" if family.type == "counter" else family.name


def all_told(folder: Path) -> Iterator[tuple[str, Told]]:
    """By part: api, worker and index."""
    for part, text in all_texts(folder):
        yield part, Told.of(text)


def all_texts(folder: Path) -> Iterator[tuple[str, str]]:
    """The answers themselves."""
    yield "api", of_api(folder)
    yield "worker", of_worker()
    yield "index", of_index()


def of_api(folder: Path) -> str:
    """After an upload, a URL, and a question with a wrong hash."""
    metrics = ApiMetrics()
    broker = MemoryBroker()
    watch = Watch(lambda: VITALS, Queues(lambda edition: broker), 10**9, 1.0)
    watch.look()
    metrics.registry.watch(watch.gauges)
    with running_api(folder) as api:
        metrics.registry.watch(
            api_gauges(lambda: api.waiting.waiting, 128, lambda: 0, lambda: api.replayer.replayed)
        )
        app = create_app(
            *(api.store, api.publisher, api.waiting, api.ledger, api.replayer),
            *(MemoryPeople(api.store), Listeners(MemoryEvents(api.store), 1)),
            *(MemoryBatches(api.store), MemoryWebhooks(api.store), Settings(), metrics),
        )
        client = app.test_client()
        assert client.post("/v1/images", data=b"picture").status_code == 202
        assert client.post("/v1/images", json={"url": "http://x/"}).status_code == 202
        assert client.get("/v1/images/none").status_code == 400
        assert client.get(f"/match/{'0' * 64}").status_code == 200
    return metrics.registry.encode().decode()


def of_worker() -> str:
    """After a job that was done, one that failed and one that was given back."""
    metrics = WorkerMetrics()
    metrics.ended(Job("a", State.DONE, "a"), {"fetch": 0.1, "link": 0.2})
    metrics.ended(Job("b", State.FAILED, "b", code="not_an_image"), {"fetch": 0.1})
    try:
        with metrics.giving_back():
            raise Unavailable("index_loading")
    except Unavailable:
        pass
    metrics.registry.watch(lambda: worker_gauges(lambda: 1, 8, Readiness(lambda: None)))
    return metrics.registry.encode().decode()


def of_index() -> str:
    """With one collection, after a query, one that was refused, a load and a drop."""
    metrics = IndexMetrics()
    metrics.watch(Budget(), lambda: {"default": (IndexStatus(True, recall=0.9), 1.0)})
    with metrics.query("default"), metrics.pairs("default"):
        pass
    try:
        with metrics.query("default"):
            raise Unavailable("index_loading")
    except Unavailable:
        pass
    metrics.loaded("default")
    metrics.dropped("default")
    return metrics.encode().decode()


def names_in(text: str) -> set[str]:
    """Names of ours in a text, or in a question."""
    return set(re.findall(r"\bfacematch_[a-z0-9_]+", text))
