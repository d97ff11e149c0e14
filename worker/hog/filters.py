"""The scores of windows: each detector's weights as pairs of a row and a column filter.

A detector weighs 10x10 cells in each plane; dlib splits these weights, by singular values, into
filters that go along rows and then along columns. Source:
dlib/image_processing/scan_fhog_pyramid.h (`apply_filters_to_fhog`). The order of additions is
another, so a score may be off by what rounding makes.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facematch.vector_code import Floats
from worker.hog.compiled import exact, fast

TAPS = 10
#: Columns and rows of scores computed together, which is what the caches have room for.
TILE, STRIP = 64, 64
#: Columns are computed in groups of so many, so there is room for the last group to be full.
LANES = 16


class Filters(NamedTuple):
    """Row and column filters, in pairs for one plane each, to read the plane once for two.

    `planes` (n,) of the pair; `detectors` (n, 2), -1 for none; `across`, `down` (n, 2, 10).
    """

    planes: NDArray[np.int64]
    detectors: NDArray[np.int64]
    across: Floats
    down: Floats


@fast
def score_strip(
    features: Floats,
    rows: int,
    columns: int,
    filters: Filters,
    least: Floats,
    level: int,
    first_row: int,
    room: Floats,
    scores: Floats,
    found: NDArray[np.float64],
    count: int,
) -> tuple[NDArray[np.float64], int]:
    """Add the windows of a strip with at least the score `least` of their detector to `found`.

    `features` (31, rows + 9 or more, columns + 9 or more) of `rows` rows of windows, which begin
    at `first_row` of the level; their number made even, and that of columns a multiple of LANES,
    must be there. `found` (n, 5) has `count` rows in use: score, detector, level, row, column.
    `room` (2, (STRIP + 9) * TILE) and `scores` (detectors, STRIP * TILE) are to work in.

    Returns `found`, or a longer copy, and the new count.
    """
    planes, detectors, across, down = filters
    even = (rows + 1) // 2 * 2
    one, two = room[0], room[1]
    for first in range(0, columns, TILE):
        width = min(TILE, columns - first)
        full = (width + LANES - 1) // LANES * LANES
        scores[:] = 0
        for n in range(len(planes)):
            _go_across(
                features, planes[n], even + 9, first, full, across[n, 0], across[n, 1], one, two
            )
            _go_down(one, even, full, down[n, 0], scores[detectors[n, 0]])
            if detectors[n, 1] >= 0:
                _go_down(two, even, full, down[n, 1], scores[detectors[n, 1]])
        for detector in range(len(least)):
            for row in range(rows):
                for column in range(width):
                    score = scores[detector, row * TILE + column]
                    if score >= least[detector]:
                        if count == len(found):
                            found = _longer(found)
                        found[count, 0], found[count, 1], found[count, 2] = score, detector, level
                        found[count, 3], found[count, 4] = first_row + row, first + column
                        count += 1
    return found, count


@exact
def _longer(found: NDArray[np.float64]) -> NDArray[np.float64]:
    longer = np.empty((2 * len(found), found.shape[1]), np.float64)
    for row in range(len(found)):
        for column in range(found.shape[1]):
            longer[row, column] = found[row, column]
    return longer


# LLVM makes full use of vectors only of what is written out: ten taps, and two rows at a time,
# with strides that are constants.
@fast
def _go_across(
    features: Floats,
    plane: int,
    rows: int,
    first: int,
    count: int,
    u: Floats,
    v: Floats,
    one: Floats,
    two: Floats,
) -> None:
    """Two row filters, u and v, over `count` columns of a plane from `first` on."""
    u0, u1, u2, u3, u4 = u[0], u[1], u[2], u[3], u[4]
    u5, u6, u7, u8, u9 = u[5], u[6], u[7], u[8], u[9]
    v0, v1, v2, v3, v4 = v[0], v[1], v[2], v[3], v[4]
    v5, v6, v7, v8, v9 = v[5], v[6], v[7], v[8], v[9]
    for row in range(rows):
        f = features[plane, row, first : first + count + 9]
        s, t = one[row * TILE : (row + 1) * TILE], two[row * TILE : (row + 1) * TILE]
        for x in range(count):
            f0, f1, f2, f3, f4 = f[x], f[x + 1], f[x + 2], f[x + 3], f[x + 4]
            f5, f6, f7, f8, f9 = f[x + 5], f[x + 6], f[x + 7], f[x + 8], f[x + 9]
            low = f0 * u0 + f1 * u1 + f2 * u2 + f3 * u3 + f4 * u4
            s[x] = low + f5 * u5 + f6 * u6 + f7 * u7 + f8 * u8 + f9 * u9
            low = f0 * v0 + f1 * v1 + f2 * v2 + f3 * v3 + f4 * v4
            t[x] = low + f5 * v5 + f6 * v6 + f7 * v7 + f8 * v8 + f9 * v9


@fast
def _go_down(tile: Floats, rows: int, count: int, w: Floats, scores: Floats) -> None:
    """Add a column filter, w, of what row filters made of a tile to its scores."""
    w0, w1, w2, w3, w4 = w[0], w[1], w[2], w[3], w[4]
    w5, w6, w7, w8, w9 = w[5], w[6], w[7], w[8], w[9]
    for row in range(0, rows, 2):
        f, s = tile[row * TILE : (row + 11) * TILE], scores[row * TILE : (row + 2) * TILE]
        for x in range(count):
            f0, f1, f2, f3 = f[x], f[x + TILE], f[x + 2 * TILE], f[x + 3 * TILE]
            f4, f5, f6 = f[x + 4 * TILE], f[x + 5 * TILE], f[x + 6 * TILE]
            f7, f8, f9 = f[x + 7 * TILE], f[x + 8 * TILE], f[x + 9 * TILE]
            f10 = f[x + 10 * TILE]
            low = f0 * w0 + f1 * w1 + f2 * w2 + f3 * w3 + f4 * w4
            s[x] += low + f5 * w5 + f6 * w6 + f7 * w7 + f8 * w8 + f9 * w9
            low = f1 * w0 + f2 * w1 + f3 * w2 + f4 * w3 + f5 * w4
            s[x + TILE] += low + f6 * w5 + f7 * w6 + f8 * w7 + f9 * w8 + f10 * w9
