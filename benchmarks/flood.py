"""A flood: ten times as many pictures as the workers can do, and as many reads beside them. Whether
the api still answers in time, and whether anything that it has accepted is lost.

A clustered service on this machine: Redis, RabbitMQ, the api, one worker with its index. To look at
a picture takes a fixed time without computing, as if workers were on machines of their own: so
what is measured is the api, its store and its queue, and the backlog. Beyond what may wait, the api
refuses with 503 and says when to come again; that is an answer.
"""

import http.client
import itertools
import json
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.drawn_encoder import PACE_SECONDS, PACED_ENCODER, drawn_picture
from benchmarks.getting import Getter, Refused
from benchmarks.job_log import JobLog
from benchmarks.open_loop import Latencies
from benchmarks.open_loop import run as run_open_loop
from benchmarks.processes import memory_of
from benchmarks.report import Measure, Report, Series, Table
from benchmarks.services import Service, clustered
from benchmarks.sources import Picture
from benchmarks.submitting import Submitting
from facematch import fsck
from facematch.client import Client
from facematch.errors import FacematchError
from facematch.faces import image_hash
from facematch.redis_connection import connect
from facematch.redis_store import RedisStore
from facematch.store import State

_SLOTS = 2
_CLIENTS = 8
_THREADS = 64
_SECONDS = 30.0
_FIRST_RATE = 50.0
#: All but a hundredth of the answers come within so many seconds.
_MUST_LATE = 0.2
_SHARES = (50, 99, 99.9)
#: Bytes of a picture, with what decoders pass over behind its end.
_PICTURE_BYTES = 20_000
#: For so many times as long as it should take, what was accepted may still be under way.
_PATIENCE = 4.0
_LOOK_SECONDS = 0.5


