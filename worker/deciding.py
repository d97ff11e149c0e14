"""Which of many candidate pairs of images match: every face of one with every face of the other, in
float64."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facematch.calibration import Calibration, Norms
from facematch.faces import Encodings, pair_distances
from facematch.match_scores import UNRATED, codes_of, most_code
from facematch.reindexing import Matched
from facematch.stored_faces import StoredFaces

#: Pairs of faces that are compared together: 64 MB, three times.
_COMPARED = 65_536


@dataclass(frozen=True)
class Policy:
    """Which matches are kept: those within `threshold`, and where `rated_by` is given, of faces
    with norms, by how sure they are: see facematch.store.Bounds."""

    threshold: float
    rated_by: Calibration | None = None
    max_false_matches: float | None = None


@dataclass(frozen=True, eq=False)
class Faces:
    """Faces of several images: encodings (n, 128), those of an image behind each other, norms
    (n, 2) where all have some, and of each image its position, ascending, how many it has, where
    they begin, and the faces that had been committed with it."""

    encodings: Encodings
    norms: Norms | None
    positions: NDArray[np.int64]
    counts: NDArray[np.int64]
    firsts: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @classmethod
    def of(cls, images: Mapping[int, StoredFaces]) -> "Faces":
        """Those of at least one image, by ascending position."""
        faces = list(images.values())
        positions = np.fromiter(images, dtype=np.int64, count=len(images))
        counts = np.array([len(one.encodings) for one in faces], dtype=np.int64)
        norms = [one.norms for one in faces if one.norms is not None]
        return cls(
            np.concatenate([one.encodings for one in faces]),
            np.concatenate(norms) if len(norms) == len(faces) else None,
            positions,
            counts,
            np.cumsum(counts) - counts,
            np.array([one.size for one in faces], dtype=np.int64),
        )


def decide(
    own: Faces,
    rows: NDArray[np.int64],
    faces: Faces,
    others: NDArray[np.int64],
    policy: Policy,
) -> Matched:
    """Of the images `own`, those in `rows` (m,), with the images at the positions `others` (m,):
    all that are kept by the policy. What is not among the faces, because it was erased meanwhile,
    has none."""
    places = np.searchsorted(faces.positions, others).clip(max=len(faces.positions) - 1)
    there = faces.positions[places] == others
    rows, others, places = rows[there], others[there], places[there]
    apart = _smallest(own, rows, faces, places, None)
    near = apart <= policy.threshold
    rows, others, places, apart = rows[near], others[near], places[near], apart[near]
    codes = np.full(len(rows), UNRATED)
    if policy.rated_by is not None:
        codes = codes_of(_smallest(own, rows, faces, places, policy.rated_by))
        kept = codes <= most_code(policy.max_false_matches, own.sizes[rows])
        rows, others, apart, codes = rows[kept], others[kept], apart[kept], codes[kept]
    positions = own.positions[rows]
    order = np.lexsort((others, positions))
    return Matched(positions[order], others[order], apart[order], codes[order])


def _smallest(
    own: Faces,
    rows: NDArray[np.int64],
    faces: Faces,
    places: NDArray[np.int64],
    rated_by: Calibration | None,
) -> NDArray[np.float64]:
    """The smallest distance of each pair of images, or the lowest rate: (m,)."""
    sizes = own.counts[rows] * faces.counts[places]
    ends, smallest = np.cumsum(sizes), np.empty(len(rows))
    start = 0
    while start < len(rows):
        most = ends[start] - sizes[start] + _COMPARED
        stop = max(start + 1, int(np.searchsorted(ends, most, side="right")))
        some = slice(start, stop)
        one, other, begins = _face_pairs(own, rows[some], faces, places[some])
        values = pair_distances(own.encodings[one], faces.encodings[other])
        if rated_by is not None:
            if own.norms is None or faces.norms is None:
                raise ValueError("faces are rated by their norms")
            values = rated_by.rates(values, own.norms[one], faces.norms[other])
        smallest[some] = np.minimum.reduceat(values, begins)
        start = stop
    return smallest


def _face_pairs(
    own: Faces, rows: NDArray[np.int64], faces: Faces, places: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """All pairs of faces of pairs of images: the numbers of the one and of the other, and where
    those of each pair of images begin."""
    sizes = own.counts[rows] * faces.counts[places]
    begins = np.cumsum(sizes) - sizes
    within = np.arange(sizes.sum()) - np.repeat(begins, sizes)
    one, other = np.divmod(within, np.repeat(faces.counts[places], sizes))
    one += np.repeat(own.firsts[rows], sizes)
    other += np.repeat(faces.firsts[places], sizes)
    return one, other, begins
