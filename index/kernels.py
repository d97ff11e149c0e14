"""The compiled inner loops of `index.codes`, over what `index.layout` describes."""

from functools import cache
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray

from facematch import compiled_cache
from facematch.compiled import close, compile_fast, folder_of
from facematch.encoding_model import Floats64
from facematch.faces import DIMENSIONS, Encodings
from facematch.vector_code import LANES, best_multiplier, near_of_block, prefetch
from index import layout
from index.layout import BYTE, DIRECTIONS, LEADING, LINE, PAIRS, TRAILING, Asked, Held, nobody

#: How many faces memory is read ahead.
_AHEAD = 16

_log = structlog.get_logger()


def _folder() -> Path | None:
    """Where the compiled code is kept; None when it cannot be."""
    folder = folder_of("index", [Path(__file__), Path(layout.__file__)])
    try:
        compiled_cache.own_folder(folder)
    except OSError as error:
        _log.warning("compiled code cannot be kept for the next start", reason=str(error))
        return None
    return folder


_FOLDER = _folder()
_near_of_block = near_of_block(PAIRS, best_multiplier())


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
    """Keep the faces at these points (n, 80) from `row` on. `most` (4,) is raised to the largest
    error of first bytes in the leading directions, the largest norm of what they say, and the
    largest errors of words and of all that is kept."""
    for face in range(len(points)):
        block, lane = divmod(row + face, LANES)
        coarse = square = words = all_ = 0.0
        for direction in range(DIRECTIONS):
            step = steps[direction]
            exact = points[face, direction] / step * BYTE
            word = int(np.floor(exact))
            rest = min(int((exact - word) * BYTE), BYTE - 1)
            held.rest[row + face, direction] = rest
            words += (step * (exact - word - 0.5) / BYTE) ** 2
            all_ += (step * (exact - word - (rest + 0.5) / BYTE) / BYTE) ** 2
            if direction < LEADING:
                code = word >> 8
                held.leading[row + face, direction] = word
                held.coarse[block, direction // 2, lane, direction % 2] = code
                coarse += (step * (exact / BYTE - code - 0.5)) ** 2
                square += (step * code) ** 2
            else:
                held.trailing[row + face, direction - LEADING] = word
        held.starts[block, lane] = -int(np.floor(square / 2 * scale))
        most[0] = max(most[0], np.sqrt(coarse))
        most[1] = max(most[1], np.sqrt(square))
        most[2] = max(most[2], np.sqrt(words))
        most[3] = max(most[3], np.sqrt(all_))


@compile_fast(_FOLDER)
def move(held: Held, rows: NDArray[np.int64], other: Held, row: int) -> None:
    """Copy the faces in these rows (n,) of `held` into `other`, from its `row` on."""
    for number in range(len(rows)):
        old, new = rows[number], row + number
        (block, lane), (to, place) = divmod(old, LANES), divmod(new, LANES)
        for pair in range(PAIRS):
            for one in range(2):
                other.coarse[to, pair, place, one] = held.coarse[block, pair, lane, one]
        other.starts[to, place] = held.starts[block, lane]
        other.leading[new] = held.leading[old]
        other.trailing[new] = held.trailing[old]
        other.rest[new] = held.rest[old]
        other.outside[new] = held.outside[old]


@compile_fast(_FOLDER)
def _decide(
    held: Held,
    asked: Asked,
    steps: Floats64,
    error: float,
    limit: float,
    found: NDArray[np.int32],
    count: int,
) -> int:
    """Keep, of the first `count` of those found by first bytes, the ones within the radius."""
    sizes = (steps / BYTE).astype(np.float32)
    squares = np.empty(count, np.float32)
    close = 0
    for number in range(count):
        prefetch(held.trailing, found[1, min(number + _AHEAD, count - 1)] * TRAILING)
        query, face = found[0, number], found[1, number]
        square = np.float32(0)
        for direction in range(TRAILING):
            place = LEADING + direction
            word = np.float32(held.trailing[face, direction])
            square += (asked.places[query, place] - sizes[place] * word) ** 2
        if square <= np.float32(found[2, number]) * asked.units[query]:
            for direction in range(0, LEADING, LINE // 2):
                prefetch(held.leading, face * LEADING + direction)
            found[0, close], found[1, close], squares[close] = query, face, square
            close += 1
    kept = 0
    for number in range(close):
        query, face, square = found[0, number], found[1, number], squares[number]
        for direction in range(LEADING):
            word = np.float32(held.leading[face, direction])
            square += (asked.places[query, direction] - sizes[direction] * word) ** 2
        if square > asked.far[query]:
            continue
        if square > asked.near[query]:
            exact = 0.0
            for direction in range(DIRECTIONS):
                if direction < LEADING:
                    words = float(held.leading[face, direction])
                else:
                    words = float(held.trailing[face, direction - LEADING])
                words += (held.rest[face, direction] + 0.5) / BYTE
                exact += (asked.points[query, direction] - steps[direction] * words / BYTE) ** 2
            inside = max(0.0, np.sqrt(exact) - error)
            beside = max(0.0, abs(asked.outside[query] - held.outside[face]) - 1e-9)
            if inside**2 + beside**2 > limit:
                continue
        found[0, kept], found[1, kept] = query, face
        kept += 1
    return kept


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
    """Into found (3, n), by number, the queries (row 0) and the faces (row 1) in the blocks from
    `block` up to `blocks` that may lie within the radius of each other. `error`: what places are
    off by at the most; `limit`: the squared radius.

    Returns how many were found, and the block to go on from: it stops before one for which there
    may be too little room, which is (queries + 1) * 16.
    """
    queries = len(asked.points)
    count = 0
    while block < blocks and count + LANES * (queries + 1) <= found.shape[1]:
        count = _near_of_block(
            *(held.coarse, block, held.starts, asked.weights, asked.thresholds),
            *(queries, found, count),
        )
        block += 1
    return _decide(held, asked, steps, error, limit, found, count), block


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
    close([project, store, move, search])


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
    points, outside, most = np.zeros((1, DIRECTIONS)), np.zeros(1), np.zeros(4)
    mean, basis, steps = np.zeros(DIMENSIONS), np.zeros((DIMENSIONS, DIRECTIONS)), points[0] + 1
    project(np.zeros((1, DIMENSIONS), np.float32), mean, basis, points, outside)
    held = nobody(LANES)
    store(points, steps, 1.0, held, 0, most)
    move(held, np.zeros(1, np.int64), held, 0)
    number, words = np.zeros(1, np.float32), np.zeros((1, PAIRS, 2), np.int16)
    places, sums = points.astype(np.float32), np.zeros(1, np.int32)
    asked = Asked(points, outside, places, words, sums, number, number, number)
    search(held, 0, 1, asked, steps, 0.0, 1.0, np.empty((3, 2 * LANES), np.int32))
