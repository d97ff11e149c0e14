"""All faces of a collection, and by brute force the matches there should be: for `facematch.fsck`.

Nothing here is shared with how matches are found, so that a mistake there is seen here; but what a
distance and a rate are.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facematch.calibration import Calibration, Norms
from facematch.faces import Encodings, pair_distances
from facematch.fsck_pairs import Finding, Mask, Pairs, Positions, Truth, joined
from facematch.match_scores import UNRATED, codes_of
from facematch.progress import Update
from facematch.store import Snapshot, Store

_BLOCK = 2048
_PORTION = 1000
#: Faces of two images that are compared together.
_COMPARED = 65_536
#: Sums of float32 numbers differ so much from one processor to another.
_NEAR = 1e-3


@dataclass(frozen=True, eq=False)
class Faces:
    """All faces of a collection: encodings (n, 128), for each its image's position, (n,),
    ascending, and the faces that had been committed with it, (n,), 0 without norms.

    With a calibration, norms (n, 2), computed where there are none; `lacking` and `changed`: the
    positions of images that have none, and that have others than they should.
    """

    encodings: Encodings
    owners: Positions
    sizes: NDArray[np.int64]
    rated_by: Calibration | None = None
    norms: Norms | None = None
    lacking: frozenset[int] = frozenset()
    changed: frozenset[int] = frozenset()

    @classmethod
    def load(cls, store: Store, positions: list[int], rated_by: Calibration | None) -> "Faces":
        """Those of the images at these ascending positions. Raises Unavailable."""
        encodings: list[Encodings] = [np.empty((0, 128), dtype=np.float32)]
        norms: list[Norms] = [np.empty((0, 2), dtype=np.float32)]
        owners: list[Positions] = [np.empty(0, dtype=np.int64)]
        sizes: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
        for start in range(0, len(positions), _PORTION):
            found, _ = store.faces_as_of(positions[start : start + _PORTION])
            for position, faces in found.items():
                count = len(faces.encodings)
                encodings.append(faces.encodings)
                lacking = np.full((count, 2), np.nan, dtype=np.float32)
                norms.append(lacking if faces.norms is None else faces.norms)
                owners.append(np.full(count, position, dtype=np.int64))
                sizes.append(np.full(count, faces.size, dtype=np.int64))
        all_, every = np.concatenate(encodings), np.concatenate(owners)
        if rated_by is None:
            return cls(all_, every, np.concatenate(sizes))
        kept, right = np.concatenate(norms), rated_by.norms(all_)
        none: Mask = np.isnan(kept[:, 0])
        same: Mask = (np.abs(kept - right) <= _NEAR * np.abs(right) + _NEAR).all(axis=1)
        return cls(
            *(all_, every, np.concatenate(sizes), rated_by),
            norms=np.where(none[:, None], right, kept),
            lacking=frozenset(every[none].tolist()),
            changed=frozenset(every[~none & ~same].tolist()),
        )

    def matching(self, threshold: float, progress: Update | None) -> Truth:
        """All pairs of images within the threshold, the lower one first, their smallest distance
        and, with a calibration, the code of their lowest rate.

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
        found: list[tuple[Positions, Positions, NDArray[np.float64]]] = []
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
        pairs = joined(found)
        return Truth(pairs, self._codes(pairs), self._sizes_at(pairs.other))

    def smallest(self, one: Positions, other: Positions) -> NDArray[np.float64]:
        """The smallest distances (m,) of the faces of images that have some, at these positions."""

        def apart(left: Positions, right: Positions) -> NDArray[np.float64]:
            return pair_distances(self.encodings[left], self.encodings[right])

        return self._least(one, other, apart)

    def _codes(self, pairs: Pairs) -> NDArray[np.int64]:
        calibration, norms = self.rated_by, self.norms
        if calibration is None or norms is None:
            return np.full(len(pairs), UNRATED)

        def rates(left: Positions, right: Positions) -> NDArray[np.float64]:
            apart = pair_distances(self.encodings[left], self.encodings[right])
            return calibration.rates(apart, norms[left], norms[right])

        return codes_of(self._least(pairs.one, pairs.other, rates))

    def _sizes_at(self, positions: Positions) -> NDArray[np.int64]:
        return self.sizes[np.searchsorted(self.owners, positions)]

    def _least(
        self,
        one: Positions,
        other: Positions,
        of: Callable[[Positions, Positions], NDArray[np.float64]],
    ) -> NDArray[np.float64]:
        """The least of what all pairs of faces of two images have: (m,)."""
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
            values = of(
                np.repeat(firsts[a[some]], repeats) + row,
                np.repeat(firsts[b[some]], repeats) + column,
            )
            out[some] = np.minimum.reduceat(values, begins)
            start = some.stop
        return out


def check_faces(snapshot: Snapshot, faces: Faces) -> Iterator[Finding]:
    """Whether all images have their faces, these their norms, and the counters are right."""
    lost = sorted(snapshot.positions.keys() - set(faces.owners.tolist()))
    for position in lost:
        yield Finding("faces", f"the image at {position} has lost its faces", (position,))
    built = min(
        (one.building_to for one in snapshot.collection.generations if one.scored), default=0
    )
    # Whoever links an image gives it norms, if it has none.
    for position in sorted(faces.lacking - set(snapshot.pending.values())):
        if position > built:
            yield Finding("norms", f"the image at {position} has no norms", (position,))
    for position in sorted(faces.changed):
        yield Finding("norms", f"the image at {position} has other norms", (position,))
    yield from _check_counters(snapshot, faces, complete=not lost)


def _check_counters(snapshot: Snapshot, faces: Faces, complete: bool) -> Iterator[Finding]:
    collection = snapshot.collection
    size, live = collection.size, collection.live_faces
    if not (size or any(one.scored for one in collection.generations)):
        return  # before schema 2 nobody counts
    if live != len(faces.encodings) and complete:
        text = f"{live:,} faces are counted, there are {len(faces.encodings):,}"
        yield Finding("counters", text)
    if live > size:
        yield Finding("counters", f"{size:,} faces were ever committed, {live:,} are there")
    for position in np.unique(faces.owners[faces.sizes > size]).tolist():
        text = f"the image at {position} has seen more than {size:,} faces"
        yield Finding("counters", text, (position,))
