"""Every window of every level that may score enough, band by band, so that little lies around.

Source: dlib/image_processing/scan_fhog_pyramid.h (`detect`, `detect_from_fhog_pyramid`).
"""

import numpy as np
from numpy import float32, int32
from numpy.typing import NDArray

from facematch.vector_code import Floats
from worker.hog.cells import BLOCK, CHUNK, add_band, band_blocks
from worker.hog.compiled import exact
from worker.hog.features import PLANES, row_features
from worker.hog.filters import LANES, STRIP, TAPS, TILE, Filters, score_strip
from worker.hog.gradients import ORIENTATIONS, grid
from worker.hog.pyramid import level_of

_CACHE_PERIOD = 128  # floats between two places that compete for one place in the first cache


@exact
def search(
    pyramid: NDArray[np.uint32],
    sizes: NDArray[np.int64],
    orientations: NDArray[np.uint8],
    shares: Floats,
    filters: Filters,
    least: Floats,
) -> NDArray[np.float64]:
    """The windows with at least the score `least`, (detectors,), of their detector, (n, 5):
    score, detector, level, row, column.

    `pyramid`, `sizes`: see worker.hog.pyramid; `orientations`: `gradients.orientation_table`;
    `shares`: `cells.corner_shares`.
    """
    found, count = np.empty((256, 5), np.float64), 0
    turns, lengths = np.zeros(CHUNK, int32), np.zeros(CHUNK, float32)
    sums = np.empty(CHUNK // 8 * 2 * BLOCK, float32)
    filtered = np.empty((2, (STRIP + TAPS - 1) * TILE), float32)
    scores = np.empty((len(least), STRIP * TILE), float32)
    for number in range(len(sizes)):
        level = level_of(pyramid, sizes, number)
        cell_rows, cell_columns, _, _, _ = grid(level)
        rows, columns = cell_rows - 2, cell_columns - 2
        if rows < 1 or columns < 1:
            continue
        features = _room_for_features(rows, columns)
        blocks = np.empty((cell_columns + 1) * BLOCK, float32)
        # Of the last three rows of cells.
        histograms = np.zeros((3, ORIENTATIONS, cell_columns), float32)
        energies = np.zeros((3, cell_columns), float32)
        normalising = np.empty((3, 4, columns), float32)
        first_row = 0  # the row of windows for which features begin
        for band in range(cell_rows + 1):
            band_blocks(level, band, orientations, shares, turns, lengths, sums, blocks)
            below, now, before = band % 3, (band + 2) % 3, (band + 1) % 3
            add_band(blocks, cell_columns, histograms[now], histograms[below], energies[now])
            row = band - 3
            if row < 0:
                continue
            # The energies of `below` are still those of three bands ago: of the row above.
            row_features(
                histograms[before],
                energies[below],
                energies[before],
                energies[now],
                columns,
                normalising,
                features,
                row - first_row + 4,
            )
            while first_row < rows and (row - first_row == STRIP + 4 or row == rows - 1):
                if row == rows - 1:
                    features[:, rows - first_row + 4 :] = 0
                strip = min(STRIP, rows - first_row)
                found, count = score_strip(
                    features,
                    strip,
                    columns,
                    filters,
                    least,
                    number,
                    first_row,
                    filtered,
                    scores,
                    found,
                    count,
                )
                first_row += STRIP
                if first_row < rows:
                    _keep_last_rows(features)
    return found[:count]


@exact
def _room_for_features(rows: int, columns: int) -> Floats:
    """Zeros for the features of a strip, and around them what windows over the edge see."""
    wide = (columns + LANES - 1) // LANES * LANES + TAPS - 1
    high = min(STRIP, (rows + 1) // 2 * 2) + TAPS - 1
    if wide > 96:  # so that the rows of a tile do not compete for the same places in the cache
        wide = (wide + 31) // _CACHE_PERIOD * _CACHE_PERIOD + 96
    return np.zeros((PLANES, high, wide), float32)


@exact
def _keep_last_rows(features: Floats) -> None:
    """The last nine rows, which the next strip needs as well, become the first."""
    for plane in range(PLANES):
        for row in range(TAPS - 1):
            for column in range(features.shape[2]):
                features[plane, row, column] = features[plane, STRIP + row, column]
