"""The compiled inner loops of `index.codes`: faces as fixed-point numbers, and searching them.

A coordinate along direction i is kept as `steps[i] * (word + (rest + ½) / 2^8) / 2^8`: a 16-bit
word and, where it is too close to tell, a byte more. The first byte of the words of the first 48
directions, which hold nine tenths of the variance, tells of most faces that they are too far. It
is kept a second time, in blocks of 16 faces, whose sums are computed at once.
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from facematch import compiled_cache
from facematch.compiled import close, compile_fast, folder_of
from facematch.encoding_model import Floats64
from facematch.faces import DIMENSIONS, Encodings
from facematch.vector_code import LANES, Floats, best_multiplier, near_of_block, prefetch

DIRECTIONS = 80
#: The first ones, of which first bytes are compared, pairs of them, and the other ones.
LEADING = 48
PAIRS = LEADING // 2
TRAILING = DIRECTIONS - LEADING
#: What `starts` says of a face that is not there: no sum reaches a threshold from it.
NOBODY = -(2**31) + 2**29
#: Values of a byte, and bytes that come from memory together.
_BYTE, _LINE = 256, 64
#: How many faces memory is read ahead.
_AHEAD = 16

_Kind = TypeVar("_Kind", bound=np.generic)

_log = structlog.get_logger()


class Held(NamedTuple):
    """So many faces. `coarse` (blocks, 24, 16, 2) int8 and `starts` (blocks, 16) int32: the first
    bytes, and the negative half square of what they say, scaled. `leading` (faces, 48) and
    `trailing` (faces, 32) int16: the words. `rest` (faces, 80) uint8. `outside` (faces,) float32:
    how far from the space of the directions they are. All lie in `memory` (n,) uint8."""

    coarse: NDArray[np.int8]
    starts: NDArray[np.int32]
    leading: NDArray[np.int16]
    trailing: NDArray[np.int16]
    rest: NDArray[np.uint8]
    outside: Floats
    memory: NDArray[np.uint8]


class Asked(NamedTuple):
    """So many queries: `points` (q, 80) and `outside` (q,) float64, where they are; `places`
    (q, 80) float32: the same, less half a word. `weights` (q, 24, 2) int16: what first bytes are
    multiplied with; `thresholds` (q,) int32: what the sums are at least for a face within the
    radius; `units` (q,) float32: how much squared distance in the trailing directions a face may
    have for each 1 that its sum is above. `near` and `far` (q,) float32: up to which squared
    distance, computed from words, a face surely is within the radius, and above which it surely is
    not."""

    points: Floats64
    outside: Floats64
    places: Floats
    weights: NDArray[np.int16]
    thresholds: NDArray[np.int32]
    units: Floats
    near: Floats
    far: Floats


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
            exact = points[face, direction] / step * _BYTE
            word = int(np.floor(exact))
            rest = min(int((exact - word) * _BYTE), _BYTE - 1)
            held.rest[row + face, direction] = rest
            words += (step * (exact - word - 0.5) / _BYTE) ** 2
            all_ += (step * (exact - word - (rest + 0.5) / _BYTE) / _BYTE) ** 2
            if direction < LEADING:
                code = word >> 8
                held.leading[row + face, direction] = word
                held.coarse[block, direction // 2, lane, direction % 2] = code
                coarse += (step * (exact / _BYTE - code - 0.5)) ** 2
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
    sizes = (steps / _BYTE).astype(np.float32)
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
            for direction in range(0, LEADING, _LINE // 2):
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
                words += (held.rest[face, direction] + 0.5) / _BYTE
                exact += (asked.points[query, direction] - steps[direction] * words / _BYTE) ** 2
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


def nobody(rows: int) -> Held:
    """Room for so many faces, a multiple of 16."""
    blocks = rows // LANES
    # In one piece, which the system gives in large pages, and so that no row of `trailing` lies in
    # two lines.
    size = rows * (LEADING * (1 + 2 + 1) + TRAILING * (2 + 1) + 4 + 4)
    memory = np.zeros(size + _LINE, dtype=np.uint8)
    left = memory[-memory.ctypes.data % _LINE :]

    def part(kind: type[_Kind], *shape: int) -> NDArray[_Kind]:
        nonlocal left
        made = np.ndarray(shape, kind, left)
        left = left[made.nbytes :]
        return made

    held = Held(
        coarse=part(np.int8, blocks, PAIRS, LANES, 2),
        starts=part(np.int32, blocks, LANES),
        leading=part(np.int16, rows, LEADING),
        trailing=part(np.int16, rows, TRAILING),
        rest=part(np.uint8, rows, DIRECTIONS),
        outside=part(np.float32, rows),
        memory=memory,
    )
    held.starts[:] = NOBODY
    return held
