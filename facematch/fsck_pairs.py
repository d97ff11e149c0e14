"""The match sets there should be, by brute force, and those there are: for `facematch.fsck`.

Millions of pairs are kept as arrays. Nothing here is shared with how matches are found, so that a
mistake there is seen here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facematch.faces import Encodings, pair_distances
from facematch.progress import Update
from facematch.store import Generation, Snapshot, Store

_BLOCK = 2048
_PORTION = 1000
#: Faces of two images that are compared together.
_COMPARED = 65_536

_Positions = NDArray[np.int64]
_Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it must be. `positions`: the images it is about.

    `invariant`: log, index, faces, erasure, symmetry, soundness, completeness; or approximate, a
    match that an approximate index did not find: it lacks as much, but nothing is broken.
    `generation`: that of the match sets it is about, None when it is about none.
    """

    invariant: str
    detail: str
    positions: tuple[int, ...] = ()
    generation: int | None = None


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of images: `one` (n,) and `other` (n,) are positions, and how far apart they are is in
    `distances` (n,). Ascending, each once."""

    one: _Positions
    other: _Positions
    distances: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.one)

    @classmethod
    def sorted(cls, one: _Positions, other: _Positions, distances: NDArray[np.float64]) -> "Pairs":
        """These; of those that are there more than once, the nearest."""
        order = np.lexsort((distances, other, one))
        one, other, distances = one[order], other[order], distances[order]
        first = np.ones(len(one), dtype=np.bool_)
        first[1:] = (one[1:] != one[:-1]) | (other[1:] != other[:-1])
        return cls(one[first], other[first], distances[first])

    def those(self, keep: _Mask) -> "Pairs":
        """A part of them."""
        return Pairs(self.one[keep], self.other[keep], self.distances[keep])

    def find(self, one: _Positions, other: _Positions) -> NDArray[np.int64]:
        """Of each of these pairs the place here, -1 when it is not here: (m,)."""
        if not len(self):
            return np.full(len(one), -1)
        span = int(max(self.other.max(), other.max(initial=0))) + 1
        keys, wanted = self.one * span + self.other, one * span + other
        places = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
        return np.where(keys[places] == wanted, places, -1)

    def __iter__(self) -> Iterator[tuple[int, int, float]]:
        columns = self.one.tolist(), self.other.tolist(), self.distances.tolist()
        return zip(*columns, strict=True)


@dataclass(frozen=True, eq=False)
class Faces:
    """All faces of a collection: encodings (n, 128) and, for each, its image's position, (n,),
    ascending."""

    encodings: Encodings
    owners: _Positions

    @classmethod
    def load(cls, store: Store, positions: list[int]) -> "Faces":
        """Those of the images at these ascending positions. Raises Unavailable."""
        encodings: list[Encodings] = [np.empty((0, 128), dtype=np.float32)]
        owners: list[_Positions] = [np.empty(0, dtype=np.int64)]
        for start in range(0, len(positions), _PORTION):
            for position, found in store.faces(positions[start : start + _PORTION]).items():
                encodings.append(found)
                owners.append(np.full(len(found), position, dtype=np.int64))
        return cls(np.concatenate(encodings), np.concatenate(owners))

    def matching(self, threshold: float, progress: Update | None) -> Pairs:
        """All pairs of images within the threshold, the lower one first, and their smallest
        distance.

        A float32 matrix product with a margin preselects; float64 differences decide.
        """
        x, owners = self.encodings, self.owners
        halves = np.einsum("ij,ij->i", x, x, dtype=np.float64).astype(np.float32)[:, None] / 2
        ones = np.ones_like(halves)
        # Products of these rows are x·y - |x|²/2 - |y|²/2, which is -|x - y|²/2.
        left_rows, right_rows = np.hstack([x, halves, ones]), np.hstack([x, -ones, -halves])
        # Generous against the rounding of 130 float32 products of this size.
        margin = 1e-4 * max(1.0, 2 * float(halves.max(initial=0.0)))
        least = -(threshold**2 + margin) / 2
        found: list[tuple[_Positions, _Positions, NDArray[np.float64]]] = []
        for row in range(0, len(x), _BLOCK):
            for column in range(row, len(x), _BLOCK):
                products = left_rows[row : row + _BLOCK] @ right_rows[column : column + _BLOCK].T
                near = np.flatnonzero(products >= np.float32(least))
                left, right = np.divmod(near, products.shape[1])
                left, right = left + row, right + column
                keep = owners[left] < owners[right]
                left, right = left[keep], right[keep]
                apart = pair_distances(x[left], x[right])
                within = apart <= threshold
                found.append((owners[left[within]], owners[right[within]], apart[within]))
            if progress is not None:
                progress(min(row + _BLOCK, len(x)), len(x))
        return _joined(found)

    def smallest(self, one: _Positions, other: _Positions) -> NDArray[np.float64]:
        """The smallest distances (m,) of the faces of images that have some, at these positions."""
        positions, firsts, counts = np.unique(self.owners, return_index=True, return_counts=True)
        a, b = np.searchsorted(positions, one), np.searchsorted(positions, other)
        out = np.empty(len(one), dtype=np.float64)
        sizes = counts[a] * counts[b]
        ends = np.cumsum(sizes)
        start = 0
        while start < len(one):
            stop = int(np.searchsorted(ends, ends[start] - sizes[start] + _COMPARED, "right"))
            some = slice(start, max(stop, start + 1))
            repeats = sizes[some]
            begins = np.cumsum(repeats) - repeats
            within = np.arange(repeats.sum()) - np.repeat(begins, repeats)
            row, column = np.divmod(within, np.repeat(counts[b[some]], repeats))
            apart = pair_distances(
                self.encodings[np.repeat(firsts[a[some]], repeats) + row],
                self.encodings[np.repeat(firsts[b[some]], repeats) + column],
            )
            out[some] = np.minimum.reduceat(apart, begins)
            start = some.stop
        return out


def stored_pairs(store: Store, snapshot: Snapshot, generation: Generation) -> Pairs:
    """The pairs of a generation as they are stored, each direction for itself.

    Raises Unavailable.
    """
    positions = [*sorted(snapshot.positions), *snapshot.erasing]
    found: list[tuple[_Positions, _Positions, NDArray[np.float64]]] = []
    for start in range(0, len(positions), _PORTION):
        linked = store.linked(positions[start : start + _PORTION], generation.number)
        for position, others in linked.items():
            found.append((np.full(len(others), position), *_columns(others)))
    return _joined(found)


def check_pairs(
    snapshot: Snapshot, generation: Generation, faces: Faces, stored: Pairs
) -> Iterator[Finding]:
    """Whether each pair of a generation is of living images, mutual, and as far apart as it says.
    What is being linked or erased is left out."""
    unsettled = [*snapshot.pending.values(), *snapshot.erasing]
    settled = ~(np.isin(stored.one, unsettled) | np.isin(stored.other, unsettled))
    stored = stored.those(settled & (stored.other <= snapshot.collection.tail.position))

    def findings(invariant: str, wrong: Pairs, detail: str) -> Iterator[Finding]:
        for one, other, distance in wrong:
            text = detail.format(one=one, other=other, distance=distance)
            yield Finding(invariant, text, (one, other), generation.number)

    alive = np.isin(stored.other, list(snapshot.positions))
    yield from findings("erasure", stored.those(~alive), "{one} matches {other}, which is erased")
    back = stored.find(stored.other, stored.one)
    mutual = (back >= 0) & (stored.distances[back] == stored.distances)
    # Read in portions, while ranges are written.
    built = np.maximum(stored.one, stored.other) > generation.building_to
    half = stored.those(alive & ~mutual & built)
    yield from findings("symmetry", half, "{one} matches {other}, not the other way round")

    known = np.isin(stored.one, faces.owners) & np.isin(stored.other, faces.owners)
    once = stored.those(alive & mutual & known & (stored.one < stored.other))
    exact = faces.smallest(once.one, once.other)
    wrong = (exact != once.distances) | (exact > generation.threshold)
    unsound = Pairs(once.one[wrong], once.other[wrong], exact[wrong])
    yield from findings("soundness", unsound, "{one} and {other} are {distance} apart")


def check_complete(
    snapshot: Snapshot, generation: Generation, truth: Pairs, stored: Pairs
) -> Iterator[Finding]:
    """Whether a generation has all pairs there should be."""
    # The later image's job writes the pair.
    pending = np.isin(truth.other, list(snapshot.pending.values()))
    settled = ~pending & (truth.other > generation.building_to)
    wanted = truth.those(settled & (truth.distances <= generation.threshold))
    since = generation.approximate_since
    for one, other, distance in wanted.those(stored.find(wanted.one, wanted.other) < 0):
        kind = "completeness" if since is None or other < since else "approximate"
        detail = f"{one} and {other} lack ({distance})"
        yield Finding(kind, detail, (one, other), generation.number)


def _columns(others: Mapping[int, float]) -> tuple[_Positions, NDArray[np.float64]]:
    return (
        np.fromiter(others, dtype=np.int64, count=len(others)),
        np.fromiter(others.values(), dtype=np.float64, count=len(others)),
    )


def _joined(found: list[tuple[_Positions, _Positions, NDArray[np.float64]]]) -> Pairs:
    empty = np.empty(0, dtype=np.int64)
    columns = zip((empty, empty, np.empty(0)), *found, strict=True)
    one, other, distances = (np.concatenate(column) for column in columns)
    return Pairs.sorted(one, other, distances)
