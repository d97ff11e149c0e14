"""dlib's detector as numbers: its weights, read from its serialized form and split into filters.

Source: dlib/image_processing/object_detector.h and scan_fhog_pyramid.h (`serialize`,
`build_fhog_filterbank`), which has been written by dlib/image_processing/frontal_face_detector.h.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy import float32
from numpy.typing import NDArray

from worker.dlib_numbers import NumberReader
from worker.hog.features import PLANES
from worker.hog.filters import TAPS, Filters
from worker.hog.window import SingleFilters

#: What the serialized form begins with: two versions, padding and border of features, the sizes
#: of cells and windows, how many levels at most, and the smallest level. The code is for these.
_HEAD = [2, 1, 0, 0, 8, 0, 80, 80, 1000, 64, 64]
#: Filters with smaller singular values, absolute and as parts of the largest, are left out.
_LEAST, _LEAST_PART = 1e-3, 0.01


@dataclass(frozen=True, eq=False)
class Weights:
    """`planes` (detectors, 31, 10, 10); `thresholds` (detectors,); both float64.

    `most`: what boxes may overlap, as a part of what both cover, and of the smaller one.
    """

    planes: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    most: tuple[float, float]


def read_weights(state: bytes) -> Weights:
    """The weights in the state of `dlib.get_frontal_face_detector()`, as its `__getstate__` has it.

    Raises ValueError when it is another detector.
    """
    return _Reader(state).weights()


class _Reader(NumberReader):
    what = "detector"

    def weights(self) -> Weights:
        head = [self.integer() for _ in _HEAD]
        self.real()  # how much nuclear norm cost in the training
        if head != _HEAD or self.integer() != PLANES * TAPS * TAPS:
            raise ValueError("not the detector that this is written for")
        most = self.real(), self.real()
        # Of each detector the shape of its weights, the threshold last of them.
        rows = []
        for _ in range(self.integer()):
            size = abs(self.integer()) * abs(self.integer())
            rows.append([self.real() for _ in range(size)])
        if {len(row) for row in rows} != {PLANES * TAPS * TAPS + 1}:
            raise ValueError("not the detector that this is written for")
        numbers = np.array(rows)
        planes = numbers[:, :-1].reshape(-1, PLANES, TAPS, TAPS)
        return Weights(planes, numbers[:, -1].copy(), most)


def single_filters(planes: NDArray[np.float64]) -> SingleFilters:
    """The weights, (detectors, 31, 10, 10), as row and column filters, in dlib's order.

    dlib makes them by its own singular value decomposition, this by numpy's. Where these differ
    in the last bit of a float32, a score differs by 1e-8: that decides only between scores which
    are as good as equal.
    """
    of_plane, of_detector, across, down = [], [], [], []
    for detector, own in enumerate(planes):
        for plane, weights in enumerate(own):
            columns, values, rows = np.linalg.svd(weights)
            for n in range(int((values >= max(_LEAST, values[0] * _LEAST_PART)).sum())):
                of_plane.append(plane)
                of_detector.append(detector)
                across.append(rows[n] * math.sqrt(values[n]))
                down.append(columns[:, n] * math.sqrt(values[n]))
    return SingleFilters(
        np.array(of_plane),
        np.array(of_detector),
        np.array(across, dtype=float32),
        np.array(down, dtype=float32),
    )


def paired(filters: SingleFilters) -> Filters:
    """The same filters in pairs for one plane each; an odd one is there twice, once for none."""
    planes, detectors, chosen = [], [], []
    for plane in range(PLANES):
        own = np.flatnonzero(filters.planes == plane)
        for n in range(0, len(own), 2):
            pair = own[n : n + 2]
            planes.append(plane)
            chosen.append([pair[0], pair[-1]])
            second = filters.detectors[pair[1]] if len(pair) > 1 else -1
            detectors.append([filters.detectors[pair[0]], second])
    return Filters(
        np.array(planes), np.array(detectors), filters.across[chosen], filters.down[chosen]
    )
