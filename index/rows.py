"""Where faces are among rows in the order of ids. Used by all that hold faces."""

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from facematch.faces import FaceIds

#: Rows that are worked on together.
BLOCK = 65_536
_Row = TypeVar("_Row", bound=np.generic)


def rows_of(ids: FaceIds, held: FaceIds, alive: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The rows of these ids among the ascending ones `held` (n,), of those that are `alive` (n,);
    ascending, each once. An id that is not there is passed over."""
    rows = np.searchsorted(held, ids)
    rows, ids = rows[rows < len(held)], ids[rows < len(held)]
    return np.unique(rows[(held[rows] == ids) & alive[rows]])


def grown(rows: NDArray[_Row], least: int) -> NDArray[_Row]:
    """These rows, and room for at least so many in all, of zeros."""
    made = np.zeros(max(least, 2 * len(rows)), dtype=rows.dtype)
    made[: len(rows)] = rows
    return made


class Rows:
    """Which face is in which row, in the order of ids: each new one in the next row. The rows of
    removed ones stay until `compact`. `used`: how many there are."""

    def __init__(self) -> None:
        self.used = 0
        self._ids: FaceIds = np.empty(0, dtype=np.int64)
        self._alive: NDArray[np.bool_] = np.empty(0, dtype=np.bool_)
        self._live = 0

    def __len__(self) -> int:
        """How many are alive."""
        return self._live

    @property
    def dead(self) -> int:
        """How many rows are of removed faces."""
        return self.used - self._live

    def append(self, ids: FaceIds) -> None:
        """Faces have come; the ids ascend, and are above all that were there."""
        end = self.used + len(ids)
        if end > len(self._ids):
            self._ids, self._alive = grown(self._ids, end), grown(self._alive, end)
        self._ids[self.used : end], self._alive[self.used : end] = ids, True
        self.used = end
        self._live += len(ids)

    def remove(self, ids: FaceIds) -> NDArray[np.int64]:
        """Faces have gone: their rows. An id that is not there is passed over."""
        rows = rows_of(ids, self._ids[: self.used], self._alive[: self.used])
        self._alive[rows] = False
        self._live -= len(rows)
        return rows

    def compact(self) -> None:
        """The rows of removed faces have been given back, and the others moved up."""
        self._ids[: self._live] = self._ids[: self.used][self._alive[: self.used]]
        self._alive[: self._live] = True
        self.used = self._live

    def below(self, limit: int) -> int:
        """How many rows are of ids below the limit."""
        return int(np.searchsorted(self._ids[: self.used], limit))

    def ids(self, rows: NDArray[np.int64]) -> FaceIds:
        """The ids in these rows."""
        return self._ids[rows]

    def alive(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these rows are of faces that are there."""
        return self._alive[rows]

    def drawn(self, rng: np.random.Generator) -> int:
        """The row of one face that is there, drawn at random."""
        return int(rng.choice(np.flatnonzero(self._alive[: self.used])))

    def blocks(self) -> Iterator[tuple[slice, NDArray[np.bool_], FaceIds]]:
        """All rows, portion by portion: where it is, which of it are of faces that are there, and
        their ids."""
        for start in range(0, self.used, BLOCK):
            rows = slice(start, min(start + BLOCK, self.used))
            alive = self._alive[rows]
            yield rows, alive, self._ids[rows][alive]
