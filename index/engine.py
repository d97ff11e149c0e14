"""The faces of a collection in a FAISS flat index: every face within a radius, none missing.

The only module that imports faiss. Used by `index.follower` and `index.bootstrap`.
"""

import threading
from typing import TypeVar

import faiss
import numpy as np
from numpy.typing import NDArray

from facematch.faces import DIMENSIONS, ENCODING_BYTES, FACES_PER_POSITION, Encodings, FaceIds

# A face within the radius must be found although FAISS computes in float32 and compares squares
# with a strict "<". It sums 128 squared differences: with u = 2^-24, each difference is rounded
# once and enters squared, each product once, and a sum of 128 non-negative terms, in whatever
# order, adds at most 127 roundings. So what it computes is at most the exact square times
# (1 + u)^130, which is less than 1 + 2^-16.9, whatever the norms. 2^-16 leaves room for the
# rounding of the radius to float32 and for that of the float64 distance the asker checks with.
# What underflows is covered by the smallest normal float32.
_RELATIVE_MARGIN = 2.0**-16
_ABSOLUTE_MARGIN = 2.0**-126

#: The bound above is one of plain differences. From this many queries on FAISS would expand
#: |x|² + |y|² - 2xy instead, whose error grows with the norms until it is larger than the radius.
_NEVER = 2**31 - 1

_Row = TypeVar("_Row", bound=np.generic)

_QUERIES_AT_ONCE = 16
_BLOCK = 65_536
_MOST_SQUARED = float(np.finfo(np.float32).max)
_LEAST_DEAD = 4096
_LAST_POSITION = np.iinfo(np.int64).max // FACES_PER_POSITION


class Engine:
    """Faces by id, in memory. Safe to share between threads.

    A removed face is overwritten at once; its row is given back when a quarter of all rows
    are such.
    """

    def __init__(self) -> None:
        faiss.cvar.distance_compute_blas_threshold = _NEVER
        self._lock = threading.Lock()
        self._index = faiss.IndexFlatL2(DIMENSIONS)
        self._ids: FaceIds = np.empty(0, dtype=np.int64)
        self._alive: NDArray[np.bool_] = np.empty(0, dtype=np.bool_)
        self._rows = 0
        self._live = 0

    def __len__(self) -> int:
        """How many faces it holds."""
        return self._live

    @property
    def bytes(self) -> int:
        """The memory its faces take, about."""
        return self._rows * ENCODING_BYTES + self._ids.nbytes + self._alive.nbytes

    def add(self, ids: FaceIds, encodings: Encodings) -> None:
        """Take in faces: ids (n,), encodings (n, 128) of finite float32.

        Raises ValueError unless the ids ascend and are above every id added before, as those
        of a log do.
        """
        if len(ids) != len(encodings):
            raise ValueError(f"{len(ids)} ids for {len(encodings)} encodings")
        if len(ids) == 0:
            return
        with self._lock:
            last = self._ids[self._rows - 1] if self._rows else -1
            if ids[0] <= last or (np.diff(ids) <= 0).any():
                raise ValueError("ids are added in ascending order, each once")
            self._index.add(np.ascontiguousarray(encodings, dtype=np.float32))
            rows = self._rows + len(ids)
            if rows > len(self._ids):
                self._ids = _grown(self._ids, rows)
                self._alive = _grown(self._alive, rows)
            self._ids[self._rows : rows] = ids
            self._alive[self._rows : rows] = True
            self._rows = rows
            self._live += len(ids)

    def remove(self, ids: FaceIds) -> None:
        """Forget these faces; an id that is not there is passed over."""
        with self._lock:
            rows = np.searchsorted(self._ids[: self._rows], ids)
            rows, ids = rows[rows < self._rows], ids[rows < self._rows]
            rows = np.unique(rows[(self._ids[rows] == ids) & self._alive[rows]])
            if len(rows) == 0:
                return
            self._encodings()[rows] = 0
            self._alive[rows] = False
            self._live -= len(rows)
            dead = self._rows - self._live
            if dead > _LEAST_DEAD and dead * 4 > self._rows:
                self._compact()

    def within(self, encodings: Encodings, radius: float, before: int) -> FaceIds:
        """The ids of all faces within `radius` of at least one of the encodings (k, 128).

        Only those of positions below `before`; ascending, each once. None is missing; one that
        is farther than the radius by less than 2^-16 of it (or 1e-17) may be among them.
        """
        limit = min(before, _LAST_POSITION) * FACES_PER_POSITION
        with self._lock:
            below = int(np.searchsorted(self._ids[: self._rows], limit))
            if below == 0 or len(encodings) == 0:
                return np.empty(0, dtype=np.int64)
            found = self._rows_within(np.ascontiguousarray(encodings, dtype=np.float32), radius)
            found &= self._alive[: self._rows]
            return self._ids[np.flatnonzero(found[:below])]

    def _rows_within(self, encodings: Encodings, radius: float) -> NDArray[np.bool_]:
        squared = radius * radius * (1 + _RELATIVE_MARGIN) + _ABSOLUTE_MARGIN
        if squared > _MOST_SQUARED:
            return np.ones(self._rows, dtype=np.bool_)
        found = np.zeros(self._rows, dtype=np.bool_)
        for start in range(0, len(encodings), _QUERIES_AT_ONCE):
            some = encodings[start : start + _QUERIES_AT_ONCE]
            found[self._index.range_search(some, squared)[2]] = True
        return found

    def _encodings(self) -> Encodings:
        """The rows in FAISS's own memory, writable; void after the next change of their number."""
        values = faiss.rev_swig_ptr(self._index.get_xb(), self._rows * DIMENSIONS)
        view: Encodings = values.reshape(self._rows, DIMENSIONS)
        return view

    def _compact(self) -> None:
        # FAISS's own removal would leave copies of encodings behind its last row, which would
        # outlive their removal: so the rows are moved here, and the freed ones overwritten.
        view, alive, end = self._encodings(), self._alive[: self._rows], 0
        for start in range(0, self._rows, _BLOCK):
            kept = alive[start : start + _BLOCK]
            block = view[start : start + _BLOCK][kept]
            view[end : end + len(block)] = block
            self._ids[end : end + len(block)] = self._ids[start : start + len(kept)][kept]
            end += len(block)
        view[end:] = 0
        self._index.remove_ids(faiss.IDSelectorRange(end, self._rows))
        self._alive[:end] = True
        self._rows = end


def _grown(rows: NDArray[_Row], least: int) -> NDArray[_Row]:
    grown = np.zeros(max(least, 2 * len(rows)), dtype=rows.dtype)
    grown[: len(rows)] = rows
    return grown
