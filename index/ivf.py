"""Faces in memory, most of those within a radius: the engine for `FACEMATCH_INDEX_KIND=ivf`.

Few faces are all compared, and none is missing. From 20,000 on they are kept in inverted
lists (`index.inverted`), of which only those nearest to a query are searched.
"""

from collections.abc import Iterator

import numpy as np
import structlog

from facematch.faces import Encodings, FaceIds
from index import flat, inverted
from index.budget import Budget, Full
from index.engine import BASE_BYTES, EVERY_ID, Budgeted, Found, first_beyond, widened_square
from index.flat import Flat
from index.inverted import Inverted

#: Lists of fewer faces would save nothing.
TRAIN_FROM = 20_000
_GROWTH = 4
_LEAST_WASTED = 4096

_log = structlog.get_logger()


class IvfEngine(Budgeted):
    """See index.engine.AnyEngine: one thread changes it, any may search. A removed face is
    overwritten."""

    def __init__(
        self, budget: Budget | None = None, probes: int = 64, train_from: int = TRAIN_FROM
    ) -> None:
        """`probes`: how many lists are searched. Raises Full."""
        super().__init__(budget)
        self._probes = probes
        self._train_from = train_from
        self._faces: Flat | Inverted = Flat()
        # How many faces there were: when it was trained last, and when there was no room for it.
        self._trained = self._refused = 0
        self._rng = np.random.default_rng(0)

    def __len__(self) -> int:
        """See AnyEngine."""
        return len(self._faces)

    @property
    def exact(self) -> bool:
        """See AnyEngine."""
        faces = self._faces
        return isinstance(faces, Flat) or self._probes >= faces.lists

    @property
    def bytes(self) -> int:
        """See AnyEngine."""
        return self._faces.bytes

    @property
    def face_bytes(self) -> float:
        """See AnyEngine."""
        listed = isinstance(self._faces, Inverted)
        return inverted.FACE_BYTES if listed else flat.FACE_BYTES

    def _add(self, ids: FaceIds, encodings: Encodings) -> None:
        with self._lock.writing():
            self._admit(ids, int(len(ids) * self.face_bytes))
            self._faces.add(ids, encodings)

    def remove(self, ids: FaceIds) -> None:
        """See AnyEngine."""
        with self._lock.writing():
            self._faces.remove(ids)
            self._share.resize(BASE_BYTES + self.bytes)

    def tend(self) -> None:
        """See AnyEngine: train, or train anew once there are four times as many faces, or a
        quarter of the rows is of removed ones. Searches go on meanwhile, in what was there."""
        count = len(self)
        if count < self._train_from or not self._outgrown(count):
            return
        old, before = self._faces, self._share.taken
        try:
            self._share.resize(before + inverted.building_bytes(count))
        except Full as error:
            self._refused = count
            _log.warning("no memory for training", faces=count, reason=str(error))
            return
        new = Inverted.of(old.blocks, count, self._rng)
        with self._lock.writing():
            self._faces, self._trained, self._refused = new, count, 0
            old.wipe()
            self._share.resize(BASE_BYTES + self.bytes)
        _log.info("trained", faces=count, lists=new.lists, exact=self.exact)

    def _outgrown(self, count: int) -> bool:
        """Whether it is time to train."""
        if abs(count - self._refused) * 8 < self._refused:
            return False
        if isinstance(self._faces, Flat):
            return True
        wasted = self._faces.wasted
        return count >= self._trained * _GROWTH or (
            wasted > _LEAST_WASTED and wasted * 4 > count + wasted
        )

    def within(self, encodings: Encodings, radius: float, before: int) -> FaceIds:
        """See AnyEngine."""
        encodings = np.require(encodings, np.float32, ("C", "W"))
        limit = first_beyond(before)
        with self._lock.reading():
            found = self._search(encodings, radius, 0, limit, self._probes)
        return np.unique(found[1])

    def pairs(self, encodings: Encodings, radius: float, low: int, high: int) -> Iterator[Found]:
        """See AnyEngine."""
        encodings = np.require(encodings, np.float32, ("C", "W"))
        start = 0
        while start < len(encodings):
            with self._lock.reading():
                step = self._at_once(low, high)
                some = encodings[start : start + step]
                numbers, ids = self._search(some, radius, low, high, self._probes)
            yield numbers + np.int32(start), ids
            start += step

    def measure(self, rng: np.random.Generator, radius: float) -> tuple[int, int]:
        """See AnyEngine."""
        with self._lock.reading():
            if not isinstance(self._faces, Inverted) or not len(self):
                return 0, 0
            own, encoding = self._faces.any_of(rng)
            found, there = (
                np.setdiff1d(self._search(encoding, radius, 0, EVERY_ID, probes)[1], own)
                for probes in (self._probes, self._faces.lists)
            )
        return len(found), len(there)

    def _at_once(self, low: int, high: int) -> int:
        if isinstance(self._faces, Flat):
            return self._faces.at_once(low, high)
        return self._faces.at_once(self._probes)

    def _search(
        self, encodings: Encodings, radius: float, low: int, high: int, probes: int
    ) -> Found:
        squared = widened_square(radius)
        if isinstance(self._faces, Flat):
            return self._faces.search(encodings, squared, low, high)
        return self._faces.search(encodings, squared, low, high, probes)
