"""From windows to boxes: where a window is, and which of overlapping ones remain.

Source: dlib/image_processing/scan_fhog_pyramid.h (`detect_from_fhog_pyramid`),
dlib/image_transforms/image_pyramid.h (`rect_up`, `rect_down`),
dlib/image_processing/object_detector.h and box_overlap_testing.h (`test_box_overlap`).
A box is left, top, right, bottom, all inclusive, in pixels of the picture of twice the size.
"""

import math

import numpy as np
from numpy.typing import NDArray

from facematch.faces import Box
from worker.hog.compiled import exact
from worker.hog.pyramid import nearest

_CELL = 8
_ACROSS = 9  # from the first cell of a window to the last
_BEFORE = 3  # cells from the first to the one that names the window, as features have no border


@exact
def window_boxes(windows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The boxes, (n, 4), of windows, (n, 4): detector, level, row, column."""
    boxes = np.empty((len(windows), 4), np.int64)
    for n in range(len(windows)):
        _, level, row, column = windows[n]
        for side, cell in enumerate((column, row, column + _ACROSS, row + _ACROSS)):
            pixel = (cell - _BEFORE) * _CELL + 1
            place = float(pixel + 4 if pixel >= 0 else pixel - 4)
            for _ in range(level):
                place = place * (6 / 5.0) + 0.3
            boxes[n, side] = nearest(place)
    return boxes


@exact
def suppress(
    boxes: NDArray[np.int64],
    over: NDArray[np.float64],
    most: tuple[float, float],
    margin: float,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which boxes, best first, overlap none that is kept before them; and which of them scores
    within `margin` of the truth may decide otherwise: kept or not, or in another order.

    `over`, (n,): by how much their scores are over the thresholds. `most`: what may overlap, as
    a part of what both cover, and of the smaller one.
    """
    count = len(boxes)
    kept, doubtful, previous = np.zeros(count, np.bool_), np.zeros(count, np.bool_), -1
    for n in range(count):
        doubtful[n] |= abs(over[n]) < margin
        kept[n] = True
        for better in range(n - 1, -1, -1):
            near = over[better] - over[n] < 2 * margin
            if (near or kept[better]) and _overlap(boxes[better], boxes[n], most):
                kept[n] &= not kept[better]
                doubtful[better] |= near
                doubtful[n] |= near
        if kept[n]:
            if previous >= 0 and over[previous] - over[n] < 2 * margin:
                doubtful[previous] = doubtful[n] = True
            previous = n
    return kept, doubtful


@exact
def _overlap(a: NDArray[np.int64], b: NDArray[np.int64], most: tuple[float, float]) -> bool:
    inner = _area(max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3]))
    outer = _area(min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))
    area_a, area_b = _area(a[0], a[1], a[2], a[3]), _area(b[0], b[1], b[2], b[3])
    covered = inner / area_a > most[1] or inner / area_b > most[1]
    return inner > 0 and (inner / outer > most[0] or covered)


@exact
def _area(left: int, top: int, right: int, bottom: int) -> float:
    if left > right or top > bottom:
        return 0.0
    return float((right - left + 1) * (bottom - top + 1))


def in_picture(left: int, top: int, right: int, bottom: int) -> Box:
    """The box in the picture itself, as dlib rounds it; it may reach over the edges."""
    return Box(
        top=math.floor(top / 2 - 0.25),
        right=math.floor(right / 2 - 0.75),
        bottom=math.floor(bottom / 2 - 0.25),
        left=math.floor(left / 2 - 0.75),
    )
