"""How the time of a query grows with the number of faces: the index and FAISS, in turns."""

from collections.abc import Callable

import faiss
import numpy as np

from benchmarks.filling import fill
from benchmarks.peers.points import Point
from benchmarks.report import Report
from benchmarks.truth import RADII, Score, Truth
from benchmarks.turns import in_turns, singly
from facematch.encoding_model import encoding_model
from facematch.faces import DIMENSIONS, Encodings
from index.engine import EVERYWHERE, Engine

SIZES = (1000, 10_000, 100_000, 1_000_000, 3_000_000)
_BASELINE = "IndexFlatL2"
_QUERIES = 20
_SEED = 2

_Search = Callable[[Encodings], np.ndarray[tuple[int], np.dtype[np.int64]]]


def measure_sizes(report: Report, largest: int, rounds: int, kept: Callable[[], None]) -> None:
    """Add to the report the time of one query with up to `largest` faces, both indexes growing,
    and whether each answer is complete. FAISS is left as it was set."""
    rng = np.random.default_rng(_SEED)
    encodings = encoding_model().draw(largest, rng)
    queries = encoding_model().draw(_QUERIES, rng)
    truths = [Truth(encodings, queries, radius) for radius in RADII]
    engine, flat, filled = Engine(), faiss.IndexFlatL2(DIMENSIONS), 0
    for size in sorted({*(size for size in SIZES if size < largest), largest}):
        print(f"{size:,} faces …", flush=True)
        fill(engine, encodings[filled:size], filled)
        flat.add(encodings[filled:size])
        filled = size
        for truth in truths:
            _measure(report, engine, flat, queries, truth, rounds)
        kept()


def _measure(
    report: Report,
    engine: Engine,
    flat: faiss.IndexFlatL2,
    queries: Encodings,
    truth: Truth,
    rounds: int,
) -> None:
    radius, faces = truth.radius, len(engine)
    searches: dict[str, _Search] = {
        "ours": lambda query: engine.within(query, radius, EVERYWHERE),
        _BASELINE: lambda query: flat.range_search(query, radius**2)[2],
    }

    work = {name: singly(search, queries) for name, search in searches.items()}
    taken = in_turns(work, rounds)
    ours, theirs = (taken[name] / len(queries) * 1000 for name in searches)
    report.measures.append(next(Point(_BASELINE, faces, radius, 1.0, theirs, ours).measures()))
    for name, search in searches.items():
        score = Score()
        for row in range(len(queries)):
            score += truth.score(row, search(queries[row : row + 1]), faces)
        detail = f"{score.wanted - score.found} of {score.wanted:,} missing, {score.wrong} too far"
        complete = score.found == score.wanted and score.wrong == 0
        report.require(
            f"{len(queries)} queries, {radius}, {faces:,} faces, {name}", complete, detail
        )
