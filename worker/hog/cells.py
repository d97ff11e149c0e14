"""Histograms of the gradients in cells: each pixel counts for the four cells around it.

Source: dlib/image_transforms/fhog.h (`impl_extract_fhog_features`), after Felzenszwalb et al.
2010, section 6.1. The sums differ from dlib's in the order of additions.
"""

import numpy as np
from numpy import float32
from numpy.typing import NDArray

from facematch.vector_code import Floats, add4
from worker.hog.compiled import exact, fast
from worker.hog.gradients import ORIENTATIONS, grid, row_gradients
from worker.hog.resizing import Level

#: Numbers of a block: for each orientation its four corners: above left and right, below.
BLOCK = ORIENTATIONS * 4
#: Pixels of a band looked at together, so that all of them stay in the first cache.
CHUNK = 256
_BLOCKS = CHUNK // 8


def corner_shares() -> Floats:
    """How much a pixel counts for the corners of its block: (8 rows * 8 columns * 4,)."""
    way = ((np.arange(8) + 0.5) / 8).astype(float32)
    pair = np.stack([1 - way, way], 1)  # for the centre before and the one after
    shares: Floats = np.einsum("ya,xb->yxab", pair, pair).astype(float32).ravel()
    return shares


@exact
def band_blocks(
    level: Level,
    band: int,
    orientations: NDArray[np.uint8],
    shares: Floats,
    turns: NDArray[np.int32],
    sizes: Floats,
    sums: Floats,
    blocks: Floats,
) -> None:
    """The histograms of all blocks of a band, ((cell columns + 1) * BLOCK,), to `blocks`.

    `turns` and `sizes`, (CHUNK,), and `sums`, (CHUNK // 8 * 2 * BLOCK,), are room to work in.
    """
    _, cell_columns, end_row, end_column, last = grid(level)
    for first in range(0, cell_columns + 1, _BLOCKS):
        count = min(_BLOCKS, cell_columns + 1 - first)
        sums[: count * 2 * BLOCK] = 0
        left, right = first * 8 - 4, (first + count) * 8 - 4
        start, stop = max(left, 1), min(right, end_column)
        for row in range(max(1, 8 * band - 4), min(8 * band + 4, end_row)):
            if left < 1 or right > end_column:
                sizes[: count * 8] = 0
                turns[: count * 8] = 0
            row_gradients(level, row, start, stop, last, start - left, turns, sizes)
            own_shares = (row - 8 * band + 4) * 32
            for block in range(count):
                for n in range(8):  # into two sums, as an addition awaits the one before it
                    orientation = np.int64(orientations[turns[block * 8 + n]])
                    add4(
                        sums,
                        block * 2 * BLOCK + (n & 1) * BLOCK + orientation,
                        shares,
                        own_shares + n * 4,
                        sizes[block * 8 + n],
                    )
        for block in range(count):
            both = sums[block * 2 * BLOCK : (block + 1) * 2 * BLOCK]
            whole = blocks[(first + block) * BLOCK : (first + block + 1) * BLOCK]
            for n in range(BLOCK):
                whole[n] = both[n] + both[n + BLOCK]


@fast
def add_band(blocks: Floats, columns: int, above: Floats, below: Floats, energy: Floats) -> None:
    """Add what a band has for the row of cells above it, (18, columns), which is then complete,
    with its energy, (columns,); begin the row below with what the band has for that."""
    for first in range(0, columns, _BLOCKS):
        stop = min(first + _BLOCKS, columns)
        for orientation in range(ORIENTATIONS):
            upper, lower = above[orientation], below[orientation]
            for column in range(first, stop):
                n = column * BLOCK + orientation * 4
                upper[column] += blocks[n + 1] + blocks[n + BLOCK]
                lower[column] = blocks[n + 3] + blocks[n + BLOCK + 2]
    for column in range(columns):
        total = float32(0)
        for orientation in range(9):
            both = above[orientation, column] + above[orientation + 9, column]
            total += both * both
        energy[column] = total
