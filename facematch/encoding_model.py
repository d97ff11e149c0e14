"""How dlib's encodings are spread: a distribution, fitted once, with no person in it.

They fill 80 of the 128 dimensions, around `mean`. Used by `index`, which computes in these 80, and
to draw faces that are as near to each other as those of real people.
"""

from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facematch.faces import Encodings

_FILE = Path(__file__).with_name("encoding-model.npz")
_BLOCK = 65_536

Floats64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class EncodingModel:
    """A mixture of 8 normal distributions in the directions `basis` (128, 80), orthonormal and by
    falling variance: `weights` (8,), `means` (8, 80), `covariances` (8, 80, 80). A picture of a
    person differs from the person by a draw from N(0, `within` (80, 80)); so many people have one
    picture, two, … as `images_per_person` says. All float64.
    """

    mean: Floats64
    basis: Floats64
    weights: Floats64
    means: Floats64
    covariances: Floats64
    within: Floats64
    images_per_person: NDArray[np.int64]

    def draw(self, count: int, rng: np.random.Generator) -> Encodings:
        """Encodings (count, 128) of as many different people."""
        drawn = np.empty((count, len(self.mean)), dtype=np.float32)
        factors = np.linalg.cholesky(self.covariances)
        for start in range(0, count, _BLOCK):
            block = drawn[start : start + _BLOCK]
            kinds = rng.choice(len(self.weights), len(block), p=self.weights)
            points = self.means[kinds]
            for kind, factor in enumerate(factors):
                own = np.flatnonzero(kinds == kind)
                points[own] += rng.standard_normal((len(own), len(factor))) @ factor.T
            block[:] = self.mean + points @ self.basis.T
        return drawn

    def deviations(self) -> Floats64:
        """The standard deviation along each direction of `basis`: (80,)."""
        squares = np.diagonal(self.covariances, axis1=1, axis2=2) + self.means**2
        mean = self.weights @ self.means
        deviations: Floats64 = np.sqrt(self.weights @ squares - mean**2)
        return deviations


@cache
def encoding_model() -> EncodingModel:
    """The model of dlib's encodings that comes with facematch."""
    with np.load(_FILE, allow_pickle=False) as file:
        arrays: dict[str, Any] = {field.name: file[field.name] for field in fields(EncodingModel)}
    arrays["weights"] = arrays["weights"] / arrays["weights"].sum()
    return EncodingModel(**arrays)
