"""A reindex of a whole embedded service while pictures are read and submitted: how fast it is, and
how much later requests are answered meanwhile than before.

The images are drawn. They are brought to a first threshold, and that is changed to another one
while requests come at a fixed rate. At the end fsck compares both generations with the truth.
"""

import itertools
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.drawn_encoder import ENCODER, MODEL, drawn_faces, drawn_picture
from benchmarks.filling import FillingStore, fill_store, link_none
from benchmarks.getting import Getter
from benchmarks.job_log import JobLog
from benchmarks.open_loop import Latencies
from benchmarks.open_loop import run as run_open_loop
from benchmarks.report import Measure, Report
from benchmarks.services import Service, embedded
from facematch import progress
from facematch.brokers import open_broker
from facematch.client import Client
from facematch.faces import Encodings
from facematch.job import REINDEX_QUEUE
from facematch.redis_connection import connect
from facematch.redis_reindexing import RedisReindexing
from facematch.redis_store import RedisStore
from facematch.reindex import judge, publish_due, wait_until_built
from facematch.reindexing import Reindex
from facematch.sidecar import Sidecar
from worker.matching import find_matches

READ, SUBMIT = "GET matches", "submit until done"
#: A threshold within which drawn faces have no matches.
_NONE_WITHIN = 0.01
_RATES = {READ: 50.0, SUBMIT: 5.0}
_MOST_SECONDS = 3600.0
_SINGLE = 200
_THREADS = 8
#: So that the worker leaves alone what is being filled in.
_NEVER = str(10**6)
#: Numbers of the faces that are submitted; those that are filled in begin with 0.
_FIRST_NEW = 1 << 40


@dataclass
class Load:
    """One kind of request, at a fixed rate: latencies in seconds, and what failed."""

    send: Callable[[int], None]
    rate: float
    seconds: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)

    def add(self, seen: Latencies) -> None:
        """Add what became of some of them."""
        self.seconds += seen.seconds.tolist()
        self.failures += seen.failures

    def percentile(self, share: float) -> float:
        """Milliseconds within which so many per cent of those that did not fail were answered."""
        return float(np.percentile(self.seconds, share, method="higher")) * 1000


def run(images: int, first: float, second: float, idle: float, short: bool) -> Report:
    """Change the threshold of so many images from `first` to `second`, after `idle` seconds of the
    same requests without it. `short`: few images, and only whether all is right counts."""
    if short:
        images, idle = min(images, 3000), min(idle, 5.0)
    options = {"images": images, "thresholds": [first, second], "idle": idle, "rates": _RATES}
    report = Report("reindex", options | {"short": short, "workers": 1})
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        settings = {"encoder": ENCODER, "threshold": repr(_NONE_WITHIN), "sweep_seconds": _NEVER}
        service = stack.enter_context(embedded(Path(name), 1, JobLog().hear, **settings))
        client = stack.enter_context(closing(connect(service.redis_url)))
        encodings = drawn_faces(np.arange(images))
        hashes = _fill(FillingStore(client), encodings)
        parts = _Parts(RedisStore(client), RedisReindexing(client), service)
        parts.wait_for_index()
        made, seconds = parts.reindex(first)
        report.measures.append(Measure(f"to {first:g}, nobody else", images / seconds, "images/s"))
        parts.serve(made)

        before, during = (_loads(stack, service, hashes, start) for start in (0, 1 << 20))
        _ask(before, idle)
        with _asking(during):
            made, seconds = parts.reindex(second)
        rate = Measure(
            f"reindex of {images:,} images from {first:g} to {second:g} with live requests",
            images / seconds,
            "images/s",
            baseline="a query for each image, nothing written",
            baseline_value=parts.single_queries(encodings, second),
            more_is_better=True,
        )
        _tell(report, rate, before, during, judged=not short)
        _check(report, parts, made)
    return report


def _fill(store: FillingStore, encodings: Encodings) -> list[str]:
    """Images with these faces that have no matches: their hashes."""
    store.create(MODEL, _NONE_WITHIN)
    added = fill_store(store, encodings, MODEL)
    link_none(store, added)
    return [image for image, _ in added]


