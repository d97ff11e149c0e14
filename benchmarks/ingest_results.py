"""What a run of `benchmarks.ingest` says: its measures, and its checks."""

from collections.abc import Iterator, Sequence
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from benchmarks.job_log import STAGES, JobLog
from benchmarks.redis_bytes import redis_bytes
from benchmarks.report import Measure, Report, Series, Table
from benchmarks.seed_way import Samples, mean_up_to
from benchmarks.services import Service
from benchmarks.submitting import Submitting
from benchmarks.watching import Watched
from facematch import fsck
from facematch.errors import REFUSALS
from facematch.redis_connection import connect
from facematch.redis_store import RedisStore
from facematch.sidecar import Sidecar

_SEED_WAY = "seed way"
#: Of what went on over time.
_POINTS = 60
#: Every pair of faces is compared by brute force, with so many images at the most.
_CHECKED = 20_000

Floats = NDArray[np.float64]


def tell_ingest(report: Report, work: Submitting, watched: Watched, log: JobLog) -> None:
    """How fast pictures went through, and what they waited for."""
    seconds = np.array([ended.seconds for ended in work.ended if not ended.code])
    note = report.measures.append
    rate = len(work.ended) / work.seconds if work.seconds else 0.0
    note(Measure("pictures a second", rate, "1/s", more_is_better=True))
    note(Measure("pictures failed", work.failed, ""))
    for stage in STAGES:
        note(Measure(f"stage {stage}", log.mean(stage) * 1000, "ms/picture, by the clock"))
    if len(seconds):
        for share in (50, 99):
            value = float(np.percentile(seconds, share))
            note(Measure(f"match-set latency p{share}", value, "s"))
    for part in ("api", "worker", "index", "store", "queue"):
        if part in watched.memory:
            note(Measure(f"memory {part}", watched.memory[part], "bytes"))
    for part, taken in watched.processor.items():
        each = taken / max(1, len(work.ended)) * 1000
        note(Measure(f"processor {part}", each, "ms/picture, of one core"))
    if watched.depths:
        deepest = max(depth for _, depth in watched.depths)
        note(Measure("queue depth, most", deepest, "jobs"))
    _tell_failures(report, work)
    report.series += _over_time(work, watched)


def tell_stored(report: Report, service: Service, empty: int) -> None:
    """What is in the store and in the index now, by each image, face and match; `empty`: see
    benchmarks.redis_bytes."""
    with closing(connect(service.redis_url)) as client:
        found = redis_bytes(client, empty)
    note = report.measures.append
    note(Measure("Redis bytes an image", found.image, "bytes"))
    note(Measure("Redis bytes a face", found.face, "bytes"))
    note(Measure("Redis bytes a match", found.match, "bytes, one direction"))
    report.details.append(Measure("Redis bytes", found.total, "bytes"))
    report.details.append(Measure("faces", found.faces, ""))
    report.details.append(Measure("matches, in both directions", found.matches, ""))
    with closing(Sidecar(service.index_urls[0])) as sidecar:
        status = sidecar.status()
    if status.faces:
        note(Measure("index bytes a face", status.memory / status.faces, "bytes"))


def tell_seed_way(report: Report, work: Submitting, samples: Samples, judged: bool) -> None:
    """The seed way at each size, and for all the pictures that were submitted."""
    if not work.ended:
        return
    ours = work.seconds / len(work.ended) * 1000
    for size, seconds in zip(samples.sizes, samples.seconds, strict=True):
        name = f"one picture, {_SEED_WAY}, {size:,} images stored"
        report.measures.append(Measure(name, seconds * 1000, "ms"))
    if len(samples.sizes) < 2:
        return
    pictures = len(work.ended)
    theirs = mean_up_to(pictures, samples.sizes, samples.seconds) * 1000
    name = f"one of {pictures:,} pictures, everything included"
    measure = Measure(name, ours, "ms", _SEED_WAY, theirs)
    if not judged:
        report.measures.append(measure)
        return
    at = ", ".join(f"{size:,}" for size in samples.sizes)
    note = f"the {_SEED_WAY} integrated from samples with {at} images stored"
    report.at_least(measure, 20, 50, note)


def check_ingest(report: Report, service: Service, work: Submitting) -> None:
    """No picture failed but by its own fault; and everything that is stored is right."""
    wrong = {code: each.count for code, each in work.failures.items() if code not in REFUSALS}
    detail = ", ".join(f"{count} × {code}" for code, count in wrong.items()) or "none"
    detail += f"; {work.failed:,} of {len(work.ended):,} for what they are"
    report.require("pictures that failed by no fault of theirs", not wrong, detail)
    if len(work.ended) > _CHECKED:
        return
    with closing(connect(service.redis_url)) as client:
        found = fsck.run(RedisStore(client))
    shown = f"{found.pairs:,} pairs compared by brute force, {found.matches:,} matches"
    detail = f"{len(found.findings)} findings, {found.unfinished} unfinished; {shown}"
    report.require("match sets", not found.findings and not found.unfinished, detail)


def _tell_failures(report: Report, work: Submitting) -> None:
    if not work.failures:
        return
    rows = []
    for code, failures in sorted(work.failures.items()):
        report.details.append(Measure(f"pictures failed, {code}", failures.count, ""))
        rows.append((code, ", ".join(failures.names), f"{failures.count:,}"))
    report.tables.append(Table(("failed as", "for example", "pictures"), rows))


def _over_time(work: Submitting, watched: Watched) -> Iterator[Series]:
    """By the seconds for which pictures were submitted."""
    clock = "s"
    if watched.depths:
        step = max(1, len(watched.depths) // _POINTS)
        deepest = [
            max(watched.depths[at : at + step], key=lambda look: look[1])
            for at in range(0, len(watched.depths), step)
        ]
        yield Series("queue depth", "jobs", clock, [(at, float(depth)) for at, depth in deepest])
    if not work.ended:
        return
    ended = sorted((one.at, one.seconds) for one in work.ended)
    at, seconds = np.array(ended).T
    edges = np.linspace(0, max(work.seconds, at[-1]), _POINTS + 1)
    bins = np.clip(np.searchsorted(edges, at, side="right") - 1, 0, _POINTS - 1)
    width = edges[1] - edges[0]
    middles = (edges[:-1] + edges[1:]) / 2
    counts = np.bincount(bins, minlength=_POINTS)
    yield Series("pictures a second", "1/s", clock, _points(middles, counts / width))
    for share in (50, 99):
        there = np.flatnonzero(counts)
        values = np.array([np.percentile(seconds[bins == one], share) for one in there])
        name = f"match-set latency p{share}"
        yield Series(name, "s", clock, _points(middles[there], values))


def _points(x: Floats, values: Floats) -> Sequence[tuple[float, float]]:
    return [(float(one), float(other)) for one, other in zip(x, values, strict=True)]
