"""Workers that come and go with the length of the queue, while pictures come: whether anything is
lost, and how long a picture takes until it is done.

A clustered service on this machine: Redis, RabbitMQ, the api, and workers with an index each.
Looking at a picture takes a fixed time without computing, so that more workers do more on few
cores.
"""

import itertools
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.drawn_encoder import PACE_SECONDS, PACED_ENCODER, drawn_picture
from benchmarks.job_log import JobLog
from benchmarks.open_loop import Latencies
from benchmarks.open_loop import run as run_open_loop
from benchmarks.report import Measure, Report, Series, Table, number
from benchmarks.scaler import DRAIN_SECONDS, Crew, Pod, Scaler
from benchmarks.services import Service, clustered, environment
from facematch import fsck
from facematch.brokers import open_broker
from facematch.client import MAX_WAIT, Client
from facematch.errors import FacematchError
from facematch.redis_connection import connect
from facematch.redis_store import RedisStore
from facematch.store import State

_SLOTS = 2
#: Messages for one worker: what it does in two seconds.
_TARGET = round(2 * _SLOTS / PACE_SECONDS)
_LOOK_SECONDS = 0.5
_FEW = 1 / 8
_THREADS = 256
#: Seconds after the last picture within which all is to be done and one worker left.
_MOST_SECONDS = 120.0
_BEFORE, _MANY, _AFTER = "few, before", "many", "few, after"


@dataclass
class _Phase:
    """Pictures at a rate (1/s) from `begins` on, in seconds of the run. `first`: the number of the
    first."""

    name: str
    begins: float
    seconds: float
    rate: float
    first: int
    seen: Latencies | None = None

    @property
    def pictures(self) -> int:
        """How many."""
        return int(self.rate * self.seconds)


@dataclass
class _Course:
    """How it went: (seconds, value) at each look."""

    workers: list[tuple[float, float]] = field(default_factory=list)
    waiting: list[tuple[float, float]] = field(default_factory=list)

    def look(self, at: float, workers: int, waiting: int) -> None:
        """Note how it is."""
        self.workers.append((at, workers))
        self.waiting.append((at, waiting))

    def until(self, workers: int, since: float) -> float:
        """Seconds from `since` until there were so many workers; nan: never."""
        return next((at - since for at, n in self.workers if at >= since and n == workers), np.nan)


def run(most: int, rate: float, seconds: float, short: bool) -> Report:
    """Pictures come at `rate` (1/s) for so many seconds, and an eighth as many before and after."""
    window, calm = 30.0, 15.0
    if short:
        seconds, window, calm = min(seconds, 12.0), 3.0, 4.0
    options = {"most": most, "rate": rate, "seconds": seconds, "target": _TARGET, "window": window}
    report = Report("scale", options | {"pace": PACE_SECONDS, "slots": _SLOTS, "short": short})
    phases = _phases(rate, seconds, calm)
    settings = {"encoder": PACED_ENCODER, "slots": str(_SLOTS)}
    heard = JobLog()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        service = stack.enter_context(clustered(folder, 1, heard.hear, **settings))
        urls = {"redis_url": service.redis_url, "broker_url": service.broker_url}
        variables = environment(**urls, **settings)
        crew = Crew(lambda number: Pod(number, folder, variables, heard.hear))
        with closing(crew):
            course = _scale(service, crew, Scaler(_TARGET, most, window), phases)
        _tell(report, phases, course, crew, most)
        _check(report, phases, course, crew, most)
        _check_store(report, service, sum(phase.pictures for phase in phases))
    return report


def _phases(rate: float, seconds: float, calm: float) -> Sequence[_Phase]:
    few = rate * _FEW
    phases = [
        _Phase(_BEFORE, 0, calm, few, 0),
        _Phase(_MANY, calm, seconds, rate, 0),
        _Phase(_AFTER, calm + seconds, calm, few, 0),
    ]
    for former, phase in itertools.pairwise(phases):
        phase.first = former.first + former.pictures
    return phases


def _scale(service: Service, crew: Crew, scaler: Scaler, phases: Sequence[_Phase]) -> _Course:
    """Let pictures come, and workers come and go, until all is done and one worker is left."""
    course, begun = _Course(), time.monotonic()
    last = phases[-1].begins + phases[-1].seconds + _MOST_SECONDS
    with _submitting(service, phases, begun), closing(open_broker(service.broker_url)) as broker:
        while (at := time.monotonic() - begun) < last:
            waiting = broker.depth()
            crew.come_to(scaler.wanted(waiting, at))
            course.look(at, crew.size, waiting)
            if crew.size == 1 and all(phase.seen for phase in phases):
                break
            time.sleep(_LOOK_SECONDS)
    return course