@dataclass(frozen=True)
class _Parts:
    store: RedisStore
    reindexing: RedisReindexing
    service: Service

    def wait_for_index(self) -> None:
        """Until it has all that was filled in."""
        with closing(self.index()) as index:
            while index.status().position < self.store.collection().tail.position:
                time.sleep(0.1)

    def index(self) -> Sidecar:
        """Its client."""
        return Sidecar(self.service.index_urls[0])

    def reindex(self, threshold: float) -> tuple[Reindex, float]:
        """Build to this threshold: the reindex, and the seconds it took."""
        with (
            closing(open_broker(self.service.broker_url, queue=REINDEX_QUEUE)) as broker,
            closing(progress.on(sys.stderr, "images")) as shown,
        ):
            start = time.perf_counter()
            made = self.reindexing.begin(threshold)

            def publish() -> None:
                publish_due(self.reindexing, broker)

            made = wait_until_built(self.reindexing, made.id, publish, shown.update)
            return made, time.perf_counter() - start

    def serve(self, made: Reindex) -> None:
        """Serve what was built, and forget what was served before."""
        self.reindexing.switch(made.id)
        self.reindexing.drop(made.id)
        while not self.reindexing.drop_some():
            pass

    def single_queries(self, encodings: Encodings, threshold: float) -> float:
        """Images a second when each is a query of its own, evenly spread, without writing."""
        places = np.linspace(1, len(encodings), _SINGLE).astype(int).tolist()
        with closing(self.index()) as index:
            start = time.perf_counter()
            for place in places:
                own = encodings[place - 1 : place]
                find_matches(self.store, index, own, place, threshold)
            return len(places) / (time.perf_counter() - start)


def _loads(stack: ExitStack, service: Service, hashes: list[str], start: int) -> dict[str, Load]:
    """Requests to a service; the pictures that are submitted are those of the numbers from
    `start` on."""
    order = np.random.default_rng(start).integers(len(hashes), size=1 << 16)
    client = stack.enter_context(Client(service.url))
    numbers = itertools.count(_FIRST_NEW + start)

    def submit(number: int) -> None:
        client.wait_for(client.submit(drawn_picture(next(numbers)), f"{number}.png", wait=30), 30)

    def path_of(number: int) -> str:
        return f"/v1/images/{hashes[order[number % len(order)]]}/matches"

    getter = stack.enter_context(closing(Getter(service.url, path_of)))
    return {READ: Load(getter, _RATES[READ]), SUBMIT: Load(submit, _RATES[SUBMIT])}


def _ask(loads: dict[str, Load], seconds: float, stop: threading.Event | None = None) -> None:
    """Send all kinds of requests for so long, or until `stop` is set."""

    def work(load: Load) -> None:
        load.add(run_open_loop(load.send, load.rate, seconds, _THREADS, stop))

    threads = [threading.Thread(target=work, args=(load,)) for load in loads.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@contextmanager
def _asking(loads: dict[str, Load]) -> Iterator[None]:
    """Requests come as long as the block lasts."""
    stop = threading.Event()
    thread = threading.Thread(target=_ask, args=(loads, _MOST_SECONDS, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _tell(
    report: Report, rate: Measure, before: dict[str, Load], during: dict[str, Load], judged: bool
) -> None:
    if judged:
        report.at_rate(rate, 1500, 4000)
    else:
        report.measures.append(rate)
    for what in before:
        for share in (50, 99):
            idle, busy = before[what].percentile(share), during[what].percentile(share)
            name = f"{what} meanwhile, p{share}"
            report.measures.append(Measure(name, busy, "ms", "idle", idle))
            if share == 99 and judged:
                report.require(name, busy <= 3 * idle, f"{busy / idle:.2f} × idle, must 3, aim 1.5")
        failed = before[what].failures + during[what].failures
        asked = len(during[what].seconds)
        report.require(f"{what}: all answered", not failed, f"{asked:,} meanwhile, {dict(failed)}")


def _check(report: Report, parts: _Parts, made: Reindex) -> None:
    with ExitStack() as stack:

        def shown(unit: str) -> progress.Update:
            return stack.enter_context(closing(progress.on(sys.stderr, unit))).update

        outcome = judge(parts.store, made, 0, check=True, shown=shown)
    assert outcome.fsck is not None
    parity = outcome.parity
    report.measures.append(Measure("pairs written", parity.unchanged + parity.gained, ""))
    findings = len(outcome.fsck.findings)
    detail = f"{findings} findings in {outcome.fsck.faces:,} faces, both generations"
    report.require("fsck finds nothing", not outcome.fsck.findings, detail)
    detail = f"{parity.unchanged:,} pairs as before, {parity.gained:,} gained, {parity.lost:,} lost"
    report.require("nothing changes but by the threshold", not parity.unexpected, detail)
