"""The picture that dlib's face detection network looks at: a pyramid of sizes in one plane.

The first level is the picture with twice the rows and columns, each other one has five sixths of
those of the level before. They lie below each other, and from the bottom up in a second column,
with 0 between them (dlib/image_transforms/image_pyramid.h; dlib/dnn/input.h,
input_rgb_image_pyramid). Used by `worker.mmod`.

The plane of a large picture would be too large, so only the levels are held, the first as uint8.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facematch.faces import Pixels
from worker.dlib_resize import Floats, resize
from worker.mmod_weights import MEANS, WINDOW

Integers = NDArray[np.int64]

_BETWEEN, _AROUND = 10, 11
_LEAST_ROWS = 5
_MEANS = np.array(MEANS, dtype=np.float32)[:, None, None]


class Rectangle(NamedTuple):
    """The first and the last column and row of something."""

    left: int
    top: int
    right: int
    bottom: int


class Plane:
    """`rows` and `columns` are the plane's."""

    def __init__(self, pixels: Pixels) -> None:
        """`pixels` (h, w, 3), uint8, RGB, at least one."""
        height, width = pixels.shape[:2]
        self.rows, self.columns, self._places = lay_out(2 * height + 1, 2 * width + 2)
        self._levels: list[NDArray[Any]] = []
        source = pixels.transpose(2, 0, 1)
        values: Callable[[NDArray[Any]], Floats] = _as_they_are
        for place in self._places:
            shape = 3, place.bottom - place.top + 1, place.right - place.left + 1
            level: NDArray[Any] = np.empty(shape, np.float32 if self._levels else np.uint8)
            resize(source, values, level)
            self._levels.append(level)
            source, values = level, _values

    def cut(self, rows: slice, columns: slice) -> Floats:
        """A part of the plane, (1, 3, h, w), float32."""
        part = np.zeros((1, 3, rows.stop - rows.start, columns.stop - columns.start), np.float32)
        for place, level in zip(self._places, self._levels, strict=True):
            top, bottom = max(place.top, rows.start), min(place.bottom + 1, rows.stop)
            left, right = max(place.left, columns.start), min(place.right + 1, columns.stop)
            if top < bottom and left < right:
                seen = level[:, top - place.top : bottom - place.top]
                part[
                    0,
                    :,
                    top - rows.start : bottom - rows.start,
                    left - columns.start : right - columns.start,
                ] = _values(seen[:, :, left - place.left : right - place.left])
        return part

    def windows(self, rows: Integers, columns: Integers) -> Integers:
        """Where windows round these places of the plane are in the first level: (n, 4), left, top,
        right and bottom, the last two inside."""
        level = np.zeros(len(rows), dtype=np.int64)
        origin = np.zeros((len(rows), 2), dtype=np.int64)
        nearest = np.full(len(rows), np.inf)
        for number, (left, top, right, bottom) in enumerate(self._places):
            across = np.maximum(np.maximum(left - columns, columns - right), 0)
            down = np.maximum(np.maximum(top - rows, rows - bottom), 0)
            distance = np.sqrt(across**2 + down**2)
            nearer = distance < nearest
            level[nearer], origin[nearer], nearest[nearer] = number, (left, top), distance[nearer]
        centres = np.stack([columns, rows], axis=1) - origin
        edges = np.concatenate([centres - (WINDOW - 1) / 2, centres + (WINDOW - 1) / 2], axis=1)
        for number in range(1, len(self._places)):
            edges[level >= number] = edges[level >= number] * (6 / 5) + 0.3
        # C's lround, which rounds halves away from 0.
        rounded: Integers = np.trunc(edges + np.copysign(0.5, edges)).astype(np.int64)
        return rounded


def lay_out(rows: int, columns: int) -> tuple[int, int, list[Rectangle]]:
    """Rows and columns of the plane, and where in it each level is: compute_tiled_image_pyramid_
    details of dlib. `rows`, `columns`: of the first level."""
    sizes = [(rows, columns)]
    while True:
        height, width = (math.floor(5 / 6 * side) for side in sizes[-1])
        if width == 0 or height < _LEAST_ROWS:
            break
        sizes.append((height, width))
    height = _first_column(sizes)
    places: list[Rectangle] = []
    edge, right = _AROUND, _AROUND + columns - 1
    for rows, width in sizes:
        if edge >= height + _AROUND:
            break
        places.append(Rectangle(_AROUND, edge, _AROUND + width - 1, edge + rows - 1))
        edge += rows + _BETWEEN
    bottom = edge - _BETWEEN - 1
    for rows, width in sizes[len(places) :]:
        place = Rectangle(right - width + 1, bottom - rows + 1, right, bottom)
        if places and place.top <= places[0].bottom:  # it is in the first level's columns anyway
            break
        places.append(place)
        bottom -= rows + _BETWEEN
    return height + 2 * _AROUND, columns + 2 * _AROUND, places


def _first_column(sizes: list[tuple[int, int]]) -> int:
    """Rows of the first column: it ends where a level fits next to the one before, and the second
    column can hold the rest.

    dlib compares unsigned numbers, so that below 0 is more than anything.
    """
    unsigned = (1 << 64) - 1
    first, columns = sizes[0]
    rest = sum(rows + _BETWEEN for rows, _ in sizes) - 2 * _BETWEEN - first
    height, before = 0, 0
    for rows, width in sizes:
        fits = width <= (columns - before - _BETWEEN) & unsigned
        if fits and (height - first) * 2 & unsigned >= rest & unsigned:
            break
        height, before = height + rows + _BETWEEN, width
    return height - _BETWEEN


def _as_they_are(pixels: NDArray[Any]) -> Floats:
    return pixels.astype(np.float32)


def _values(level: NDArray[Any]) -> Floats:
    """What the network sees of a part of a level."""
    if level.dtype == np.float32:
        return level
    return (level.astype(np.float32) - _MEANS) * np.float32(1 / 256)
