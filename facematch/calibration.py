"""How sure a distance is: the chance that two different people are as near to each other.

The same distance means much between faces that few others resemble, and little between faces in a
crowd. So a face is given its *norms*: mean and deviation of its NEAREST smallest distances to a
cohort of drawn faces, which are nobody's. The score of two faces is their distance, counted from
the mean and in the deviations of either (symmetric normalisation, s-norm, as in speaker
verification: Auckenthaler, Carey, Lloyd-Thomas, 2000); and of a score it is known how many pairs of
different people reach it: the *false match rate*. `benchmarks/calibrating.py` makes the file.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facematch.encoding_model import encoding_model
from facematch.faces import Encodings

#: Of the cohort, so many nearest faces make the norms of a face.
NEAREST = 600
#: No rate is said to be lower: nothing could show it.
LOWEST_RATE = 1e-16
_BLOCK = 1024

#: (k, 2): of each face the mean and the deviation of its smallest distances to the cohort.
Norms: TypeAlias = NDArray[np.float32]
Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Curve:
    """`log_rates` (n,), base 10, at `scores` (n,), both rising. Below the first, the line through
    `scores[0]` with the slope `tail` goes on."""

    scores: Floats
    log_rates: Floats
    tail: float

    def rates(self, scores: ArrayLike) -> Floats:
        """The rate at each score, LOWEST_RATE to 1."""
        at = np.asarray(scores, dtype=np.float64)
        inside = np.interp(at, self.scores, self.log_rates)
        below = self.log_rates[0] + self.tail * (at - self.scores[0])
        logs = np.where(at < self.scores[0], below, inside)
        return np.asarray(10.0 ** np.clip(logs, np.log10(LOWEST_RATE), 0.0))


@dataclass(frozen=True, eq=False)
class Calibration:
    """That of a model. `cohort` (m, 128), float32. `pairs`: score of two faces → false match rate.
    `face`: a distance, counted from the mean and in the deviations of one face → the chance that a
    face of somebody else lies within it.
    """

    name: str
    cohort: Encodings
    pairs: Curve
    face: Curve

    def norms(self, encodings: Encodings) -> Norms:
        """Of faces (k, 128): (k, 2), float32."""
        found = np.empty((len(encodings), 2), dtype=np.float32)
        for start in range(0, len(encodings), _BLOCK):
            block = np.asarray(encodings[start : start + _BLOCK], dtype=np.float32)
            apart = (
                self._squares - 2 * block @ self.cohort.T + np.square(block).sum(axis=1)[:, None]
            )
            apart = np.partition(apart, NEAREST, axis=1)[:, :NEAREST]
            nearest = np.sqrt(np.maximum(apart, 0), dtype=np.float64)
            found[start : start + _BLOCK, 0] = nearest.mean(axis=1)
            found[start : start + _BLOCK, 1] = nearest.std(axis=1)
        return found

    @cached_property
    def _squares(self) -> Encodings:
        squares: Encodings = np.square(self.cohort).sum(axis=1)
        return squares

    def rates(self, distances: ArrayLike, one: Norms, other: Norms) -> Floats:
        """False match rates of pairs of faces with these distances; `one`, `other`: (…, 2), of the
        shape of the distances or broadcast to it. They depend on nothing but the pair."""
        apart = np.asarray(distances, dtype=np.float64)
        left, right = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
        scores = (apart - left[..., 0]) / left[..., 1] + (apart - right[..., 0]) / right[..., 1]
        return self.pairs.rates(scores / 2)

    def within(self, distance: ArrayLike, norms: Norms) -> Floats:
        """The chance, for each face, that a face of somebody else lies within a distance."""
        own = np.asarray(norms, dtype=np.float64)
        return self.face.rates((np.asarray(distance) - own[..., 0]) / own[..., 1])


@cache
def calibration(name: str) -> Calibration:
    """The one that comes with facematch by this name. Raises ValueError for any other."""
    if name not in NAMES:
        raise ValueError(f"there is no calibration {name!r}")
    model = encoding_model()
    with np.load(Path(__file__).with_name(f"calibration-{name}.npz"), allow_pickle=False) as file:
        cohort = (model.mean + file["cohort"] @ model.basis.T).astype(np.float32)
        pairs = Curve(file["pair_scores"], file["pair_log_rates"], float(file["pair_tail"]))
        face = Curve(file["face_scores"], file["face_log_rates"], float(file["face_tail"]))
    return Calibration(name, cohort, pairs, face)


#: The calibrations there are.
NAMES = frozenset({"dlib-1"})
