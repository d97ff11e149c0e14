"""The index against FAISS: how long a search takes, what a face costs, and that none is missing."""

import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection
from enum import StrEnum
from pathlib import Path

import faiss
import numpy as np
from tqdm import tqdm

from benchmarks.baseline import faiss_as_it_comes
from benchmarks.filling import MODEL, add_image, fill
from benchmarks.peers.comparison import Comparison
from benchmarks.pod import start_valkey
from benchmarks.report import Measure, Report
from benchmarks.sizes import measure_sizes
from benchmarks.truth import MARGIN, RADII, brute_force
from benchmarks.turns import in_turns, singly
from facematch.encoding_model import encoding_model
from facematch.faces import DIMENSIONS, Encodings, image_hash
from facematch.loading import load
from facematch.redis_connection import connect
from facematch.redis_store import RedisStore
from facematch.tree import Console, Tree
from index.engine import EVERYWHERE, Engine

_BASELINE = "IndexFlatL2"
_QUERIES, _BATCH = 20, 1000
_LOADED, _LOADS = 100_000, 3


class Part(StrEnum):
    """What there is to measure."""

    MAIN = "main"
    PEERS = "peers"
    SIZES = "sizes"


def run(
    faces: int,
    rounds: int,
    parts: Collection[Part],
    short: bool,
    kept: Callable[[Report], None],
) -> Report:
    """Measure these parts. `short`: few faces, only the main part, and only what is found counts.
    `kept` is given the report whenever something that took long has been added."""
    faces = 20_000 if short else faces
    parts = {Part.MAIN} if short else set(parts)
    options = {"faces": faces, "rounds": rounds, "short": short, "parts": sorted(parts)}
    report = Report("index", options)
    rng = np.random.default_rng(1)
    encodings = encoding_model().draw(faces, rng)
    queries = encoding_model().draw(_BATCH, rng)
    if Part.MAIN in parts:
        _main(report, encodings, queries, rounds, short)
        kept(report)
    with faiss_as_it_comes(threads=1):
        if Part.SIZES in parts:
            measure_sizes(report, 3 * faces, rounds, lambda: kept(report))
        if Part.PEERS in parts:
            comparison = Comparison(report, encodings, queries[:_QUERIES], max(1, rounds // 4))
            comparison.run(kept=lambda: kept(report))
    return report


def _main(
    report: Report, encodings: Encodings, queries: Encodings, rounds: int, short: bool
) -> None:
    engine = Engine()
    _fill(report, engine, encodings)
    flat = faiss.IndexFlatL2(DIMENSIONS)
    flat.add(encodings)
    with faiss_as_it_comes(threads=1):
        for radius, goals in zip(RADII, ((4, 10), (2.5, 6)), strict=True):
            _singly(report, engine, flat, queries[:_QUERIES], radius, rounds, goals)
        _together(report, engine, flat, queries, rounds)
    with tempfile.TemporaryDirectory() as folder:
        _load(report, Path(folder), encodings[: 2000 if short else _LOADED])
    if short:
        report.checks.clear()
    for radius in RADII:
        _check(report, engine, encodings, queries, radius)


def _fill(report: Report, engine: Engine, encodings: Encodings) -> None:
    start = time.perf_counter()
    fill(engine, encodings)
    rate = len(encodings) / (time.perf_counter() - start)
    report.measures.append(Measure("faces added, many at once", rate, "1/s", more_is_better=True))
    report.at_most(Measure("memory of a face", engine.bytes / len(engine), "bytes"), 420, 360)
    one_by_one, ids = Engine(), np.arange(1000, dtype=np.int64)
    start = time.perf_counter()
    for row in range(1000):
        one_by_one.add(ids[row : row + 1], encodings[row : row + 1])
    each = (time.perf_counter() - start) / 1000
    report.at_most(Measure("a face added alone", each * 1e6, "µs"), 50)


def _singly(
    report: Report,
    engine: Engine,
    flat: faiss.IndexFlatL2,
    queries: Encodings,
    radius: float,
    rounds: int,
    goals: tuple[float, float],
) -> None:
    ours = singly(lambda asked: engine.within(asked, radius, EVERYWHERE), queries)
    theirs = singly(lambda asked: flat.range_search(asked, radius**2), queries)
    _compare(report, f"one query, {radius}", ours, theirs, len(queries), rounds, goals)


def _together(
    report: Report, engine: Engine, flat: faiss.IndexFlatL2, queries: Encodings, rounds: int
) -> None:
    radius = 0.5
    _compare(
        report,
        f"one of {len(queries):,} queries at once, {radius}",
        lambda: engine.search(queries, radius, EVERYWHERE),
        lambda: flat.range_search(queries, radius**2),
        len(queries),
        max(1, rounds // 4),
        (1.8, 5),
    )


def _compare(
    report: Report,
    name: str,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    queries: int,
    rounds: int,
    goals: tuple[float, float],
) -> None:
    work = {"ours": ours, "theirs": theirs}
    taken = in_turns(work, rounds)
    one, other = (taken[who] / queries * 1000 for who in work)
    report.at_least(Measure(name, one, "ms", _BASELINE, other), *goals)


def _load(report: Report, folder: Path, encodings: Encodings) -> None:
    """From a store, as a sidecar does at its start; every image with one face."""
    tree = Tree(folder, Console(sys.stdout, sys.stderr))
    try:
        store = RedisStore(connect(start_valkey(tree, folder)))
        store.create(MODEL, 0.6)
        for encoding in tqdm(encodings, "storing", unit=" faces", disable=not sys.stderr.isatty()):
            add_image(store, image_hash(encoding.tobytes()), encoding[None])
        rates = []
        for _ in range(_LOADS):
            start = time.perf_counter()
            load(store, Engine(), threading.Event(), lambda loaded, images: None)
            rates.append(len(encodings) / (time.perf_counter() - start))
    finally:
        tree.stop()
    rate = float(np.median(rates))
    report.at_rate(Measure("faces loaded from Valkey", rate, "1/s"), 60_000, 150_000)


def _check(
    report: Report, engine: Engine, encodings: Encodings, queries: Encodings, radius: float
) -> None:
    """Every query that was measured, against brute force in float64."""
    numbers, ids = engine.search(queries, radius, EVERYWHERE)
    each = [engine.within(queries[row : row + 1], radius, EVERYWHERE) for row in range(_QUERIES)]
    wanted, allowed = brute_force(encodings, queries, radius)
    together = numbers.astype(np.int64) * len(encodings) + ids
    alone = [row * len(encodings) + found for row, found in enumerate(each)]
    first = wanted[wanted < _QUERIES * len(encodings)]
    missing = len(np.setdiff1d(wanted, together)) + len(np.setdiff1d(first, np.concatenate(alone)))
    beyond = len(np.setdiff1d(np.concatenate([together, *alone]), allowed))
    name = f"faces within {radius} of a query"
    report.measures.append(Measure(name, len(wanted) / len(queries), ""))
    more = len(together) - len(wanted)
    detail = (
        f"{missing} of {len(wanted):,} missing, {beyond} farther than {MARGIN:g} beyond;"
        f" {more:,} within that, which the worker takes out"
    )
    report.require(f"{len(queries):,} queries, {radius}", missing == beyond == 0, detail)
