"""The faces of a collection: every one within a radius, none missing.

Those where dlib's encodings lie are held by `index.codes`, any others by `index.flat`. Used by
`index.follower`, which fills it through `facematch.loading`.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from facematch.faces import FACES_PER_POSITION, Encodings, FaceIds
from index import codes, flat
from index.budget import Budget, Share
from index.codes import Codes, Points, Space, in_portions
from index.flat import Flat
from index.sharing import SharedLock

# Leaves room for roundings to float32, and for that of the float64 distance the asker checks
# with; what underflows is covered by the smallest normal float32.
_RELATIVE_MARGIN = 2.0**-16
_ABSOLUTE_MARGIN = 2.0**-126
#: No two float32 encodings are so far apart.
_FARTHEST = 1e50
#: What a collection takes beside its faces: 2.7 MB were measured, its follower's thread included,
#: and of a chunk's six arrays each may have a large page of 2 MB that is just begun.
BASE_BYTES = 3_000_000 + 6 * 2**21
#: A position above all others.
EVERYWHERE = 2**62
_LAST_POSITION = np.iinfo(np.int64).max // FACES_PER_POSITION
#: Above every id.
EVERY_ID = _LAST_POSITION * FACES_PER_POSITION

#: Pairs: two arrays (n,), the encoding's number and the face's id, in no order.
Found: TypeAlias = tuple[NDArray[np.int32], FaceIds]


class AnyEngine(Protocol):
    """What a follower needs of an engine. One thread changes it; any may search meanwhile, and do
    so beside each other."""

    @property
    def exact(self) -> bool:
        """Whether no search misses a face."""

    @property
    def bytes(self) -> int:
        """The memory its faces take, about."""

    @property
    def taken(self) -> int:
        """What it has of the budget: that of its faces, and its own."""

    @property
    def face_bytes(self) -> float:
        """What a face takes, on the average of those it holds. (What removed ones still take is
        no part of it.)"""

    @property
    def end(self) -> int:
        """Above the id of every face that was ever added."""

    def __len__(self) -> int:
        """How many faces it holds."""

    def fits(self, faces: int) -> bool:
        """Whether there would be memory for so many faces in place of those it holds."""

    def require(self, faces: int) -> None:
        """Raise Full unless there is memory for so many faces more, as far as can be told before
        they are there."""

    def add(self, ids: FaceIds, encodings: Encodings) -> None:
        """Take in faces: ids (n,), encodings (n, 128) of finite float32.

        Raises ValueError unless the ids ascend and are above every id added before, as those
        of a log do; Full when there is no memory for them.
        """

    def remove(self, ids: FaceIds) -> None:
        """Forget these faces; an id that is not there is passed over."""

    def tend(self) -> None:
        """Bring itself into shape, which may take long. Called by the thread that changes it."""

    def within(self, encodings: Encodings, radius: float, before: int) -> FaceIds:
        """The ids of all faces of positions below `before` within `radius` of at least one of the
        encodings (k, 128), as far as it is exact. Ascending, each once."""

    def pairs(self, encodings: Encodings, radius: float, low: int, high: int) -> Iterator[Found]:
        """Which faces with ids from `low` to below `high` lie within `radius` of which of the
        encodings (k, 128): each pair once, portion by portion.

        A portion takes a few milliseconds; between two of them it may change, so that nobody waits
        who has to change it. All those are found, as far as it is exact, that were there when the
        first portion was asked for and are there after the last; of others, some may be.
        """

    def measure(self, rng: np.random.Generator, radius: float) -> tuple[int, int]:
        """Of the other faces within the radius of one that it holds, drawn at random: how many it
        finds, and how many there are by brute force."""

    def close(self) -> None:
        """Give back what it has of the budget; it is not used again."""


class Budgeted(ABC):
    """What engines have in common: their part of a budget, and the order in which faces come."""

    def __init__(self, budget: Budget | None) -> None:
        """`budget`: what its memory comes out of; None: it may take any. Raises Full."""
        self._share = Share(budget or Budget())
        self._lock = SharedLock()
        self._last = -1
        self._share.resize(BASE_BYTES)

    @property
    @abstractmethod
    def face_bytes(self) -> float:
        """See AnyEngine."""

    @property
    def taken(self) -> int:
        """See AnyEngine."""
        return self._share.taken

    @property
    def end(self) -> int:
        """See AnyEngine."""
        return self._last + 1

    def fits(self, faces: int) -> bool:
        """See AnyEngine."""
        needed = BASE_BYTES + math.ceil(faces * self.face_bytes)
        return self._share.budget.has(needed - self._share.taken)

    def require(self, faces: int) -> None:
        """See AnyEngine."""
        self._share.budget.require(math.ceil(faces * self.face_bytes))

    def close(self) -> None:
        """See AnyEngine."""
        self._share.resize(0)

    def add(self, ids: FaceIds, encodings: Encodings) -> None:
        """See AnyEngine."""
        if len(ids) != len(encodings):
            raise ValueError(f"{len(ids)} ids for {len(encodings)} encodings")
        if len(ids):
            self._add(ids, np.require(encodings, np.float32, ("C", "W")))

    @abstractmethod
    def _add(self, ids: FaceIds, encodings: Encodings) -> None:
        """Take in at least one face, with `_admit`."""

    def _admit(self, ids: FaceIds, needed: int) -> None:
        """Take room for these faces. Raises as `add`; then nothing has changed."""
        if ids[0] <= self._last or (np.diff(ids) <= 0).any():
            raise ValueError("ids are added in ascending order, each once")
        self._share.resize(self._share.taken + needed)
        self._last = int(ids[-1])


class Engine(Budgeted):
    """See AnyEngine: none is missing. Safe to share between threads. A removed face is overwritten.

    What it takes of the budget shrinks as faces are removed; `close` gives back the rest.
    """

    exact = True

    def __init__(self, budget: Budget | None = None) -> None:
        """See Budgeted."""
        super().__init__(budget)
        self._space = Space()
        self._codes = Codes(self._space)
        self._flat = Flat()

    def __len__(self) -> int:
        """See AnyEngine."""
        return len(self._codes) + len(self._flat)

    @property
    def bytes(self) -> int:
        """See AnyEngine."""
        return self._codes.bytes + self._flat.bytes

    @property
    def face_bytes(self) -> float:
        """See AnyEngine."""
        ours, others = len(self._codes), len(self._flat)
        return _size(ours, others) / (ours + others) if ours + others else codes.FACE_BYTES

    def _add(self, ids: FaceIds, encodings: Encodings) -> None:
        points = self._space.project(encodings)
        ours = self._space.holds(points)
        with self._lock.writing():
            self._admit(ids, _size(int(ours.sum()), int((~ours).sum())))
            if ours.all():
                self._codes.add(ids, points)
                return
            self._codes.add(ids[ours], Points(points.inside[ours], points.outside[ours]))
            self._flat.add(ids[~ours], encodings[~ours])

    def remove(self, ids: FaceIds) -> None:
        """See AnyEngine."""
        with self._lock.writing():
            self._codes.remove(ids)
            self._flat.remove(ids)
            self._share.resize(BASE_BYTES + self.bytes)

    def tend(self) -> None:
        """See AnyEngine: it always is."""

    def measure(self, rng: np.random.Generator, radius: float) -> tuple[int, int]:
        """See AnyEngine: there is nothing to measure."""
        return 0, 0

    def search(self, encodings: Encodings, radius: float, before: int) -> Found:
        """Which faces of positions below `before` lie within `radius` of which of the encodings
        (k, 128).

        None is missing. One that is a little farther may be among them: by 2^-16 of the radius, or
        1e-17; where both lie where dlib's encodings do by 2e-5, and more for an encoding that lies
        elsewhere.
        """
        limit, squared = first_beyond(before), widened_square(radius)
        encodings = np.require(encodings, np.float32, ("C", "W"))
        points = self._space.project(encodings)
        with self._lock.reading():
            numbers, ids = self._codes.search(points, squared, 0, limit)
            if len(self._flat):
                others = self._flat.search(encodings, squared, 0, limit)
                numbers, ids = np.append(numbers, others[0]), np.append(ids, others[1])
        return numbers, ids

    def within(self, encodings: Encodings, radius: float, before: int) -> FaceIds:
        """See AnyEngine and `search`."""
        limit, squared = first_beyond(before), widened_square(radius)
        encodings = np.require(encodings, np.float32, ("C", "W"))
        points = self._space.project(encodings)
        with self._lock.reading():
            found = self._codes.within(points, squared, limit)
            others = self._flat.within(encodings, squared, limit)
        # Both ascend already, which this way to sort makes use of.
        return np.sort(np.append(found, others), kind="stable") if len(others) else found

    def pairs(self, encodings: Encodings, radius: float, low: int, high: int) -> Iterator[Found]:
        """See AnyEngine and `search`."""
        squared = widened_square(radius)
        encodings = np.require(encodings, np.float32, ("C", "W"))
        # What is added from now on is left out: what is searched with is not made for it.
        high = min(high, self.end)
        if low >= high:
            return
        for start, points in in_portions(self._space.project(encodings)):
            with self._lock.reading():
                asked = self._codes.ask(points, squared)
            at = low
            while at < high:
                with self._lock.reading():
                    numbers, ids, at = self._codes.step(asked, squared, at, high)
                yield numbers + np.int32(start), ids
        start = 0
        while start < len(encodings) and len(self._flat):
            with self._lock.reading():
                step = self._flat.at_once(low, high)
                some = encodings[start : start + step]
                numbers, ids = self._flat.search(some, squared, low, high)
            yield numbers + np.int32(start), ids
            start += step


def first_beyond(before: int) -> int:
    """The lowest id of the faces of images from position `before` on."""
    return min(before, _LAST_POSITION) * FACES_PER_POSITION


def widened_square(radius: float) -> float:
    """The square of a radius, made greater by more than float32 may be off by."""
    return min(radius, _FARTHEST) ** 2 * (1 + _RELATIVE_MARGIN) + _ABSOLUTE_MARGIN


def _size(ours: int, others: int) -> int:
    return ours * codes.FACE_BYTES + others * flat.FACE_BYTES
