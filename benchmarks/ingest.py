"""A whole service taking in many pictures, and what a first version would take for them.

The service runs as real processes and is used through its REST api. While it rests, at some sizes,
the other way is measured on some of the same pictures; see benchmarks.seed_way.
"""

import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from benchmarks.drawn_encoder import ENCODER
from benchmarks.growth import SIZES, measure_growth
from benchmarks.ingest_results import check_ingest, tell_ingest, tell_seed_way, tell_stored
from benchmarks.job_log import JobLog
from benchmarks.pod import start_valkey
from benchmarks.redis_bytes import data_bytes
from benchmarks.report import Measure, Report
from benchmarks.seed_way import Samples, SeedWay, drawn_encode, face_recognition_encode
from benchmarks.servers import free_port, listens
from benchmarks.services import Service, clustered, embedded, environment, python, tree_in
from benchmarks.sources import DrawnPictures, Picture, folder_pictures, listed_pictures
from benchmarks.submitting import Submitting
from benchmarks.watching import Watched, watching
from facematch import progress
from facematch.client import Client
from facematch.redis_connection import connect

#: Images that there are when the seed way is measured.
_CHECKPOINTS = (1000, 10_000)
_BEYOND = 100_000
_JUDGED_FROM = 13_000
_SHORT = 200
_START_SECONDS = 60.0


class Part(StrEnum):
    """What there is to measure."""

    MAIN = "main"
    GROWTH = "growth"


@dataclass(frozen=True)
class Source:
    """Where pictures come from: one of a folder, a list of URLs with the folder `root` in which
    their files are, and a number of drawn ones. `count`: how many; None: all there are."""

    pictures: Path | None = None
    urls: Path | None = None
    root: Path | None = None
    drawn: int | None = None
    count: int | None = None

    @property
    def shown(self) -> str:
        """In a word; no path, which would be that of one machine."""
        return "pictures" if self.pictures else "urls" if self.urls else "drawn"


@dataclass(frozen=True)
class Setup:
    """How a service is run and used."""

    workers: int = 1
    clustered: bool = False
    concurrency: int = 16
    threshold: float = 0.6


def run(
    source: Source,
    setup: Setup,
    parts: Collection[Part],
    short: bool,
    kept: Callable[[Report], None],
) -> Report:
    """Measure these parts. `short`: few pictures, and only what became of them counts. `kept` is
    given the report when one part is measured and another follows."""
    report = Report("ingest", {"parts": sorted(parts), "short": short})
    if Part.MAIN in parts and not _main(report, source, setup, short):
        return report
    if Part.GROWTH in parts:
        kept(report)
        try:
            measure_growth(report, SIZES[:2] if short else SIZES, judged=not short)
        except KeyboardInterrupt:
            report.require("growth came to its end", passed=False, detail="interrupted")
    return report


def _main(report: Report, source: Source, setup: Setup, short: bool) -> bool:
    """Whether it came to its end."""
    log, watched, interrupted = JobLog(), Watched(), False
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        settings = {"threshold": repr(setup.threshold)}
        if source.drawn:
            settings["encoder"] = ENCODER
        pictures = _pictures(source, folder, stack, settings, short)
        report.options = {**report.options, **_options(source, setup, len(pictures))}
        (folder / "service").mkdir()
        start = clustered if setup.clustered else embedded
        service = stack.enter_context(
            start(folder / "service", setup.workers, log.hear, **settings)
        )
        with closing(connect(service.redis_url)) as redis:
            empty = data_bytes(redis)
        way = stack.enter_context(_seed_way(folder, setup.threshold, drawn=bool(source.drawn)))
        samples = Samples(way, pictures)
        work = Submitting(stack.enter_context(Client(service.url)), setup.concurrency)
        try:
            _in_turns(report, pictures, work, service, watched, samples, short)
        except KeyboardInterrupt:
            interrupted = True
            print("interrupted: what was measured so far is told", file=sys.stderr)
        tell_ingest(report, work, watched, log)
        tell_stored(report, service, empty)
        tell_seed_way(report, work, samples, len(pictures) >= _JUDGED_FROM and not source.drawn)
        if short:
            report.checks.clear()
        check_ingest(report, service, work)
    detail = f"{len(work.ended):,} of {len(pictures):,} pictures ended"
    report.require("it came to its end", not interrupted, detail)
    return not interrupted


def _options(source: Source, setup: Setup, pictures: int) -> dict[str, object]:
    return {
        "pictures": pictures,
        "workers": setup.workers,
        "source": source.shown,
        "mode": "clustered" if setup.clustered else "embedded",
        "concurrency": setup.concurrency,
        "threshold": setup.threshold,
    }


@contextmanager
def _seed_way(folder: Path, threshold: float, *, drawn: bool) -> Iterator[SeedWay]:
    """With a Redis of its own, which keeps nothing on disk."""
    (folder / "seed").mkdir()
    with (
        tree_in(folder / "seed") as tree,
        closing(connect(start_valkey(tree, folder / "seed"))) as client,
    ):
        client.config_set("appendonly", "no")
        encode = drawn_encode if drawn else face_recognition_encode
        yield SeedWay(client, threshold, encode)


def _pictures(
    source: Source, folder: Path, stack: ExitStack, settings: dict[str, str], short: bool
) -> Sequence[Picture]:
    """All there are to submit, and a server for them if need be; it is added to the settings."""
    count = min(source.count or _SHORT, _SHORT) if short else source.count
    if source.pictures is not None:
        (folder / "made").mkdir()
        return folder_pictures(source.pictures, count, folder / "made")
    if source.drawn is not None:
        return DrawnPictures(range(min(source.drawn, _SHORT) if short else source.drawn))
    assert source.urls is not None
    assert source.root is not None
    port = free_port()
    (folder / "server").mkdir()
    tree = stack.enter_context(tree_in(folder / "server"))
    arguments = str(source.root.resolve()), str(port)
    tree.start(python("pictures", "benchmarks.picture_server", environment(), *arguments))
    tree.wait_for("the picture server", lambda: "" if listens(port) else "down", _START_SECONDS)
    settings["fetch_allow"] = f"127.0.0.1:{port}"
    return listed_pictures(source.urls, source.root, f"http://127.0.0.1:{port}", count)


def _in_turns(
    report: Report,
    pictures: Sequence[Picture],
    work: Submitting,
    service: Service,
    watched: Watched,
    samples: Samples,
    short: bool,
) -> None:
    """Submit up to each size, and measure the seed way there, while the service rests."""
    samples.measure(0, 1 if short else 5)
    ends = [size for size in _CHECKPOINTS if size < len(pictures)] + [len(pictures)]
    with closing(progress.on(sys.stderr, "pictures")) as shown:
        for first, end in zip([0, *ends], ends, strict=False):
            before = work.seconds
            with watching(service, work.clock, watched):
                work.run(
                    pictures[first:end],
                    lambda: shown.update(len(work.ended), len(pictures), work.failed),
                )
            rate = (end - first) / (work.seconds - before)
            name = f"pictures a second, from {first:,} to {end:,} images"
            report.details.append(Measure(name, rate, "1/s", more_is_better=True))
            if end <= _BEYOND:
                samples.measure(end, 1 if short else 5)
    if not short and samples.sizes[-1] < _BEYOND:
        samples.measure(_BEYOND, 2)
