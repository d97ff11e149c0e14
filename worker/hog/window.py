"""The score of one window with every rounding as in dlib, for where a decision is narrow.

Source: dlib/image_transforms/fhog.h (`impl_extract_fhog_features`) and
dlib/image_transforms/spatial_filtering.h (`float_filter_image_separable`): which additions dlib
makes four or eight at a time, and in what order.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy import float32, int32
from numpy.typing import NDArray

from facematch.vector_code import Floats
from worker.hog.compiled import exact
from worker.hog.features import PLANES
from worker.hog.filters import TAPS
from worker.hog.gradients import ORIENTATIONS, grid, row_gradients
from worker.hog.resizing import Level

_BEFORE = 4  # cells of a window before the one that names it


class SingleFilters(NamedTuple):
    """The filters in dlib's order: `planes`, `detectors` (n,), `across`, `down` (n, 10)."""

    planes: NDArray[np.int64]
    detectors: NDArray[np.int64]
    across: Floats
    down: Floats


@exact
def score_window(
    level: Level,
    row: int,
    column: int,
    detector: int,
    orientations: NDArray[np.uint8],
    filters: SingleFilters,
) -> float32:
    """What dlib's detector of this number says of the window."""
    planes, detectors, across, down = filters
    features = _window_features(level, row, column, orientations)
    filtered, score = np.empty(TAPS, float32), float32(0)
    # dlib goes along rows eight columns at a time as far as these go.
    by_eight = column < (grid(level)[1] - 2) // 8 * 8
    for n in range(len(planes)):
        if detectors[n] == detector:
            for tap in range(TAPS):
                filtered[tap] = _filtered(features[planes[n], tap], across[n], by_eight)
            score = _filtered(filtered, down[n], by_eight) + score
    return score


@exact
def _filtered(values: Floats, weights: Floats, by_eight: bool) -> float32:
    """A filter as dlib adds it up: in three sums where it takes eight columns at a time."""
    a = b = c = float32(0)
    if by_eight:
        for n in (0, 3, 6):
            a += values[n] * weights[n]
            b += values[n + 1] * weights[n + 1]
            c += values[n + 2] * weights[n + 2]
        total: float32 = a + values[9] * weights[9] + (b + c)
        return total
    for n in range(TAPS):
        a += values[n] * weights[n]
    return a


@exact
def _window_features(
    level: Level, row: int, column: int, orientations: NDArray[np.uint8]
) -> Floats:
    """The features of a window, (31, 10, 10); those of cells at the border, or beyond, are 0."""
    cell_rows, cell_columns, _, _, _ = grid(level)
    top, left = max(row - _BEFORE, 0), max(column - _BEFORE, 0)
    rows = min(row + TAPS - _BEFORE, cell_rows - 2) - top
    columns = min(column + TAPS - _BEFORE, cell_columns - 2) - left
    cells = _histograms(level, top, left, rows + 2, columns + 2, orientations)
    energy = _energies(cells)
    features = np.zeros((PLANES, TAPS, TAPS), float32)
    for y in range(rows):
        for x in range(columns):
            own = features[:, y + top - row + _BEFORE, x + left - column + _BEFORE]
            _cell_features(cells[y + 1, x + 1], energy[y : y + 3, x : x + 3], own)
    return features


@exact
def _histograms(
    level: Level, top: int, left: int, rows: int, columns: int, orientations: NDArray[np.uint8]
) -> Floats:
    """The histograms of the cells from row `top` and column `left` on, (rows, columns, 18)."""
    _, _, end_row, end_column, last = grid(level)
    cells = np.zeros((rows, columns, ORIENTATIONS), float32)
    start, stop = max(1, 8 * left - 4), min(8 * (left + columns) + 4, end_column)
    turns, sizes = np.empty(stop - start, int32), np.empty(stop - start, float32)
    for y in range(max(1, 8 * top - 4), min(8 * (top + rows) + 4, end_row)):
        row_gradients(level, y, start, stop, last, 0, turns, sizes)
        cell_y, low = (y + 4) // 8 - top, float32(((y + 4) % 8 + 0.5) / 8)
        high = float32(1) - low
        for x in range(start, stop):
            cell_x, right = (x + 4) // 8 - left, float32(((x + 4) % 8 + 0.5) / 8)
            before, size = float32(1) - right, sizes[x - start]
            orientation = orientations[turns[x - start]] // 4
            for down, share_y in ((-1, high), (0, low)):
                for across, share_x in ((-1, before), (0, right)):
                    if 0 <= cell_y + down < rows and 0 <= cell_x + across < columns:
                        # In the last columns dlib multiplies in another order.
                        share = share_y * (share_x * size) if x < last else share_y * share_x * size
                        cells[cell_y + down, cell_x + across, orientation] += share
    return cells


@exact
def _energies(cells: Floats) -> Floats:
    rows, columns, _ = cells.shape
    energy = np.zeros((rows, columns), float32)
    for y in range(rows):
        for x in range(columns):
            for n in range(9):
                both = cells[y, x, n] + cells[y, x, n + 9]
                energy[y, x] += both * both
    return energy


@exact
def _cell_features(histogram: Floats, energy: Floats, features: Floats) -> None:
    """`histogram` (18,) of a cell, `energy` (3, 3) of it and its neighbours, `features` (31,)."""
    scaled = np.empty((27, 4), float32)
    for n in range(4):
        y, x = 1 - (n & 1), 1 - (n >> 1)
        near = energy[y, x] + energy[y, x + 1] + energy[y + 1, x] + energy[y + 1, x + 1]
        limit = float32(0.2) * float32(math.sqrt(near + float32(1e-4)))
        scale, texture = float32(0.1) / limit, float32(0)
        for o in range(18):
            scaled[o, n] = min(histogram[o], limit) * scale
        for o in range(0, 18, 3):
            texture += scaled[o, n] + scaled[o + 1, n] + scaled[o + 2, n]
        for o in range(9):
            scaled[18 + o, n] = min(histogram[o] + histogram[o + 9], limit) * scale
        features[27 + n] = texture * float32(0.4714)
    for o in range(27):
        features[o] = (scaled[o, 0] + scaled[o, 1]) + (scaled[o, 2] + scaled[o, 3])
