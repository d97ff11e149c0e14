"""A distribution of encodings fitted to some people's, like the one that comes with facematch.

So that a calibration can be judged by people that it does not know: `facematch/encoding-model.npz`
was fitted to those whose pictures are at hand. Used by `benchmarks.rates`.
"""

import numpy as np
from numpy.typing import NDArray

from facematch.encoding_model import EncodingModel, Floats64
from facematch.faces import Encodings

_KINDS, _DIRECTIONS, _ROUNDS = 8, 80, 40
#: Added to each variance, lest a kind shrinks to the few faces it is of.
_LEAST_VARIANCE = 1e-5


def fitted(encodings: Encodings, people: NDArray[np.int64], seed: int) -> EncodingModel:
    """The model of these encodings (n, 128), of which `people` (n,) says whose they are: a mixture
    in the directions in which they vary most, by expectation and maximisation."""
    wide = encodings.astype(np.float64)
    mean = wide.mean(axis=0)
    basis = np.linalg.svd(wide - mean, full_matrices=False)[2][:_DIRECTIONS].T
    points = (wide - mean) @ basis
    weights, means, covariances = _mixture(points, np.random.default_rng(seed))
    counts = np.unique(people, return_counts=True)[1]
    within = _within(points, people)
    return EncodingModel(mean, basis, weights, means, covariances, within, np.bincount(counts))


def _mixture(
    points: Floats64, rng: np.random.Generator
) -> tuple[Floats64, Floats64, NDArray[np.float64]]:
    """Weights, means and covariances."""
    shares = np.eye(_KINDS)[_nearest(points, points[rng.choice(len(points), _KINDS, False)])]
    for _ in range(_ROUNDS):
        totals = shares.sum(axis=0) + 1e-9  # a kind may have lost all its faces
        weights, means = totals / totals.sum(), shares.T @ points / totals[:, None]
        covariances = np.empty((_KINDS, points.shape[1], points.shape[1]))
        logs = np.empty_like(shares)
        for kind, (total, mean) in enumerate(zip(totals, means, strict=True)):
            apart = points - mean
            covariance = apart.T @ (apart * shares[:, kind, None]) / total
            covariance[np.diag_indices(len(covariance))] += _LEAST_VARIANCE
            factor = np.linalg.cholesky(covariance)
            squares = np.square(apart @ np.linalg.inv(factor).T).sum(axis=1)
            logs[:, kind] = np.log(weights[kind]) - squares / 2 - np.log(np.diag(factor)).sum()
            covariances[kind] = covariance
        shares = np.exp(logs - logs.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
    return weights, means, covariances


def _nearest(points: Floats64, means: Floats64) -> NDArray[np.int64]:
    """Of each point the number of its kind, to begin with (k-means)."""
    kinds = np.zeros(len(points), dtype=np.int64)
    for _ in range(_ROUNDS):
        apart = np.square(means).sum(axis=1) - 2 * points @ means.T
        kinds = apart.argmin(axis=1)
        for kind in range(len(means)):
            if (kinds == kind).any():
                means[kind] = points[kinds == kind].mean(axis=0)
    return kinds


def _within(points: Floats64, people: NDArray[np.int64]) -> Floats64:
    """The covariance between pictures of one person."""
    _, numbers, counts = np.unique(people, return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), points.shape[1]))
    np.add.at(sums, numbers, points)
    apart = points - (sums / counts[:, None])[numbers]
    found: Floats64 = apart.T @ apart / max(1, len(points) - len(counts))
    return found
