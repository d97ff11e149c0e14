"""Any faces at all, in a FAISS flat index: every one within a radius, none missing.

Used by `index.engine` for what `index.codes` cannot hold, and by `index.ivf`.
"""

from collections.abc import Iterator

import faiss
import numpy as np
from numpy.typing import NDArray

from facematch.faces import DIMENSIONS, ENCODING_BYTES, Encodings, FaceIds
from index.rows import Rows

#: FAISS computes in float32 and compares squares with a strict "<". It sums 128 squared
#: differences: with u = 2^-24, each difference is rounded once and enters squared, each product
#: once, and a sum of 128 non-negative terms, in whatever order, adds at most 127 roundings. So
#: what it computes is at most the exact square times (1 + u)^130, which is less than 1 + 2^-16.9,
#: whatever the norms. The radius has been made greater by 2^-16 of its square, which leaves room
#: for its rounding to float32.
_MOST_SQUARED = float(np.finfo(np.float32).max)

#: The bound above is one of plain differences. From this many queries on FAISS would expand
#: |x|² + |y|² - 2xy instead, whose error grows with the norms until it is larger than the radius.
_NEVER = 2**31 - 1

#: Of a face: the encoding, the id, and whether it is there.
FACE_BYTES = ENCODING_BYTES + 8 + 1
_LEAST_DEAD = 4096
#: Bounds the pairs that are held before a face found twice is known once.
_QUERIES_AT_ONCE = 16
#: How many faces are compared with how many encodings in one step: about 5 ms.
_STEP = 200_000


class Flat:
    """Faces by id. Any number of threads may search, while none changes it.

    A removed face is overwritten at once; its row is given back when a quarter of all rows are
    such.
    """

    def __init__(self) -> None:
        faiss.cvar.distance_compute_blas_threshold = _NEVER
        self._index = faiss.IndexFlatL2(DIMENSIONS)
        self._rows = Rows()

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def bytes(self) -> int:
        """The memory its faces take."""
        return self._rows.used * FACE_BYTES

    def add(self, ids: FaceIds, encodings: Encodings) -> None:
        """Take in faces; the ids ascend, and are above all that were added."""
        self._index.add(encodings)
        self._rows.append(ids)

    def remove(self, ids: FaceIds) -> None:
        """Forget these faces; an id that is not there is passed over."""
        rows = self._rows.remove(ids)
        if len(rows) == 0:
            return
        self._encodings()[rows] = 0
        if self._rows.dead > _LEAST_DEAD and self._rows.dead * 4 > self._rows.used:
            self._compact()

    def blocks(self) -> Iterator[tuple[FaceIds, Encodings]]:
        """All its faces, in the order of their ids."""
        for rows, alive, ids in self._rows.blocks():
            yield ids, self._encodings()[rows][alive]

    def wipe(self) -> None:
        """Overwrite all; it is not used again."""
        self._encodings()[:] = 0

    def search(
        self, encodings: Encodings, radius_squared: float, low: int, high: int
    ) -> tuple[NDArray[np.int32], FaceIds]:
        """See index.codes.Codes.search; of encodings (q, 128)."""
        numbers, rows = self._pairs(encodings, radius_squared, low, high)
        return numbers.astype(np.int32), self._rows.ids(rows)

    def at_once(self, low: int, high: int) -> int:
        """How many encodings to search for in one call that shall take a few milliseconds."""
        return max(1, _STEP // max(1, self._rows.below(high) - self._rows.below(low)))

    def within(self, encodings: Encodings, radius_squared: float, high: int) -> FaceIds:
        """See index.codes.Codes.within; of encodings (q, 128)."""
        near = np.zeros(self._rows.used, dtype=np.bool_)
        for start in range(0, len(encodings), _QUERIES_AT_ONCE):
            some = encodings[start : start + _QUERIES_AT_ONCE]
            near[self._pairs(some, radius_squared, 0, high)[1]] = True
        return self._rows.ids(np.flatnonzero(near))

    def _pairs(
        self, encodings: Encodings, radius_squared: float, low: int, high: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Numbers of encodings, and rows of faces near them."""
        first, rows = self._rows.below(low), self._rows.below(high)
        if first >= rows:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        if radius_squared > _MOST_SQUARED:
            numbers, found = (np.ravel(grid) for grid in np.indices((len(encodings), rows)))
        else:
            limits, _, found = self._index.range_search(
                encodings, radius_squared, params=self._only(first, rows)
            )
            numbers = np.repeat(np.arange(len(encodings)), np.diff(limits.astype(np.int64)))
        known = (found >= first) & (found < rows) & self._rows.alive(found)
        return numbers[known], found[known]

    def _only(self, first: int, rows: int) -> faiss.SearchParameters | None:
        """Have FAISS look at these rows only, where asking it for each costs less than looking."""
        if (rows - first) * 4 > self._rows.used * 3:
            return None
        chosen = faiss.IDSelectorRange(first, rows)
        # Its constructor also keeps it, which FAISS's types do not know.
        return faiss.SearchParameters(sel=chosen)  # type: ignore[call-arg]

    def _encodings(self) -> Encodings:
        """The rows in FAISS's own memory, writable; void after the next change of their number."""
        rows = self._rows.used
        values = faiss.rev_swig_ptr(self._index.get_xb(), rows * DIMENSIONS)
        view: Encodings = values.reshape(rows, DIMENSIONS)
        return view

    def _compact(self) -> None:
        # FAISS's own removal would leave copies of encodings behind its last row, which would
        # outlive their removal: so the rows are moved here, and the freed ones overwritten.
        view, end = self._encodings(), 0
        for rows, alive, ids in self._rows.blocks():
            view[end : end + len(ids)] = view[rows][alive]
            end += len(ids)
        view[end:] = 0
        self._index.remove_ids(faiss.IDSelectorRange(end, self._rows.used))
        self._rows.compact()