class Ledger:
    """What the api has acknowledged, kept by the clients. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.accepted: list[str] = []
        self.refused: Counter[str] = Counter()
        #: Refused without saying when to come again.
        self.curt = 0

    def accept(self, job: str) -> None:
        """Note a job that was acknowledged."""
        with self._lock:
            self.accepted.append(job)

    def refuse(self, code: str, says_when: bool) -> None:
        """Note a submission that was not taken."""
        with self._lock:
            self.refused[code] += 1
            self.curt += not says_when


class Submitter:
    """Sends pictures, each under way over a connection of its own, and notes the answers."""

    def __init__(self, url: str, first: int, ledger: Ledger) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port
        self._first, self._ledger = first, ledger
        self._local = threading.local()

    def __call__(self, number: int) -> None:
        """Submit a picture. Raises Refused for what is neither accepted nor put off, OSError,
        HTTPException."""
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=_SECONDS)
            self._local.connection = connection
        try:
            connection.request("POST", "/v1/images", picture(self._first + number))
            with connection.getresponse() as response:
                status, when = response.status, response.headers["Retry-After"]
                told = json.loads(response.read())
        except BaseException:
            self._local.connection = None
            connection.close()
            raise
        if status == http.client.SERVICE_UNAVAILABLE:
            self._ledger.refuse(told["code"], when is not None)
        elif status in (http.client.OK, http.client.ACCEPTED):
            self._ledger.accept(told["job"])
        else:
            raise Refused(status)


def picture(number: int) -> bytes:
    """One of a face of its own, as large as a small photograph."""
    drawn = drawn_picture(number)
    return drawn + bytes(_PICTURE_BYTES - len(drawn))


def run(times: float, seconds: float, backlog: int, short: bool) -> Report:
    """`times` what one worker does, for so many seconds; `backlog`: bytes that may wait."""
    if short:
        seconds, backlog = min(seconds, 5.0), min(backlog, 1_000_000)
    options = {"times": times, "seconds": seconds, "backlog": backlog, "short": short}
    shape = {"pace": PACE_SECONDS, "slots": _SLOTS, "picture": _PICTURE_BYTES, "threads": _THREADS}
    report = Report("flood", options | shape)
    settings = {
        "encoder": PACED_ENCODER,
        "slots": str(_SLOTS),
        "backlog_bytes": str(backlog),
    }
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        service = stack.enter_context(clustered(Path(name), 1, JobLog().hear, **settings))
        client = stack.enter_context(Client(service.url))
        before = round(_SLOTS / PACE_SECONDS * (2 if short else 10))
        capacity = _capacity(client, before)
        report.measures.append(Measure("capacity: pictures done, closed loop", capacity, "1/s"))
        flood = _Flood(service, times * capacity, seconds, before)
        flood.run()
        lost, drained = _see_through(client, flood.ledger, capacity)
        _tell(report, flood, drained)
        _check(report, flood, lost, short)
        _check_store(report, service, before)
    return report


def _capacity(client: Client, count: int) -> float:
    """Pictures a second that are done where there are always some to do."""
    work = Submitting(client, _CLIENTS)
    work.run([Picture(str(n), partial(picture, n)) for n in range(count)], lambda: None)
    if work.failed:
        raise FacematchError("internal_error", f"before the flood: {dict(work.codes)}")
    return count / work.seconds


class _Flood:
    """Pictures and reads at a rate (1/s) each, and what the api takes of memory meanwhile."""

    def __init__(self, service: Service, rate: float, seconds: float, first: int) -> None:
        self.service, self.rate, self.seconds = service, rate, seconds
        self.ledger = Ledger()
        self.submitted: Latencies | None = None
        self.read: Latencies | None = None
        self.memory: list[tuple[float, float]] = []
        self._submit = Submitter(service.url, first, self.ledger)
        self._paths = _paths(first)

    def run(self) -> None:
        """Until all is answered."""
        get = Getter(self.service.url, lambda number: self._paths[number % len(self._paths)])

        def submit() -> None:
            self.submitted = run_open_loop(self._submit, self.rate, self.seconds, _THREADS)

        def read() -> None:
            self.read = run_open_loop(get, self.rate, self.seconds, _THREADS)

        run_open_loop(get, _FIRST_RATE, 1.0, _THREADS)  # until everything is loaded
        threads = [threading.Thread(target=work) for work in (submit, read)]
        [api] = self.service.parts()["api"]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for at in itertools.count():
            if not any(thread.is_alive() for thread in threads):
                break
            self.memory.append((time.monotonic() - began, memory_of(api)))
            time.sleep(max(0.0, began + (at + 1) * _LOOK_SECONDS - time.monotonic()))
        get.close()


def _paths(count: int) -> Sequence[str]:
    return [f"/v1/images/{image_hash(picture(number))}/matches" for number in range(count)]


def _see_through(client: Client, ledger: Ledger, capacity: float) -> tuple[Counter[str], float]:
    """How the jobs that were acknowledged ended, "" those that did not, and after how long."""
    began = time.monotonic()
    until = began + 30.0 + _PATIENCE * len(ledger.accepted) / capacity
    ends: Counter[str] = Counter()
    for name in ledger.accepted:
        try:
            job = client.wait_for(client.job(name), max(0.0, until - time.monotonic()))
        except FacematchError as error:
            ends[error.code] += 1
        else:
            ends[str(job.state) if job.ended else ""] += 1
    return ends, time.monotonic() - began


def _tell(report: Report, flood: _Flood, drained: float) -> None:
    rows = []
    for what, seen in (("submit", flood.submitted), ("read matches", flood.read)):
        assert seen is not None
        shown = []
        for share in _SHARES:
            value = seen.percentile(share) * 1000
            shown.append(f"{value:,.1f} ms")
            report.details.append(Measure(f"{what}, p{share}", value, "ms"))
        count = len(seen.seconds) + seen.failures.total()
        rows.append([what, f"{seen.rate:,.0f}/s", f"{count:,}", *shown])
    report.tables.append(Table(["", "rate", "requests", *(f"p{s}" for s in _SHARES)], rows))
    first, *_, last = (value for _, value in flood.memory)
    report.measures += [
        Measure("accepted", len(flood.ledger.accepted), ""),
        Measure("refused: 503, with Retry-After", flood.ledger.refused.total(), ""),
        Measure("until all accepted were done, after the flood", drained, "s"),
        Measure("memory of the api, before", first / 1e6, "MB"),
        Measure("memory of the api, after", last / 1e6, "MB"),
    ]
    report.series.append(Series("memory of the api", "bytes", "seconds", flood.memory))


def _check(report: Report, flood: _Flood, ends: Counter[str], short: bool) -> None:
    ledger = flood.ledger
    for what, seen in (("submit", flood.submitted), ("read matches", flood.read)):
        assert seen is not None
        failed = f"{dict(seen.failures) or 'none'} failed, {seen.unsent} not sent"
        answered = not seen.failures and not seen.unsent
        report.require(f"{what}: everything is answered", answered, failed)
        late = Measure(f"{what}: p99", seen.percentile(99) * 1000, "ms")
        # A short form says whether it works, not how fast.
        if short:
            report.measures.append(late)
        else:
            report.at_most(late, _MUST_LATE * 1000)
    detail = f"{dict(ledger.refused)}, {ledger.curt} of them without Retry-After"
    report.require("who is refused is told when to come again", not ledger.curt, detail)
    ended = ends[State.DONE] + ends[State.FAILED]
    detail = f"{len(ledger.accepted) - ended} of {len(ledger.accepted):,}; {dict(ends)}"
    report.require("accepted jobs lost: 0", ended == len(ledger.accepted) > 0, detail)


def _check_store(report: Report, service: Service, before: int) -> None:
    with closing(connect(service.redis_url)) as client:
        store = RedisStore(client)
        found, there = fsck.run(store), len(store.snapshot().positions)
    detail = f"{len(found.findings)} findings, {found.unfinished} unfinished, {there:,} images"
    right = not found.findings and not found.unfinished and there > before
    report.require("fsck finds nothing", right, detail)
