"""Gradients of a level: how long, and which way, at each pixel.

Source: dlib/image_transforms/fhog.h (`get_gradient`, `impl_extract_fhog_features`), where the
channel with the longest gradient counts, as in Dalal & Triggs 2005.
"""

import math

import numpy as np
from numpy import float32, int32, uint32
from numpy.typing import NDArray

from facematch.vector_code import Floats
from worker.hog.compiled import exact
from worker.hog.resizing import Level

ORIENTATIONS = 18
#: dlib's own decimals of the cosines and sines of 0 to 160 degrees.
_COSINES = (1.0, 0.9397, 0.7660, 0.5, 0.1736, -0.1736, -0.5, -0.7660, -0.9397)
_SINES = (0.0, 0.3420, 0.6428, 0.8660, 0.9848, 0.9848, 0.8660, 0.6428, 0.3420)


def orientation_table() -> NDArray[np.uint8]:
    """Four times the orientation, 0 to 17, of every gradient (x, y), at 512 * (y + 255) + x + 255.

    Of equally near orientations the first counts, as in dlib.
    """
    differences = np.arange(-255, 256, dtype=float32)
    nearest = np.zeros((511, 511), float32)
    table = np.zeros((511, 512), np.uint8)
    for number, (cosine, sine) in enumerate(zip(_COSINES, _SINES, strict=True)):
        along = differences[None, :] * float32(cosine) + differences[:, None] * float32(sine)
        for orientation, length in ((number, along), (number + ORIENTATIONS // 2, -along)):
            nearer = length > nearest
            nearest[nearer] = length[nearer]
            table[:, :511][nearer] = 4 * orientation
    return table.ravel()


@exact
def grid(level: Level) -> tuple[int, int, int, int, int]:
    """Rows and columns of cells; where the rows and columns of pixels end that have gradients;
    the first of the last columns, which dlib computes one by one and not eight at a time."""
    height, width = level.shape
    cell_rows, cell_columns = (height + 4) // 8, (width + 4) // 8
    end_row, end_column = min(cell_rows * 8, height) - 1, min(cell_columns * 8, width) - 1
    return cell_rows, cell_columns, end_row, end_column, 1 + (max(end_column - 1, 0) // 8) * 8


@exact
def row_gradients(
    level: Level,
    row: int,
    start: int,
    stop: int,
    last: int,
    first: int,
    turns: NDArray[np.int32],
    sizes: Floats,
) -> None:
    """Gradients of the columns from `start` to `stop`: their places in `orientation_table` to
    `turns`, their lengths to `sizes`, both from `first` on. `last`: as `grid` gives it.

    Of channels with equally long gradients dlib takes the last, but the first in the last columns.
    """
    middle = min(max(last, start), stop)
    above, here, below = level[row - 1], level[row], level[row + 1]
    _gradients(above, here, below, start, middle - start, first, False, turns, sizes)
    _gradients(
        above, here, below, middle, stop - middle, first + middle - start, True, turns, sizes
    )


@exact
def _gradients(
    above: NDArray[np.uint32],
    here: NDArray[np.uint32],
    below: NDArray[np.uint32],
    start: int,
    count: int,
    first: int,
    first_channel: bool,
    turns: NDArray[np.int32],
    sizes: Floats,
) -> None:
    byte = uint32(255)
    lefts, rights = here[start - 1 : start - 1 + count], here[start + 1 : start + 1 + count]
    uppers, lowers = above[start : start + count], below[start : start + count]
    own_turns, own_sizes = turns[first : first + count], sizes[first : first + count]
    for n in range(count):
        left, right, upper, lower = lefts[n], rights[n], uppers[n], lowers[n]
        x = float32(int32(int32(right & byte) - int32(left & byte)))
        y = float32(int32(int32(lower & byte) - int32(upper & byte)))
        longest = x * x + y * y
        for _ in range(2):
            left, right = left >> uint32(8), right >> uint32(8)
            upper, lower = upper >> uint32(8), lower >> uint32(8)
            new_x = float32(int32(int32(right & byte) - int32(left & byte)))
            new_y = float32(int32(int32(lower & byte) - int32(upper & byte)))
            new = new_x * new_x + new_y * new_y
            keep = longest >= new if first_channel else longest > new
            x, y = (x if keep else new_x), (y if keep else new_y)
            longest = longest if keep else new
        own_sizes[n] = math.sqrt(longest)
        own_turns[n] = int32(y * float32(512) + x + float32(255 * 512 + 255))
