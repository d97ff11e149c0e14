"""Which of many candidate pairs of images match: every face of one with every face of the other, in
float64."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facematch.faces import Encodings, pair_distances
from facematch.reindexing import Matched

#: Pairs of faces that are compared together: 64 MB, three times.
_COMPARED = 65_536


@dataclass(frozen=True, eq=False)
class Faces:
    """Faces of several images: encodings (n, 128), those of an image behind each other, and of each
    image its position, ascending, how many it has, and where they begin."""

    encodings: Encodings
    positions: NDArray[np.int64]
    counts: NDArray[np.int64]
    firsts: NDArray[np.int64]

    @classmethod
    def of(cls, images: Mapping[int, Encodings]) -> "Faces":
        """Those of at least one image, by ascending position."""
        positions = np.fromiter(images, dtype=np.int64, count=len(images))
        counts = np.fromiter(map(len, images.values()), dtype=np.int64, count=len(images))
        firsts = np.cumsum(counts) - counts
        return cls(np.concatenate(list(images.values())), positions, counts, firsts)


def decide(
    own: Faces, rows: NDArray[np.int64], faces: Faces, others: NDArray[np.int64], threshold: float
) -> Matched:
    """Of the images `own`, those in `rows` (m,), with the images at the positions `others` (m,):
    all that have faces within the threshold of each other. What is not among the faces, because it
    was erased meanwhile, has none."""
    places = np.searchsorted(faces.positions, others).clip(max=len(faces.positions) - 1)
    there = faces.positions[places] == others
    rows, places = rows[there], places[there]
    sizes = own.counts[rows] * faces.counts[places]
    ends, smallest = np.cumsum(sizes), np.empty(len(rows))
    start = 0
    while start < len(rows):
        most = ends[start] - sizes[start] + _COMPARED
        stop = max(start + 1, int(np.searchsorted(ends, most, side="right")))
        some = slice(start, stop)
        smallest[some] = _smallest(own, rows[some], faces, places[some])
        start = stop
    near = smallest <= threshold
    positions, found, apart = own.positions[rows[near]], others[there][near], smallest[near]
    order = np.lexsort((found, positions))
    return Matched(positions[order], found[order], apart[order])


def _smallest(
    own: Faces, rows: NDArray[np.int64], faces: Faces, places: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The smallest distance of each pair of images: (m,)."""
    sizes = own.counts[rows] * faces.counts[places]
    begins = np.cumsum(sizes) - sizes
    within = np.arange(sizes.sum()) - np.repeat(begins, sizes)
    one, other = np.divmod(within, np.repeat(faces.counts[places], sizes))
    one += np.repeat(own.firsts[rows], sizes)
    other += np.repeat(faces.firsts[places], sizes)
    apart = pair_distances(own.encodings[one], faces.encodings[other])
    smallest: NDArray[np.float64] = np.minimum.reduceat(apart, begins)
    return smallest
