"""The compiled inner loops of `index.codes`: faces as fixed-point numbers, and searching them.

A coordinate along direction i is kept as `steps[i] * (high + (low + ½) / 2^16)`, `high` from -128
to 127 and `low` from 0 to 65,535. `high` alone, a byte for each direction, tells of most faces
that they are too far. It lies in blocks of 16 faces, whose sums are computed at once, and in two
halves: the first 40 directions hold five sixths of the variance, and are often enough.
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import structlog
from numpy.typing import NDArray

from facematch import compiled_cache
from facematch.compiled import close, compile_fast, folder_of
from facematch.encoding_model import Floats64
from facematch.faces import DIMENSIONS, Encodings
from facematch.vector_code import LANES, best_multiplier, block_sums, prefetch

DIRECTIONS = 80
#: Directions of a half, and pairs of them.
HALF = DIRECTIONS // 2
PAIRS = HALF // 2
#: What `starts` says of a face that is not there: no sum reaches a threshold from it.
NOBODY = -(2**30)
#: Steps of `low` in one of `high`.
_WHOLE = 65_536
#: Bytes of a half of a block, and those that come from memory together.
_HALF_BLOCK, _LINE = HALF * LANES, 64
#: How many blocks memory is read ahead.
_AHEAD = 4

_log = structlog.get_logger()


class Held(NamedTuple):
    """So many faces. `high` (2, blocks, 20, 16, 2) int8, `low` (faces, 80) uint16; `starts`
    (2, blocks, 16) int32: of each half the negative half square of what `high` says, scaled;
    `outside` (faces,) float32: how far from the space of the directions they are."""

    high: NDArray[np.int8]
    low: NDArray[np.uint16]
    starts: NDArray[np.int32]
    outside: NDArray[np.float32]


class Asked(NamedTuple):
    """So many queries: `points` (q, 80) and `outside` (q,) float64, where they are; `weights`
    (2, q, 20, 2) int16: what `high` is multiplied with; `thresholds` (3, q) int32: what the sums
    of the first half, and of both, are at least for a face within the radius, and from which sum
    of both on a face surely is."""

    points: Floats64
    outside: Floats64
    weights: NDArray[np.int16]
    thresholds: NDArray[np.int32]


def _folder() -> Path | None:
    """Where the compiled code is kept; None when it cannot be."""
    folder = folder_of("index", [Path(__file__)])
    try:
        compiled_cache.own_folder(folder)
    except OSError as error:
        _log.warning("compiled code cannot be kept for the next start", reason=str(error))
        return None
    return folder


_FOLDER = _folder()
_sums = block_sums(PAIRS, best_multiplier())


@compile_fast(_FOLDER)
def project(
    encodings: Encodings, mean: Floats64, basis: Floats64, points: Floats64, outside: Floats64
) -> None:
    """The coordinates of encodings (n, 128) along the columns of basis (128, 80), into points
    (n, 80), and their distances from the space that these span, into outside (n,)."""
    rest = np.empty(DIMENSIONS)
    for face in range(len(encodings)):
        point = points[face]
        point[:] = 0.0
        for row in range(DIMENSIONS):
            rest[row] = encodings[face, row] - mean[row]
            for direction in range(DIRECTIONS):
                point[direction] += rest[row] * basis[row, direction]
        total = 0.0
        for row in range(DIMENSIONS):
            inside = 0.0
            for direction in range(DIRECTIONS):
                inside += point[direction] * basis[row, direction]
            total += (rest[row] - inside) ** 2
        outside[face] = np.sqrt(total)


@compile_fast(_FOLDER)
def store(
    points: Floats64, steps: Floats64, scale: float, held: Held, row: int, most: Floats64
) -> None:
    """Keep the faces at these points (n, 80) from `row` on. `most` (3, 2) is raised to the largest
    error of `high` and the largest norm of it, for the first half and for both; `most` (2, 0) to
    the largest error of `high` and `low` together."""
    for face in range(len(points)):
        block, lane = divmod(row + face, LANES)
        coarse = fine = square = before = 0.0
        for direction in range(DIRECTIONS):
            half, place = divmod(direction, HALF)
            exact = points[face, direction] / steps[direction]
            code = int(np.floor(exact))
            fraction = min(int((exact - code) * _WHOLE), 65_535)
            held.high[half, block, place // 2, lane, place % 2] = code
            held.low[row + face, direction] = fraction
            step = steps[direction]
            coarse += (step * (exact - code - 0.5)) ** 2
            fine += (step * (exact - code - (fraction + 0.5) / _WHOLE)) ** 2
            square += (step * code) ** 2
            if place == HALF - 1:
                held.starts[half, block, lane] = -int(np.floor((square - before) / 2 * scale))
                before = square
                most[half, 0] = max(most[half, 0], np.sqrt(coarse))
                most[half, 1] = max(most[half, 1], np.sqrt(square))
        most[2, 0] = max(most[2, 0], np.sqrt(fine))


@compile_fast(_FOLDER)
def search(
    held: Held,
    block: int,
    blocks: int,
    asked: Asked,
    steps: Floats64,
    error: float,
    limit: float,
    found: NDArray[np.int32],
) -> tuple[int, int]:
    """Into found (2, n), by number, the queries and the faces in the blocks from `block` up to
    `blocks` that may lie within the radius of each other. `error`: what places are off by at the
    most; `limit`: the squared radius.

    Returns how many were found, and the block to go on from: it stops before one for which there
    may be too little room.
    """
    queries = len(asked.points)
    every, some = np.arange(queries), np.empty(queries, np.int64)
    masks, nothing = np.empty(queries, np.uint16), np.zeros((queries, LANES), np.int32)
    totals = np.empty((queries, LANES), np.int32)
    codes = np.empty(DIRECTIONS)
    count = looked = needed = 0
    while block < blocks and count + LANES * queries <= found.shape[1]:
        # Where the second half is needed now and then, memory is not read ahead by itself.
        if 8 * needed > looked:
            for byte in range(0, _HALF_BLOCK, _LINE):
                prefetch(held.high[1], (block + _AHEAD) * _HALF_BLOCK + byte)
        looked += 1
        _sums(
            *(held.high[0], block, held.starts[0], asked.weights[0], asked.thresholds[0]),
            *(every, queries, nothing, totals, masks),
        )
        close = 0
        for query in range(queries):
            some[close] = query
            close += masks[query] != 0
        if close == 0:
            block += 1
            continue
        needed += 1
        _sums(
            *(held.high[1], block, held.starts[1], asked.weights[1], asked.thresholds[1]),
            *(some, close, totals, totals, masks),
        )
        for number in range(close):
            near, query = np.int64(masks[number]), some[number]
            if near == 0:
                continue
            for lane in range(LANES):
                if (near >> lane) & 1 == 0 or held.starts[0, block, lane] == NOBODY:
                    continue
                face = block * LANES + lane
                if totals[query, lane] >= asked.thresholds[2, query]:
                    found[0, count], found[1, count] = query, face
                    count += 1
                    continue
                for pair in range(PAIRS):
                    for one in range(2):
                        codes[2 * pair + one] = held.high[0, block, pair, lane, one]
                        codes[HALF + 2 * pair + one] = held.high[1, block, pair, lane, one]
                square = 0.0
                for direction in range(DIRECTIONS):
                    code = codes[direction] + (held.low[face, direction] + 0.5) / _WHOLE
                    square += (asked.points[query, direction] - steps[direction] * code) ** 2
                inside = max(0.0, np.sqrt(square) - error)
                beside = max(0.0, abs(asked.outside[query] - held.outside[face]) - 1e-9)
                if inside**2 + beside**2 <= limit:
                    found[0, count], found[1, count] = query, face
                    count += 1
        block += 1
    return count, block


@cache
def load() -> None:
    """Have all of this compiled: from the folder where it is kept, or in a few seconds."""
    if _FOLDER is None:
        _compile()
    else:
        with compiled_cache.locked(_FOLDER):
            kept = _is_kept(_FOLDER)
            if not kept:
                compiled_cache.clear(_FOLDER)
            _compile()
            if not kept:
                compiled_cache.complete(_FOLDER)
    # Code for other kinds of arguments would be kept too, and be taken for damage.
    close([project, store, search])


def _is_kept(folder: Path) -> bool:
    if not compiled_cache.is_complete(folder):
        return False
    try:
        compiled_cache.check(folder)
    except (OSError, ValueError):
        _log.warning("the compiled code is damaged and is compiled anew")
        return False
    return True


def _compile() -> None:
    """Call each function with arguments of the kinds that it is called with."""
    points, outside, most = np.zeros((1, DIRECTIONS)), np.zeros(1), np.zeros((3, 2))
    mean, basis, steps = np.zeros(DIMENSIONS), np.zeros((DIMENSIONS, DIRECTIONS)), points[0] + 1
    project(np.zeros((1, DIMENSIONS), np.float32), mean, basis, points, outside)
    held = nobody(LANES)
    store(points, steps, 1.0, held, 0, most)
    weights, thresholds = np.zeros((2, 1, PAIRS, 2), np.int16), np.zeros((3, 1), np.int32)
    asked = Asked(points, outside, weights, thresholds)
    search(held, 0, 1, asked, steps, 0.0, 1.0, np.empty((2, LANES), np.int32))


def nobody(rows: int) -> Held:
    """Room for so many faces, a multiple of 16."""
    blocks = rows // LANES
    return Held(
        high=np.zeros((2, blocks, PAIRS, LANES, 2), dtype=np.int8),
        low=np.zeros((rows, DIRECTIONS), dtype=np.uint16),
        starts=np.full((2, blocks, LANES), NOBODY, dtype=np.int32),
        outside=np.zeros(rows, dtype=np.float32),
    )