@contextmanager
def _submitting(service: Service, phases: Sequence[_Phase], begun: float) -> Iterator[None]:
    """Each phase is begun in time, by a thread of its own: those before may not have ended yet."""

    def work(phase: _Phase) -> None:
        time.sleep(max(0.0, begun + phase.begins - time.monotonic()))
        with Client(service.url) as client:
            send = partial(_submit, client, phase.first)
            phase.seen = run_open_loop(send, phase.rate, phase.seconds, _THREADS)

    threads = [threading.Thread(target=work, args=(phase,)) for phase in phases]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join()


def _submit(client: Client, first: int, number: int) -> None:
    """Submit a picture, and wait until it is done."""
    picture = drawn_picture(first + number)
    job = client.submit(picture, f"{first + number}.png", wait=MAX_WAIT)
    while not job.ended:
        job = client.wait_for(job, MAX_WAIT)
    if job.state is not State.DONE:
        raise FacematchError(job.code or "internal_error")


def _tell(report: Report, phases: Sequence[_Phase], course: _Course, crew: Crew, most: int) -> None:
    seen = [phase.seen for phase in phases if phase.seen is not None]
    every = np.concatenate([one.seconds for one in seen])
    lacking = sum(one.failures.total() for one in seen)
    whole = Latencies(0, every)
    for share in (50, 99):
        value = whole.percentile(share) if not lacking else np.inf
        report.measures.append(Measure(f"submit until done, p{share}", value, "s"))
    many = phases[1]
    report.measures += [
        Measure(
            f"until {most} workers are wanted, since there are many",
            course.until(most, many.begins),
            "s",
        ),
        Measure(
            "until 1 worker is wanted, since there are few again",
            course.until(1, many.begins + many.seconds),
            "s",
        ),
        Measure("messages that wait, most", max(value for _, value in course.waiting), ""),
        Measure("a worker finishes what it has, longest", _longest(crew), "s"),
    ]
    rows = []
    for phase, one in zip(phases, seen, strict=True):
        shown = [number(one.percentile(share)) for share in (50, 99)]
        rows.append([phase.name, f"{phase.rate:g}/s", f"{phase.pictures:,}", *shown])
        for share in (50, 99):
            name = f"submit until done, {phase.name}, p{share}"
            report.details.append(Measure(name, one.percentile(share), "s"))
    report.tables.append(Table(["submit until done", "", "pictures", "p50 s", "p99 s"], rows))
    report.series += [
        Series("workers", "", "seconds", course.workers),
        Series("messages that wait", "", "seconds", course.waiting),
    ]


def _longest(crew: Crew) -> float:
    return max((pod.drained for pod in crew.pods), default=0.0)


def _check(
    report: Report, phases: Sequence[_Phase], course: _Course, crew: Crew, most: int
) -> None:
    counts = [int(count) for _, count in course.workers]
    steps = [count for at, count in enumerate(counts) if at == 0 or count != counts[at - 1]]
    passed = steps[0] == steps[-1] == 1 and max(steps) == most
    report.require(f"workers 1 → {most} → 1", passed, " → ".join(map(str, steps)))
    trouble = "".join(pod.trouble for pod in crew.pods)
    detail = trouble or f"all {len(crew.pods)} that came, within {DRAIN_SECONDS:g} s each"
    report.require("workers end in good order", not trouble, detail)
    for phase in phases:
        seen = phase.seen
        failures = dict(seen.failures) if seen else {"internal_error": phase.pictures}
        unsent = seen.unsent if seen else 0
        detail = f"{phase.pictures:,} pictures, {failures or 'none'} failed, {unsent} not sent"
        report.require(f"all done: {phase.name}", not failures and not unsent, detail)


def _check_store(report: Report, service: Service, pictures: int) -> None:
    with closing(connect(service.redis_url)) as client:
        store = RedisStore(client)
        found, there = fsck.run(store), len(store.snapshot().positions)
    report.require("nothing is lost", there == pictures, f"{there:,} of {pictures:,} images there")
    detail = f"{len(found.findings)} findings, {found.unfinished} unfinished, {found.pairs:,} pairs"
    report.require("fsck finds nothing", not found.findings and not found.unfinished, detail)
