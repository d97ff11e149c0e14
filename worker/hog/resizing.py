"""Pictures in another size, as dlib makes them to the bit.

Source: dlib/image_transforms/interpolation.h (`resize_image` of RGB pixels, bilinear).
"""

import math
from typing import TypeAlias

import numpy as np
from numpy import float32, int32, uint32
from numpy.typing import NDArray

from facematch.vector_code import Floats
from worker.hog.compiled import exact

#: A level of the pyramid: (height, width), uint32, red | green << 8 | blue << 16.
Level: TypeAlias = NDArray[np.uint32]


@exact
def resize(source: Level, resized: Level) -> None:
    """dlib's bilinear resizing. It truncates, and computes in float32, four columns at a time,
    but in float64 for the last columns, which have no right neighbour for all four."""
    height, width = source.shape
    rows, columns = resized.shape
    lefts, parts = np.empty(columns + 4, int32), np.empty(columns + 4, float32)
    by_four = _places(width, columns, lefts, parts)
    # The left and right source pixels of every column, for the last two source rows in use.
    spread, held = np.empty((2, 2, columns), uint32), [-1, -1]
    step_x = (width - 1) / float(max(columns - 1, 1))
    step_y = (height - 1) / float(max(rows - 1, 1))
    y = -step_y
    for row in range(rows):
        y += step_y
        top = math.floor(y)
        low = min(top + 1, height - 1)
        for number in (top, low):
            if held[number & 1] != number:
                held[number & 1] = number
                _spread(source[number], lefts, by_four, spread[number & 1])
        part = y - top
        _blend(spread[top & 1], spread[low & 1], parts, part, by_four, resized[row])
        _blend_last(source[top], source[low], part, step_x, by_four, resized[row])


@exact
def _places(width: int, columns: int, lefts: NDArray[np.int32], parts: Floats) -> int:
    """For each column that dlib computes four at a time: the source column left of it, and how
    far it is on the way to the next. Returns how many columns these are."""
    scale = (width - 1) / float(max(columns - 1, 1))
    x = -4 * scale
    x0, x1 = float32(x), float32(x + scale)
    x2, x3 = float32(x + 2 * scale), float32(x + 3 * scale)
    step = float32(4 * scale)
    count = 0
    while True:
        x0 += step
        x1 += step
        x2 += step
        x3 += step
        if int(x3) + 1 >= width:
            return count
        for lane, place in enumerate((x0, x1, x2, x3)):
            lefts[count + lane] = int32(place)
            parts[count + lane] = place - float32(int32(place))
        count += 4


@exact
def _spread(row: NDArray[np.uint32], lefts: NDArray[np.int32], count: int, sides: Level) -> None:
    left, right = sides[0], sides[1]
    for column in range(count):
        place = uint32(lefts[column])
        left[column] = row[place]
        right[column] = row[place + 1]


@exact
def _blend(
    above: Level,
    below: Level,
    parts: Floats,
    part: float,
    count: int,
    blended: NDArray[np.uint32],
) -> None:
    """The first columns of a row, from the left and right pixels above and below."""
    byte, down, up = uint32(255), float32(part), float32(1 - part)
    above_left, above_right, below_left, below_right = above[0], above[1], below[0], below[1]
    for column in range(count):
        right = parts[column]
        left = float32(1) - right
        w0, w1, w2, w3 = up * left, up * right, down * left, down * right
        a, b = above_left[column], above_right[column]
        c, d = below_left[column], below_right[column]
        # Written out three times: with a function for it the detector takes a twentieth longer.
        red = (
            w0 * float32(int32(a & byte))
            + w1 * float32(int32(b & byte))
            + w2 * float32(int32(c & byte))
            + w3 * float32(int32(d & byte))
        )
        a, b, c, d = a >> uint32(8), b >> uint32(8), c >> uint32(8), d >> uint32(8)
        green = (
            w0 * float32(int32(a & byte))
            + w1 * float32(int32(b & byte))
            + w2 * float32(int32(c & byte))
            + w3 * float32(int32(d & byte))
        )
        a, b, c, d = a >> uint32(8), b >> uint32(8), c >> uint32(8), d >> uint32(8)
        blue = (
            w0 * float32(int32(a))
            + w1 * float32(int32(b))
            + w2 * float32(int32(c))
            + w3 * float32(int32(d))
        )
        blended[column] = (
            uint32(int32(red))
            | (uint32(int32(green)) << uint32(8))
            | (uint32(int32(blue)) << uint32(16))
        )


@exact
def _blend_last(
    above: NDArray[np.uint32],
    below: NDArray[np.uint32],
    part: float,
    step: float,
    first: int,
    blended: NDArray[np.uint32],
) -> None:
    """The columns of a row from `first` on."""
    x = -step + first * step
    for column in range(first, len(blended)):
        x += step
        left = math.floor(x)
        right, across, pixel = min(left + 1, len(above) - 1), x - left, 0
        for shift in (0, 8, 16):
            a, b = (above[left] >> shift) & 255, (above[right] >> shift) & 255
            c, d = (below[left] >> shift) & 255, (below[right] >> shift) & 255
            upper = (1 - across) * a + across * b
            lower = (1 - across) * c + across * d
            pixel |= int((1 - part) * upper + part * lower) << shift
        blended[column] = uint32(pixel)
