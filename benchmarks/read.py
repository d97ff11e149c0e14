"""How fast match sets are read: open-loop load at rising rates, until the service is late.

A real embedded service, filled with drawn images whose matches are written. At each rate, in turns:
the course client's `GET /match/<hash>`, `GET /v1/images/<hash>/matches`, and a Flask application
that does nothing, which is what a request costs here.
"""

import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from benchmarks.drawn_encoder import ENCODER, MODEL, drawn_faces
from benchmarks.filling import FillingStore, fill_store, link_all
from benchmarks.getting import Getter
from benchmarks.job_log import JobLog
from benchmarks.open_loop import Latencies
from benchmarks.open_loop import run as run_open_loop
from benchmarks.report import Measure, Report, Series, Table
from benchmarks.servers import free_port, listens
from benchmarks.services import embedded, environment, python, tree_in
from facematch.client import Client
from facematch.redis_connection import connect

COURSE, V1, BARE = "GET /match", "GET /v1 matches", "bare Flask"
LATE = 0.050
_FIRST_RATE, _RISE, _MOST_RATE = 50.0, 2**0.5, 50_000.0
_TRIES = 4
#: Clients, each with a connection of its own.
_THREADS = 16
_FULL = 100
#: Of pages with so many matches: the rate (1/s) that must be kept up, the one aimed at, and at
#: the former the seconds for half of the answers and for all but a hundredth.
_MUST_RATE, _AIM_RATE = 800.0, 1500.0
_MUST_LATE = {50: 0.008, 99: 0.040}
_AIM_LATE = {50: 0.004, 99: 0.020}
_SHARES = (50, 99, 99.9)
#: So many clients wait for jobs that do not end, while others read at this rate (1/s): the seconds
#: within which all but a hundredth of those must have their answers.
_WAITERS, _BESIDE_RATE, _BESIDE = 100, 100.0, 0.100
#: Until all wait. They do so for as long as is read and three times that.
_BEGIN_SECONDS = 1.0
_START_SECONDS = 60.0
#: So that the worker leaves alone what is being filled in.
_NEVER = str(10**6)


@dataclass
class Ladder:
    """One kind of request, at rising rates."""

    send: Callable[[int], None]
    steps: list[Latencies] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Whether it does not keep up any more: half of the answers are late, or some have been
        for several rates. Some at one rate may be the machine's fault."""
        last = self.steps[-_TRIES:]
        worn_out = len(last) == _TRIES and not any(map(in_time, last))
        return worn_out or any(step.unsent or step.percentile(50) >= LATE for step in last[-1:])

    @property
    def highest(self) -> float:
        """The highest rate (1/s) with a p99 below 50 ms; 0.0 when there was none."""
        return max((step.rate for step in self.steps if in_time(step)), default=0.0)


def in_time(step: Latencies) -> bool:
    """Whether a service keeps up with a rate."""
    return step.percentile(99) < LATE and not step.unsent


def run(images: int, seconds: float, threshold: float, short: bool) -> Report:
    """Read from a service with so many images, each rate for so long. `short`: few images, two
    rates, and only whether everything is answered counts."""
    if short:
        images, seconds = min(images, 500), min(seconds, 2.0)
    options = {"images": images, "seconds": seconds, "threshold": threshold, "short": short}
    report = Report("read", options | {"workers": 1, "threads": _THREADS})
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=2 * _WAITERS))
        slow = f"127.0.0.1:{silent.getsockname()[1]}"
        url, hashes = stack.enter_context(
            _filled(report, folder, images, threshold, slow, 2 * seconds + 5)
        )
        bare = stack.enter_context(_bare(folder))
        order = np.random.default_rng(5).integers(len(hashes), size=1 << 16)

        def sent(to: str, path: str) -> Ladder:
            def path_of(number: int) -> str:
                return path.format(hashes[order[number % len(order)]])

            return Ladder(stack.enter_context(closing(Getter(to, path_of))))

        ladders = {
            COURSE: sent(url, "/match/{}"),
            V1: sent(url, "/v1/images/{}/matches"),
            BARE: sent(bare, "/"),
        }
        for ladder in ladders.values():
            run_open_loop(ladder.send, _FIRST_RATE, 1.0, _THREADS)  # until everything is loaded
        try:
            climb(ladders, seconds, 2 if short else None)
            if not short:
                _read_beside(report, url, slow, ladders[V1].send, seconds)
        except KeyboardInterrupt:
            report.require("it came to its end", passed=False, detail="interrupted")
    _tell(report, ladders)
    return report


def climb(ladders: Mapping[str, Ladder], seconds: float, steps: int | None) -> None:
    """Raise the rate for all in turns, each until it is over; at most so many steps."""
    rate = _FIRST_RATE
    while steps != 0 and rate < _MOST_RATE:
        climbing = {what: ladder for what, ladder in ladders.items() if not ladder.over}
        if not climbing:
            return
        for what, ladder in climbing.items():
            step = run_open_loop(ladder.send, rate, seconds, _THREADS)
            ladder.steps.append(step)
            late = step.percentile(99) * 1000
            print(f"{what}: {rate:,.0f}/s, p99 {late:.1f} ms", file=sys.stderr, flush=True)
        rate *= _RISE
        steps = steps - 1 if steps is not None else None


