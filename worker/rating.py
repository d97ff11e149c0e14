"""How sure the matches of an image are: what it takes to know, for `worker.matching` and
`worker.ranges`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facematch.calibration import Calibration, Norms, calibration
from facematch.errors import Unavailable
from facematch.log import Tail
from facematch.match_scores import UNRATED
from facematch.store import Collection, Store
from facematch.stored_faces import StoredFaces

_TRIES = 3


@dataclass(frozen=True, eq=False)
class Rating:
    """By which calibration the faces of an image are rated, their norms (k, 2), and the highest
    code of a match that any match set keeps."""

    calibration: Calibration
    norms: Norms
    codes_to: int = UNRATED


def calibration_for(collection: Collection) -> Calibration | None:
    """That which new matches must have rates by, None where none needs one."""
    return calibration(collection.rated_by) if collection.rated_by else None


def stored_faces(
    store: Store, positions: Sequence[int], rated_by: Calibration | None
) -> tuple[dict[int, StoredFaces], Tail]:
    """The faces of the images at these positions as of one instant, and where the log ended then.

    With a calibration all have norms: those that have none, from before there were any, are given
    them first, so that what follows from them follows from what is stored. Raises Unavailable.
    """
    for _ in range(_TRIES):
        found, tail = store.faces_as_of(positions)
        lacking = {at: faces.encodings for at, faces in found.items() if faces.norms is None}
        if rated_by is None or not lacking:
            return found, tail
        norms = rated_by.norms(np.concatenate(list(lacking.values())))
        ends = np.cumsum([len(encodings) for encodings in lacking.values()])
        store.add_norms(dict(zip(lacking, np.split(norms, ends[:-1]), strict=True)))
    raise Unavailable("store_unavailable", "norms of faces that were stored are gone again")
