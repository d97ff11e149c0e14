"""Where faces are among rows in the order of ids. Used by all that hold faces."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from facematch.faces import FaceIds

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
