"""The index against FAISS: how long a search takes, what a face costs, and that none is missing."""

import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.pod import start_valkey
from benchmarks.report import Measure, Report
from benchmarks.turns import in_turns
from facematch.encoding_model import encoding_model
from facematch.faces import DIMENSIONS, Box, Encodings, Face, distances, image_hash
from facematch.job import new_job_id
from facematch.redis_connection import connect
from facematch.redis_store import RedisStore
from facematch.store import Commit, NewJob
from facematch.tree import Console, Tree
from index.bootstrap import load
from index.engine import Engine

_BASELINE = "IndexFlatL2"
_EVERYWHERE = 2**62
_PORTION = 50_000
#: What FAISS comes with, before index.flat changes it: from where on it multiplies matrices.
_BLAS_FROM = faiss.cvar.distance_compute_blas_threshold
#: An answer may hold faces that are farther by less than this; the worker decides in float64.
_MARGIN = 2e-5
_UNSURE = 1e-12
_QUERIES, _BATCH = 20, 1000
_LOADED, _LOADS = 100_000, 3

_Search = Callable[[Encodings], object]


def run(faces: int, rounds: int, short: bool) -> Report:
    """Measure everything. `short`: few faces, and only what is found counts."""
    faces = 20_000 if short else faces
    report = Report("index", {"faces": faces, "rounds": rounds, "short": short})
    rng = np.random.default_rng(1)
    encodings = encoding_model().draw(faces, rng)
    queries = encoding_model().draw(_BATCH, rng)
    engine = Engine()
    _fill(report, engine, encodings)
    flat = faiss.IndexFlatL2(DIMENSIONS)
    flat.add(encodings)
    with _one_thread():
        for radius, goals in ((0.5, (4, 10)), (0.6, (2.5, 6))):
            _singly(report, engine, flat, queries[:_QUERIES], radius, rounds, goals)
        _together(report, engine, flat, queries, rounds)
    with tempfile.TemporaryDirectory() as folder:
        _load(report, Path(folder), encodings[: 2000 if short else _LOADED])
    if short:
        report.checks.clear()
    for radius in (0.5, 0.6):
        _check(report, engine, encodings, queries, radius)
    return report


def _fill(report: Report, engine: Engine, encodings: Encodings) -> None:
    ids = np.arange(len(encodings), dtype=np.int64)
    start = time.perf_counter()
    for first in range(0, len(ids), _PORTION):
        engine.add(ids[first : first + _PORTION], encodings[first : first + _PORTION])
    rate = len(ids) / (time.perf_counter() - start)
    report.measures.append(Measure("faces added, many at once", rate, "1/s", more_is_better=True))
    report.at_most(Measure("memory of a face", engine.bytes / len(engine), "bytes"), 420, 360)
    singly = Engine()
    start = time.perf_counter()
    for row in range(1000):
        singly.add(ids[row : row + 1], encodings[row : row + 1])
    each = (time.perf_counter() - start) / 1000
    report.at_most(Measure("a face added alone", each * 1e6, "µs"), 50)


@contextmanager
def _one_thread() -> Iterator[None]:
    threads, blas = faiss.omp_get_max_threads(), faiss.cvar.distance_compute_blas_threshold
    faiss.omp_set_num_threads(1)
    faiss.cvar.distance_compute_blas_threshold = _BLAS_FROM
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)
        faiss.cvar.distance_compute_blas_threshold = blas


def _singly(
    report: Report,
    engine: Engine,
    flat: faiss.IndexFlatL2,
    queries: Encodings,
    radius: float,
    rounds: int,
    goals: tuple[float, float],
) -> None:
    def each(search: _Search) -> _Search:
        def all_of_them(asked: Encodings) -> None:
            for row in range(len(asked)):
                search(asked[row : row + 1])

        return all_of_them

    ours, theirs = _searches(engine, flat, radius)
    name = f"one query, {radius}"
    _compare(report, name, each(ours), each(theirs), queries, rounds, goals)


