"""Where faces are among rows in the order of ids. Used by `index.codes` and `index.flat`."""

import numpy as np
from numpy.typing import NDArray

from facematch.faces import FaceIds


def rows_of(ids: FaceIds, held: FaceIds, alive: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The rows of these ids among the ascending ones `held` (n,), of those that are `alive` (n,);
    ascending, each once. An id that is not there is passed over."""
    rows = np.searchsorted(held, ids)
    rows, ids = rows[rows < len(held)], ids[rows < len(held)]
    return np.unique(rows[(held[rows] == ids) & alive[rows]])
