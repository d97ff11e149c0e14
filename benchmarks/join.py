"""All pairs of faces within a radius, as a reindex has to find them: ours against FAISS.

Ours asks in blocks for the faces before each one's own, on a thread for each core, so that no pair
is found twice. FAISS is asked for all that is near each thousand faces, and computes on as many
threads.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.baseline import faiss_as_it_comes
from benchmarks.filling import fill
from benchmarks.report import Measure, Report
from benchmarks.truth import MARGIN, brute_force
from facematch import progress
from facematch.encoding_model import encoding_model
from facematch.faces import DIMENSIONS, Encodings
from facematch.startup import usable_cores
from index.engine import Engine

RADIUS = 0.5
_BATCH = 1000
#: Ours takes a batch in so many pieces, so that no core waits long for another at its end.
_PIECES = 4
#: How many batches are measured where not all are, and how many in each turn.
_MEASURED, _TURN = 24, 4
#: Of the queries of all batches measured so many are compared with brute force.
_CHECKED = 200
_AIM, _MUST = 6, 3

Rows = NDArray[np.int32]
_Pairs = tuple[Rows, Rows]


def run(faces: int, whole: bool, short: bool) -> Report:
    """Join so many drawn faces. `whole`: let FAISS do all of it as well, which takes it twenty
    minutes for a million. `short`: few faces, and only what is found counts."""
    faces = min(faces, 20_000) if short else faces
    threads = usable_cores()
    report = Report("join", {"faces": faces, "threads": threads, "whole": whole, "short": short})
    rng = np.random.default_rng(1)
    join = Join(encoding_model().draw(faces, rng), threads)
    taken = _in_turns(join, _chosen(join, whole or short, rng))
    _compare(report, join, taken)
    if not whole and len(taken.batches) < join.batches:
        _alone(report, join)
    if short:
        report.checks.clear()
    _check(report, join, taken, rng)
    return report


class Join:
    """The same faces in both indexes, and both ways to join a batch of them."""

    def __init__(self, encodings: Encodings, threads: int) -> None:
        self.encodings = encodings
        self.threads = threads
        self.batches = -(-len(encodings) // _BATCH)
        self._engine = Engine()
        fill(self._engine, encodings)
        self._flat = faiss.IndexFlatL2(DIMENSIONS)
        self._flat.add(encodings)

    def rows(self, batch: int) -> range:
        """The faces that are asked for in a batch."""
        return range(batch * _BATCH, min((batch + 1) * _BATCH, len(self.encodings)))

    def ours(self, pool: ThreadPoolExecutor, batches: Sequence[int]) -> Iterator[_Pairs]:
        """Of each face in these batches those before it: rows of both; piece by piece."""
        return pool.map(self._before, [part for batch in batches for part in self._parts(batch)])

    def theirs(self, batch: int) -> _Pairs:
        """Of each face in this batch all that are near it: rows of both."""
        rows = self.rows(batch)
        with faiss_as_it_comes(self.threads):
            limits, _, near = self._flat.range_search(
                self.encodings[rows.start : rows.stop], RADIUS**2
            )
        own = np.repeat(np.arange(rows.start, rows.stop), np.diff(limits.astype(np.int64)))
        return own.astype(np.int32), near.astype(np.int32)

    def _parts(self, batch: int) -> Iterator[range]:
        rows = self.rows(batch)
        size = -(-_BATCH // _PIECES)
        for start in range(rows.start, rows.stop, size):
            yield range(start, min(start + size, rows.stop))

    def _before(self, rows: range) -> _Pairs:
        owns, ids = [np.empty(0, dtype=np.int32)], [np.empty(0, dtype=np.int32)]
        asked = self.encodings[rows.start : rows.stop]
        for numbers, found in self._engine.pairs(asked, RADIUS, 0, rows.stop):
            own, near = numbers + np.int32(rows.start), found.astype(np.int32)
            before = near < own
            owns.append(own[before])
            ids.append(near[before])
        return np.concatenate(owns), np.concatenate(ids)


@dataclass
class _Taken:
    """What was measured: the batches, the seconds, and what both found of the faces before each."""

    batches: list[int] = field(default_factory=list)
    ours: float = 0.0
    theirs: float = 0.0
    found: list[_Pairs] = field(default_factory=list)
    baseline: list[_Pairs] = field(default_factory=list)


def _chosen(join: Join, all_of_them: bool, rng: np.random.Generator) -> list[int]:
    """The batches to measure. Their order is drawn: so any part of them is spread, whenever it is
    interrupted. That matters because the faces before a face are few at first."""
    if all_of_them or join.batches <= _MEASURED:
        return [int(batch) for batch in rng.permutation(join.batches)]
    middles = (np.arange(_MEASURED) + 0.5) * join.batches / _MEASURED
    return [int(batch) for batch in rng.permutation(middles.astype(np.int64))]


def _in_turns(join: Join, batches: Sequence[int]) -> _Taken:
    """Let both take these batches, a few at a time. Interrupted, it leaves what was done."""
    taken = _Taken()
    with _pool(join.threads) as pool, _shown("batches of FAISS and ours") as shown:
        list(join.ours(pool, batches[:1]))
        join.theirs(batches[0])
        try:
            for start in range(0, len(batches), _TURN):
                some = batches[start : start + _TURN]
                began = time.perf_counter()
                found = list(join.ours(pool, some))
                between = time.perf_counter()
                baseline = [join.theirs(batch) for batch in some]
                ended = time.perf_counter()
                taken.batches += some
                taken.ours += between - began
                taken.theirs += ended - between
                taken.found += found
                taken.baseline += [(own[near < own], near[near < own]) for own, near in baseline]
                shown(len(taken.batches), len(batches))
        except KeyboardInterrupt:
            if not taken.batches:
                raise
    return taken


def _compare(report: Report, join: Join, taken: _Taken) -> None:
    part = len(taken.batches) / join.batches
    name = f"all pairs within {RADIUS} of {len(join.encodings):,} faces"
    if part < 1:
        name += f", from {len(taken.batches)} of {join.batches:,} batches"
    measure = Measure(name, taken.ours / part, "s", "IndexFlatL2", taken.theirs / part)
    report.at_least(measure, _MUST, _AIM)
    if part == 1:
        _rates(report, join, taken.ours, sum(len(own) for own, _ in taken.found))


def _alone(report: Report, join: Join) -> None:
    """All of it, by ours alone. Interrupted, there is nothing to tell of it."""
    pairs, began = 0, time.perf_counter()
    with _pool(join.threads) as pool, _shown("batches of ours alone") as shown:
        try:
            for batch in range(0, join.batches, _TURN):
                some = range(batch, min(batch + _TURN, join.batches))
                pairs += sum(len(own) for own, _ in join.ours(pool, some))
                shown(some.stop, join.batches)
        except KeyboardInterrupt:
            return
    seconds = time.perf_counter() - began
    report.measures.append(Measure("all of them, by ours alone", seconds, "s"))
    _rates(report, join, seconds, pairs)


def _rates(report: Report, join: Join, seconds: float, pairs: int) -> None:
    rate = len(join.encodings) / seconds
    report.measures.append(Measure("faces joined", rate, "1/s", more_is_better=True))
    report.measures.append(Measure("pairs found", pairs, ""))


def _check(report: Report, join: Join, taken: _Taken, rng: np.random.Generator) -> None:
    """All that both found, against each other, and some against brute force in float64."""
    faces = len(join.encodings)
    ours, theirs = (_keys(pairs, faces) for pairs in (taken.found, taken.baseline))
    alone = np.setxor1d(ours, theirs, assume_unique=True)
    apart = _distances(join.encodings, *np.divmod(alone, faces))
    wrong = int((np.abs(apart - RADIUS) > MARGIN).sum())
    detail = (
        f"{len(ours):,} pairs, {len(theirs):,} of FAISS; {len(alone):,} of one of them only, of"
        f" which {wrong} are farther than {MARGIN:g} from {RADIUS}"
    )
    report.require(f"{len(taken.batches)} batches, FAISS", wrong == 0, detail)
    asked = np.concatenate([np.array(join.rows(batch)) for batch in taken.batches])
    asked = np.sort(rng.choice(asked, min(_CHECKED, len(asked)), replace=False))
    wanted, allowed = (
        _before(pairs, asked, faces)
        for pairs in brute_force(join.encodings, join.encodings[asked], RADIUS)
    )
    ours = ours[np.isin(ours // faces, asked)]
    missing, beyond = len(np.setdiff1d(wanted, ours)), len(np.setdiff1d(ours, allowed))
    detail = f"{missing} of {len(wanted):,} missing, {beyond} farther than {MARGIN:g} beyond"
    report.require(f"{len(asked)} faces, brute force", missing == beyond == 0, detail)


def _keys(pairs: Sequence[_Pairs], faces: int) -> NDArray[np.int64]:
    """Each pair as one number; none is there twice."""
    keys = [own.astype(np.int64) * faces + near for own, near in pairs]
    return np.sort(np.concatenate(keys))


def _before(pairs: NDArray[np.int64], asked: NDArray[np.int64], faces: int) -> NDArray[np.int64]:
    """Of what brute force finds for these faces the pairs with one before each, as `_keys`."""
    own, near = asked[pairs // faces], pairs % faces
    keys: NDArray[np.int64] = (own * faces + near)[near < own]
    return keys


def _distances(
    encodings: Encodings, one: NDArray[np.int64], other: NDArray[np.int64]
) -> NDArray[np.float64]:
    apart: NDArray[np.float64] = np.linalg.norm(
        encodings[one].astype(np.float64) - encodings[other], axis=1
    )
    return apart


@contextmanager
def _pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """So many threads, which leave what is not begun when it is interrupted."""
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _shown(unit: str) -> Iterator[Callable[[int, int], None]]:
    """Called with how many are done, and of how many."""
    with closing(progress.on(sys.stderr, unit)) as shown:
        yield lambda done, total: shown.update(done, total)