def _together(
    report: Report, engine: Engine, flat: faiss.IndexFlatL2, queries: Encodings, rounds: int
) -> None:
    ours, theirs = _searches(engine, flat, 0.5)
    name = f"one of {len(queries):,} queries at once, 0.5"
    _compare(report, name, ours, theirs, queries, max(1, rounds // 4), (1.8, 5))


def _searches(engine: Engine, flat: faiss.IndexFlatL2, radius: float) -> tuple[_Search, _Search]:
    return (
        lambda asked: engine.search(asked, radius, _EVERYWHERE),
        lambda asked: flat.range_search(asked, radius**2),
    )


def _compare(
    report: Report,
    name: str,
    ours: _Search,
    theirs: _Search,
    queries: Encodings,
    rounds: int,
    goals: tuple[float, float],
) -> None:
    work = {"ours": lambda: ours(queries), "theirs": lambda: theirs(queries)}
    taken = in_turns(work, rounds)
    one, other = (taken[who] / len(queries) * 1000 for who in work)
    report.at_least(Measure(name, one, "ms", _BASELINE, other), *goals)


def _load(report: Report, folder: Path, encodings: Encodings) -> None:
    """From a store, as a sidecar does at its start; every image with one face."""
    tree = Tree(folder, Console(sys.stdout, sys.stderr))
    try:
        store = RedisStore(connect(start_valkey(tree, folder)))
        store.create("drawn", 0.6)
        for encoding in tqdm(encodings, "storing", unit=" faces", disable=not sys.stderr.isatty()):
            job = new_job_id()
            store.accept(NewJob(job, job, "drawn"), 1)
            image, faces = image_hash(job.encode()), [Face(Box(0, 1, 1, 0), encoding)]
            store.commit(Commit(job, image, job, "drawn", faces, 1, 1, 1))
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
    numbers, ids = engine.search(queries, radius, _EVERYWHERE)
    singly = [
        engine.search(queries[row : row + 1], radius, _EVERYWHERE)[1] for row in range(_QUERIES)
    ]
    wanted, allowed = brute_force(encodings, queries, radius)
    together = numbers * len(encodings) + ids
    alone = [row * len(encodings) + found for row, found in enumerate(singly)]
    first = wanted[wanted < _QUERIES * len(encodings)]
    missing = len(np.setdiff1d(wanted, together)) + len(np.setdiff1d(first, np.concatenate(alone)))
    beyond = len(np.setdiff1d(np.concatenate([together, *alone]), allowed))
    name = f"faces within {radius} of a query"
    report.measures.append(Measure(name, len(wanted) / len(queries), ""))
    more = len(together) - len(wanted)
    detail = (
        f"{missing} of {len(wanted):,} missing, {beyond} farther than {_MARGIN:g} beyond;"
        f" {more:,} within that, which the worker takes out"
    )
    report.require(f"{len(queries):,} queries, {radius}", missing == beyond == 0, detail)


def brute_force(
    encodings: Encodings, queries: Encodings, radius: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All pairs within the radius, and within the margin beyond it, as query * faces + face.

    A product of matrices in float64, and plain differences wherever that might decide otherwise.
    """
    asked = queries.astype(np.float64)
    within: list[NDArray[np.int64]] = []
    allowed: list[NDArray[np.int64]] = []
    for start in range(0, len(encodings), _PORTION):
        block = encodings[start : start + _PORTION].astype(np.float64)
        squares = np.square(block).sum(axis=1) + np.square(asked).sum(axis=1)[:, None]
        squares -= 2 * asked @ block.T
        for reach, found in ((radius, within), (radius + _MARGIN, allowed)):
            rows, columns = np.nonzero(squares <= reach**2 + _UNSURE)
            close = np.abs(squares[rows, columns] - reach**2) <= _UNSURE
            keep = np.ones(len(rows), dtype=np.bool_)
            for place in np.flatnonzero(close):
                pair = queries[rows[place]][None], encodings[start + columns[place]][None]
                keep[place] = distances(*pair)[0, 0] <= reach
            found.append(rows[keep] * len(encodings) + start + columns[keep])
    return np.concatenate(within), np.concatenate(allowed)
