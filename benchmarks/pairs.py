"""Pairs of encodings: which match, and whether two ways of making encodings agree on it."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from facematch.faces import Encodings

_BLOCK = 1024


def changed_decisions(
    ours: Encodings, theirs: Encodings, threshold: float, edge: float
) -> tuple[int, int, int]:
    """Of all pairs of rows: how many there are, how many only one of the two calls a match, and
    how many of those `theirs` puts farther than `edge` from the threshold."""
    pairs = changed = far = 0
    blocks = zip(_all_distances(ours), _all_distances(theirs), strict=True)
    for start, (one, other) in enumerate(blocks):
        upper = np.triu(np.ones(one.shape, dtype=bool), start * _BLOCK + 1)
        differ = ((one <= threshold) != (other <= threshold)) & upper
        pairs += int(upper.sum())
        changed += int(differ.sum())
        far += int((differ & (np.abs(other - threshold) > edge)).sum())
    return pairs, changed, far


def same_person(people: NDArray[np.int64]) -> NDArray[np.int64]:
    """All pairs (n, 2) of rows with the same person."""
    order = np.argsort(people, kind="stable")
    _, starts, counts = np.unique(people[order], return_index=True, return_counts=True)
    pairs = [np.empty((0, 2), dtype=np.int64)]
    for start, count in zip(starts, counts, strict=True):
        rows = order[start : start + count]
        first, second = np.triu_indices(count, 1)
        pairs.append(np.stack([rows[first], rows[second]], axis=1))
    return np.concatenate(pairs)


def different_people(people: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """`count` pairs (count, 2) of rows with different people, drawn with this seed."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(people), (2 * count + 100, 2))
    kept: NDArray[np.int64] = drawn[people[drawn[:, 0]] != people[drawn[:, 1]]]
    if len(kept) < count:
        raise ValueError("too few pictures of different people")
    return kept[:count]


def pair_distances(encodings: Encodings, pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """The distance of each pair of rows, (n,)."""
    wide = encodings.astype(np.float64)
    apart = wide[pairs[:, 0]] - wide[pairs[:, 1]]
    found: NDArray[np.float64] = np.sqrt(np.square(apart).sum(axis=1))
    return found


def _all_distances(encodings: Encodings) -> Iterator[NDArray[np.float64]]:
    """The distances of a block of rows to all, block after block."""
    wide = encodings.astype(np.float64)
    squares = np.square(wide).sum(axis=1)
    for start in range(0, len(wide), _BLOCK):
        rows = slice(start, start + _BLOCK)
        yield np.sqrt(np.maximum(squares[rows, None] + squares - 2 * (wide[rows] @ wide.T), 0))
