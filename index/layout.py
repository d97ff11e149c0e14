"""How faces and queries lie in memory for `index.kernels`.

A coordinate along direction i is kept as `steps[i] * (word + (rest + ½) / 2^8) / 2^8`: a 16-bit
word and, where it is too close to tell, a byte more. The first byte of the words of the first 48
directions, which hold nine tenths of the variance, tells of most faces that they are too far. It
is kept a second time, in blocks of 16 faces, whose sums are computed at once.
"""

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from facematch.encoding_model import Floats64
from facematch.vector_code import LANES, Floats

DIRECTIONS = 80
#: The first ones, of which first bytes are compared, pairs of them, and the other ones.
LEADING = 48
PAIRS = LEADING // 2
TRAILING = DIRECTIONS - LEADING
#: What `starts` says of a face that is not there: no sum reaches a threshold from it.
NOBODY = -(2**31) + 2**29
#: Values of a byte, and bytes that come from memory together.
BYTE, LINE = 256, 64

_Kind = TypeVar("_Kind", bound=np.generic)


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


def nobody(rows: int) -> Held:
    """Room for so many faces, a multiple of 16."""
    blocks = rows // LANES
    # In one piece, which the system gives in large pages, and so that no row of `trailing` lies in
    # two lines.
    size = rows * (LEADING * (1 + 2 + 1) + TRAILING * (2 + 1) + 4 + 4)
    memory = np.zeros(size + LINE, dtype=np.uint8)
    left = memory[-memory.ctypes.data % LINE :]

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
