"""What `facematch.fsck` finds, and pairs of images, of which there are millions: as arrays."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facematch.match_scores import most_code, scores_of
from facematch.store import Generation

Positions = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it must be. `positions`: the images it is about.

    `invariant`: log, index, faces, norms, counters, erasure, symmetry, soundness, completeness,
    bounds, leftovers (what belongs to nothing: facematch.redis_leftovers); or approximate, a match
    that an approximate index did not find: it lacks as much, but nothing is broken.
    `generation`: that of the match sets it is about, None when it is about none.
    """

    invariant: str
    detail: str
    positions: tuple[int, ...] = ()
    generation: int | None = None


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of images: `one` (n,) and `other` (n,) are positions, and what is known of each is in
    `values` (n,), a distance or a score. Ascending, each once."""

    one: Positions
    other: Positions
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.one)

    @classmethod
    def sorted(cls, one: Positions, other: Positions, values: NDArray[np.float64]) -> "Pairs":
        """These; of those that are there more than once, that of the least value."""
        order = np.lexsort((values, other, one))
        one, other, values = one[order], other[order], values[order]
        first = np.ones(len(one), dtype=np.bool_)
        first[1:] = (one[1:] != one[:-1]) | (other[1:] != other[:-1])
        return cls(one[first], other[first], values[first])

    def those(self, keep: Mask) -> "Pairs":
        """A part of them."""
        return Pairs(self.one[keep], self.other[keep], self.values[keep])

    def find(self, one: Positions, other: Positions) -> NDArray[np.int64]:
        """Of each of these pairs the place here, -1 when it is not here: (m,)."""
        if not len(self):
            return np.full(len(one), -1)
        span = int(max(self.other.max(), other.max(initial=0))) + 1
        keys, wanted = self.one * span + self.other, one * span + other
        places = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
        return np.where(keys[places] == wanted, places, -1)

    def __iter__(self) -> Iterator[tuple[int, int, float]]:
        columns = self.one.tolist(), self.other.tolist(), self.values.tolist()
        return zip(*columns, strict=True)


@dataclass(frozen=True, eq=False)
class Truth:
    """The pairs that are within the largest threshold, with their distances, their codes (n,), and
    the faces (n,) that had been committed with the later of the two."""

    pairs: Pairs
    codes: NDArray[np.int64]
    sizes: NDArray[np.int64]

    def kept_by(self, generation: Generation) -> Mask:
        """Which of them its policy keeps."""
        near: Mask = self.pairs.values <= generation.threshold
        if not generation.scored:
            return near
        return near & (self.codes <= most_code(generation.bounds.max_false_matches, self.sizes))

    def values(self, generation: Generation) -> NDArray[np.float64]:
        """What its match sets have of each pair."""
        distances = self.pairs.values
        return scores_of(self.codes, distances) if generation.scored else distances


def joined(found: list[tuple[Positions, Positions, NDArray[np.float64]]]) -> Pairs:
    """All of these."""
    empty = np.empty(0, dtype=np.int64)
    columns = zip((empty, empty, np.empty(0)), *found, strict=True)
    one, other, values = (np.concatenate(column) for column in columns)
    return Pairs.sorted(one, other, values)