def _read_beside(
    report: Report, url: str, slow: str, send: Callable[[int], None], seconds: float
) -> None:
    """Read while many wait for pictures of a server that does not answer."""

    def wait(number: int) -> bool:
        with Client(url) as client:
            return client.submit_url(
                f"http://{slow}/{number}", wait=seconds + 3 * _BEGIN_SECONDS
            ).ended

    alone = run_open_loop(send, _BESIDE_RATE, seconds, _THREADS)
    with ThreadPoolExecutor(_WAITERS) as pool:
        waiting = [pool.submit(wait, number) for number in range(_WAITERS)]
        time.sleep(_BEGIN_SECONDS)
        beside = run_open_loop(send, _BESIDE_RATE, seconds, _THREADS)
        early = sum(one.done() for one in waiting)
    report.require("whoever waits for a slow job waits", not early, f"{early} of {_WAITERS} do not")
    name = f"{V1}, {_BESIDE_RATE:.0f}/s, while {_WAITERS} clients wait, p99"
    measure = Measure(
        name, beside.percentile(99) * 1000, "ms", "nobody waits", alone.percentile(99) * 1000
    )
    report.at_most(measure, _BESIDE * 1000)


@contextmanager
def _filled(
    report: Report, folder: Path, images: int, threshold: float, slow: str, patience: float
) -> Iterator[tuple[str, Sequence[str]]]:
    """A service with so many drawn images and all their matches: its URL, and their hashes. It
    fetches from the server `slow`, too, and gives it up after `patience` seconds."""
    (folder / "service").mkdir()
    settings = {"encoder": ENCODER, "threshold": repr(threshold), "sweep_seconds": _NEVER}
    settings |= {"fetch_allow": slow, "fetch_timeout": str(patience)}
    with embedded(folder / "service", 1, JobLog().hear, **settings) as service:
        with closing(connect(service.redis_url)) as client:
            client.config_set("appendfsync", "no")
            store = FillingStore(client)
            store.create(MODEL, threshold)
            encodings = drawn_faces(np.arange(images))
            added = fill_store(store, encodings, MODEL)
            pairs = link_all(store, added, encodings, threshold)
            client.config_set("appendfsync", "always")
            kept = store.scores([place.position for _, place in added], 0)
        report.measures.append(Measure("matches of an image", 2 * pairs / images, ""))
        full = [image for image, place in added if len(kept[place.position]) >= _FULL]
        report.measures.append(Measure(f"images with {_FULL} matches or more", len(full), ""))
        yield service.url, full or [image for image, _ in added]


@contextmanager
def _bare(folder: Path) -> Iterator[str]:
    """The application that does nothing: its URL."""
    port = free_port()
    (folder / "bare").mkdir()
    with tree_in(folder / "bare") as tree:
        tree.start(python("bare", "benchmarks.bare_app", environment(), str(port), quiet=True))
        tree.wait_for("bare Flask", lambda: "" if listens(port) else "down", _START_SECONDS)
        yield f"http://127.0.0.1:{port}"


def _tell(report: Report, ladders: Mapping[str, Ladder]) -> None:
    bare, rows = ladders[BARE].highest, []
    for what, ladder in ladders.items():
        name = f"{what}: highest rate with p99 below {LATE * 1000:.0f} ms"
        measure = Measure(name, ladder.highest, "1/s", more_is_better=True)
        if what != BARE:
            measure = replace(measure, baseline=BARE, baseline_value=bare)
        if what == V1 and not report.options["short"]:
            report.at_rate(measure, _MUST_RATE, _AIM_RATE)
            for step in ladder.steps:
                if round(step.rate) == round(_MUST_RATE):
                    _tell_lateness(report, step)
        else:
            report.measures.append(measure)
        for step in ladder.steps:
            shown = [what, f"{step.rate:,.0f}/s"]
            for share in _SHARES:
                value = step.percentile(share) * 1000
                if not np.isfinite(value):
                    shown.append("never")
                    continue
                shown.append(f"{value:,.1f} ms")
                report.details.append(Measure(f"{what}, {step.rate:.0f}/s, p{share}", value, "ms"))
            failed = step.failures.total()
            rows.append((*shown, f"{step.answered:,.0f}/s", f"{failed:,}", f"{step.unsent:,}"))
        for share in _SHARES:
            points = [(step.rate, step.percentile(share) * 1000) for step in ladder.steps]
            points = [point for point in points if np.isfinite(point[1])]
            report.series.append(Series(f"{what}, p{share}", "ms", "requests a second", points))
        failures = sum((step.failures for step in ladder.steps), Counter[str]())
        # Once it is late, it may well refuse.
        wrong = sum(step.failures.total() for step in ladder.steps if step.rate <= ladder.highest)
        detail = ", ".join(f"{count} × {code}" for code, count in failures.items()) or "none"
        report.require(
            f"{what}: everything is answered, as long as it is in time", not wrong, detail
        )
    header = (
        "request",
        "rate",
        *(f"p{share}" for share in _SHARES),
        "answered",
        "failed",
        "unsent",
    )
    report.tables.append(Table(header, rows))


def _tell_lateness(report: Report, step: Latencies) -> None:
    for share, must in _MUST_LATE.items():
        name = f"{V1}, {_THREADS} clients, {step.rate:,.0f}/s, p{share}"
        measure = Measure(name, step.percentile(share) * 1000, "ms")
        report.at_most(measure, must * 1000, _AIM_LATE[share] * 1000)
