"""What `facematch plan` reckons with: bytes in Redis, and seconds of a core as a collection grows.

All of it is small; the model (`facematch.sizing`) makes a plan of it. What a whole picture takes
comes from an ingest; `benchmarks.sizing_file` puts it all together.
"""

import itertools
import time
from collections.abc import Callable
from statistics import fmean

import numpy as np

from benchmarks.filling import MODEL, fill
from benchmarks.report import Measure, Report
from benchmarks.store_bytes import THRESHOLD, add, busy, compare_bytes, finish, server
from benchmarks.turns import in_turns, singly
from facematch.encoding_model import encoding_model
from facematch.faces import DIMENSIONS, FACES_PER_POSITION, Encodings, FaceIds
from facematch.neighbours import ExactNeighbours
from facematch.redis_connection import Redis
from facematch.redis_store import RedisStore
from facematch.store import Store
from facematch.wire import Candidates, Query
from index.engine import EVERYWHERE, Engine
from worker.matching import find_matches

_FEW_MATCHES, _MANY_MATCHES = 10, 2000
_RADII = (0.5, 0.6)
_QUERIES = 20


def run(faces: int, short: bool) -> Report:
    """Measure, the index with up to so many drawn faces. `short`: few, and no figure means much."""
    images = 500 if short else 20_000
    faces = 20_000 if short else faces
    report = Report("sizing", {"faces": faces, "images": images, "short": short})
    compare_bytes(report, images)
    with server() as client:
        _linking(report, client, 3 if short else 20)
    _queries(report, faces, 2 if short else 8)
    return report


class _Told(ExactNeighbours):
    """An index that finds at once what it is told to, so that it takes no time."""

    def __init__(self, store: Store, faces: FaceIds) -> None:
        super().__init__(store)
        self._answer = Candidates(faces, store.collection().tail)

    def within(self, query: Query) -> Candidates:
        """See facematch.neighbours.Neighbours."""
        del query
        return self._answer


def _linking(report: Report, client: Redis, rounds: int) -> None:
    """Comparing and writing the matches of an image that has few, and of one that has many."""
    store = RedisStore(client)
    store.create(MODEL, THRESHOLD)
    before = busy(client)
    rng = np.random.default_rng(3)
    near = rng.normal(0, 0.01, (_MANY_MATCHES + 2 * rounds, 1, DIMENSIONS)).astype(np.float32)
    for encoding in near[:_MANY_MATCHES]:
        finish(store, add(store, encoding))
    picture = (busy(client) - before) / _MANY_MATCHES
    seconds: dict[int, list[tuple[float, float]]] = {_FEW_MATCHES: [], _MANY_MATCHES: []}
    for encoding, count in zip(near[_MANY_MATCHES:], itertools.cycle(seconds), strict=False):
        added = add(store, encoding)
        found = np.arange(1, count + 1, dtype=np.int64) * FACES_PER_POSITION
        told = _Told(store, found)
        own, theirs = time.process_time(), busy(client)
        matches = find_matches(store, told, encoding, added[1].position, THRESHOLD)
        finish(store, added, matches.pairs)
        seconds[count].append((time.process_time() - own, busy(client) - theirs))
        if len(matches.pairs) != count:
            raise RuntimeError(f"{len(matches.pairs)} of {count} matches found")
    more = _MANY_MATCHES - _FEW_MATCHES
    own, theirs = (
        (fmean(s[of] for s in seconds[_MANY_MATCHES]) - fmean(s[of] for s in seconds[_FEW_MATCHES]))
        / more
        for of in range(2)
    )
    report.measures.append(Measure("Redis, a picture", picture * 1000, "ms"))
    for name, value in (
        ("Redis, a match both ways", theirs),
        ("worker and Redis, a match both ways", own + theirs),
    ):
        report.measures.append(Measure(name, value * 1e6, "µs"))


def _queries(report: Report, faces: int, rounds: int) -> None:
    """One query with up to so many faces, as a start, a part for each face there, and one for each
    that is found: what fits the times best, relative to each."""
    rng = np.random.default_rng(4)
    encodings, queries = encoding_model().draw(faces, rng), encoding_model().draw(_QUERIES, rng)
    engine, filled, rows, times = Engine(), 0, [], []
    for size in (faces // 100, faces // 10, faces):
        fill(engine, encodings[filled:size], filled)
        filled = size
        for radius in _RADII:
            _, found = engine.search(queries, radius, EVERYWHERE)
            taken = in_turns({"": singly(_search(engine, radius), queries)}, rounds)[""] / _QUERIES
            rows.append([1.0, size, len(found) / _QUERIES])
            times.append(taken)
            name = f"one query, {radius:g}, {size:,} faces"
            report.measures.append(Measure(name, taken * 1000, "ms"))
    relative = np.array(rows) / np.array(times)[:, None]
    start, each, match = np.linalg.lstsq(relative, np.ones(len(times)), rcond=None)[0].tolist()
    for name, value, unit in (
        ("query of one face", start * 1e6, "µs"),
        ("query of one face, for each face there", each * 1e9, "ns"),
        ("query of one face, for each face found", match * 1e9, "ns"),
    ):
        report.measures.append(Measure(name, value, unit))


def _search(engine: Engine, radius: float) -> Callable[[Encodings], object]:
    return lambda query: engine.within(query, radius, EVERYWHERE)
