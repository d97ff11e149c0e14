"""The pyramid: the picture in many sizes, so that one size of window finds faces of all sizes.

Source: dlib/image_processing/scan_fhog_pyramid.h (which levels there are) and
dlib/image_transforms/image_pyramid.h (`pyramid_up`, `pyramid_down<6>`).
"""

import math

import numpy as np
from numpy import uint32
from numpy.typing import NDArray

from facematch.faces import Pixels
from worker.hog.compiled import exact
from worker.hog.resizing import Level, resize

_MAX_LEVELS = 100  # far more than memory has room for
_MIN_SIDE = 64  # of a level, in pixels
_DOWN = 5.0 / 6  # a level's sides as parts of those of the one before


@exact
def nearest(value: float) -> int:
    """C's lround: halves are rounded away from zero."""
    size: int = math.floor(abs(value))
    if abs(value) - size >= 0.5:
        size += 1
    return size if value >= 0 else -size


@exact
def level_sizes(height: int, width: int) -> NDArray[np.int64]:
    """Offset, height and width, in pixels, of the levels for a picture of this size, (n, 3).

    The levels lie one after the other in one array. The first is twice the picture; the sizes
    by which dlib decides when to stop are those of a rectangle that it shrinks, not its levels'.
    """
    height, width = 2 * height + 1, 2 * width + 2
    sizes = np.empty((_MAX_LEVELS, 3), np.int64)
    count, offset, left, top, right, bottom = 0, 0, 0, 0, width - 1, height - 1
    while True:
        sizes[count, 0], sizes[count, 1], sizes[count, 2] = offset, height, width
        count, offset = count + 1, offset + height * width
        height, width = 5 * height // 6, 5 * width // 6
        left, top = nearest((left - 0.3) * _DOWN), nearest((top - 0.3) * _DOWN)
        right, bottom = nearest((right - 0.3) * _DOWN), nearest((bottom - 0.3) * _DOWN)
        if right - left + 1 < _MIN_SIDE or bottom - top + 1 < _MIN_SIDE:
            return sizes[:count]


@exact
def level_of(pyramid: NDArray[np.uint32], sizes: NDArray[np.int64], number: int) -> Level:
    """The level of this number, a view of the pyramid."""
    offset, height, width = sizes[number]
    return pyramid[offset : offset + height * width].reshape((height, width))


@exact
def fill_pyramid(pixels: Pixels, sizes: NDArray[np.int64], pyramid: NDArray[np.uint32]) -> None:
    """Put all levels of a picture (h, w, 3), uint8, RGB, into the pyramid, (pixels,), each made
    of the one before."""
    height, width, _ = pixels.shape
    source = np.empty((height, width), uint32)
    for row in range(height):
        for column in range(width):
            source[row, column] = (
                uint32(pixels[row, column, 0])
                | uint32(pixels[row, column, 1]) << uint32(8)
                | uint32(pixels[row, column, 2]) << uint32(16)
            )
    for number in range(len(sizes)):
        level = level_of(pyramid, sizes, number)
        resize(source, level)
        source = level
