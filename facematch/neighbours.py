"""The port to the index: which faces may lie within a radius. And the exact one, in numpy.

An implementation is a cache of the log and may be behind it: it says which place it reflects,
and the worker makes up the difference (see `worker.matching`).
"""

import threading
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from facematch.faces import Encodings, distances, face_ids
from facematch.log import Tail, follow, genesis
from facematch.store import Store
from facematch.wire import Candidates, Gathering, Pairs, Query

__all__ = ["Candidates", "ExactNeighbours", "Neighbours", "Pairs", "Query"]

_PORTION = 1000


class Neighbours(Protocol):
    """What a worker needs of an index."""

    def within(self, query: Query) -> Candidates:
        """Every face within the radius as of the place it reports; a few more do no harm. Some
        may be missing where the answer says that it is not exact.

        Raises Unavailable (index_unavailable, index_loading, index_full).
        """

    def pairs(self, query: Query) -> Pairs:
        """Which faces of positions below `before` lie within the radius of which of the encodings,
        each pair once; else as `within`. An image that may be near may be told by its first face
        alone. For many images at once, which may be in the index themselves.

        Raises as `within`, and Rejected("answer_too_large") for more than wire.MOST_PAIRS of them:
        then to be asked for fewer encodings.
        """

    def check(self) -> None:
        """Raise Unavailable unless it is ready to answer."""

    def close(self) -> None:
        """Disconnect."""


class ExactNeighbours:
    """Brute force in float64 over the faces of a store: the truth that others are held to.

    It follows the log at each query, as far as `limit` if one is set, so that tests can hold
    it back at any position.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._tail: Tail = genesis(store.collection().epoch)
        self._faces: dict[int, Encodings] = {}
        #: What was missing when it was read is missing in the log up to here.
        self._rests_on = self._tail
        self.limit: int | None = None

    def within(self, query: Query) -> Candidates:
        """See Neighbours."""
        with self._lock:
            self._catch_up()
            found = [
                face_ids(position, len(encodings))[near]
                for position, encodings in sorted(self._faces.items())
                if position < query.before
                and (near := _any_within(query.encodings, encodings, query.radius)).any()
            ]
            ids = np.concatenate(found) if found else np.empty(0, dtype=np.int64)
            return Candidates(ids, self._tail)

    def pairs(self, query: Query) -> Pairs:
        """See Neighbours."""
        found = Gathering()
        with self._lock:
            self._catch_up()
            for position, encodings in self._faces.items():
                if position < query.before:
                    near = distances(query.encodings, encodings) <= query.radius
                    numbers, faces = np.nonzero(near)
                    found.add(numbers, face_ids(position, len(encodings))[faces])
            return found.pairs(self._tail)

    def check(self) -> None:
        """See Neighbours; always ready."""

    def close(self) -> None:
        """See Neighbours; nothing is connected."""

    def _catch_up(self) -> None:
        if self._store.log(self._rests_on.position, 0).start != self._rests_on:
            self._begin_anew()
        while self.limit is None or self._tail.position < self.limit:
            room = _PORTION if self.limit is None else self.limit - self._tail.position
            log = self._store.log(self._tail.position, min(room, _PORTION))
            if log.start != self._tail:
                self._begin_anew()
                continue
            if not log.entries:
                return
            self._tail = follow(self._tail, log.entries)
            added = [entry.position for entry in log.entries if entry.op == "add"]
            found, tail = self._store.faces_as_of(added)
            if len(found) < len(added):
                self._rests_on = tail
            self._faces.update((position, faces.encodings) for position, faces in found.items())
            for entry in log.entries:
                if entry.op == "del":
                    self._faces.pop(entry.target, None)

    def _begin_anew(self) -> None:
        self._tail, self._faces = genesis(self._store.collection().epoch), {}
        self._rests_on = self._tail


def _any_within(query: Encodings, encodings: Encodings, radius: float) -> NDArray[np.bool_]:
    return np.asarray((distances(query, encodings) <= radius).any(axis=0))
