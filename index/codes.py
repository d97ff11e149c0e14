"""Faces as fixed-point coordinates in the 80 directions that dlib's encodings fill, and all of
them within a radius, none missing.

For the faces x and the query q, with x' and q' their coordinates and |x°|, |q°| their distances
from the space of the 80 directions:

    |q - x|² = |q' - x'|² + |q° - x°|² >= |q' - x'|² + (|q°| - |x°|)²

and what is kept, c, is off by at most e = |x' - c|, which is known when the face is added: so
|q' - x'| >= |q' - c| - e, and the same with fewer directions. That is asked of ever fewer faces:
with the first byte of 48 directions; with it and the words, of 16 bits, of the other 32; with the
words of all 80; and, where that is too close to tell, with all that is kept. The first compares
sums of products of whole numbers: |q' - c|² = |q'|² + |c|² - 2 q'c. For the second, with A the
distance in the 48 directions, off by at most e, and B that in the others:

    (A - e)² + B² <= r²  implies  A² + B² <= (r + e)²
"""

import threading
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facematch.encoding_model import Floats64, encoding_model
from facematch.faces import Encodings, FaceIds
from facematch.vector_code import LANES
from index import kernels
from index.layout import DIRECTIONS, LEADING, NOBODY, PAIRS, TRAILING, Asked, nobody
from index.rows import rows_of

#: Faces that are kept together: what is moved at once when removed ones are given back.
CHUNK = 65_536
#: Codes reach so many standard deviations to either side; what lies beyond is none of ours.
_DEVIATIONS = 5.0
_MOST_CODE = 127.9
#: The farthest from the space that a face of ours may be: three times what was ever measured.
_MOST_OUTSIDE = 2.0**-8
#: Weights are 16-bit: those of queries within so many deviations are not cut off.
_WEIGHT_DEVIATIONS = 6.0
_MOST_WEIGHT = 2**15 - 1
#: No sum is as large, and a difference of a sum and a threshold fits into 32 bits.
_MOST_THRESHOLD = 2**30
#: What float64 may be off by in all of this, and more.
_ROUNDING = 1e-9
#: What float32 may be off by where squares of differences are added: parts of the distance, and of
#: how far from 0 the query and the codes may be.
_SUM_ROUNDING, _PLACE_ROUNDING = 2.0**-17, 2.0**-22
_MOST_FLOAT = float(np.finfo(np.float32).max)
#: So many queries' weights stay in a core's nearest cache while faces come by.
QUERIES_AT_ONCE = 256
_FOUND = 1 << 16
#: How many blocks of faces are compared with how many queries in one step: about 3 ms, and as much
#: again where very many of them are near.
_STEP = 1 << 18
#: Of a face: first bytes, words and rests, the start, the distance from the space, the id.
FACE_BYTES = LEADING + (LEADING + TRAILING) * (2 + 1) + 4 + 4 + 8


@dataclass(frozen=True, eq=False)
class Points:
    """Encodings in the space: coordinates (n, 80) and distances from it (n,), float64."""

    inside: Floats64
    outside: Floats64


def in_portions(points: Points) -> Iterator[tuple[int, Points]]:
    """At most QUERIES_AT_ONCE of them, and the number of the first, for all of them."""
    for start in range(0, len(points.outside), QUERIES_AT_ONCE):
        some = slice(start, start + QUERIES_AT_ONCE)
        yield start, Points(points.inside[some], points.outside[some])


class Space:
    """The 80 directions, and how finely codes tell places along each."""

    def __init__(self) -> None:
        kernels.load()
        model = encoding_model()
        deviations = model.deviations()
        self._mean, self._basis = model.mean, np.ascontiguousarray(model.basis)
        self.steps: Floats64 = deviations * 2 * _DEVIATIONS / 256
        #: How far from 0 codes may be.
        self.reach = float(np.linalg.norm(self.steps) * _MOST_CODE)
        #: What weights and sums are multiplied with to be whole numbers.
        self.scale = float(_MOST_WEIGHT / (_WEIGHT_DEVIATIONS * deviations * self.steps).max())

    def project(self, encodings: Encodings) -> Points:
        """Where encodings (n, 128) are in the space, in float64."""
        points = np.empty((len(encodings), DIRECTIONS))
        outside = np.empty(len(encodings))
        kernels.project(encodings, self._mean, self._basis, points, outside)
        return Points(points, outside)

    def holds(self, points: Points) -> NDArray[np.bool_]:
        """Which of them can be kept as codes: (n,)."""
        within = np.abs(points.inside) < _MOST_CODE * self.steps
        return within.all(axis=1) & (points.outside <= _MOST_OUTSIDE)


class _Chunk:
    """Up to CHUNK faces, ids ascending. Of removed ones the rows are left, until they are joined
    with another chunk's."""

    def __init__(self) -> None:
        self.held = nobody(CHUNK)
        self.ids: FaceIds = np.zeros(CHUNK, dtype=np.int64)
        self.rows = 0
        self.live = 0

    def alive(self) -> NDArray[np.bool_]:
        """Which of the rows are those of faces that have not been removed."""
        alive: NDArray[np.bool_] = self.held.starts.reshape(-1)[: self.rows] != NOBODY
        return alive

    def below(self, limit: int) -> int:
        """How many rows are of ids below the limit."""
        return int(np.searchsorted(self.ids[: self.rows], limit))

    def remove(self, ids: FaceIds) -> None:
        """Forget these, and overwrite what was known of them."""
        rows = rows_of(ids, self.ids[: self.rows], self.alive())
        block, lane = divmod(rows, LANES)
        self.held.coarse[block, :, lane] = 0
        self.held.starts[block, lane] = NOBODY
        for array in (self.held.leading, self.held.trailing, self.held.rest, self.held.outside):
            array[rows] = 0
        self.live -= len(rows)

    def take(self, other: "_Chunk") -> None:
        """Take over all faces of another one, and leave nothing of them there."""
        old = np.flatnonzero(other.alive())
        kernels.move(other.held, old, self.held, self.rows)
        self.ids[self.rows : self.rows + len(old)] = other.ids[old]
        self.rows += len(old)
        self.live += len(old)
        other.held.memory[:] = 0


class _Buffers(threading.local):
    """What a thread needs while it searches. Kept, because the system takes long to give so much
    memory anew for each search; one for all collections, because they may be many."""

    def __init__(self) -> None:
        self.found = np.empty((3, _FOUND), dtype=np.int32)


_own = _Buffers()


class Codes:
    """Faces that the space holds. Any number of threads may search, while none changes it."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._chunks: list[_Chunk] = []
        self._most = np.zeros(4)

    def __len__(self) -> int:
        return sum(chunk.live for chunk in self._chunks)

    @property
    def bytes(self) -> int:
        """The memory its faces take."""
        return sum(chunk.rows for chunk in self._chunks) * FACE_BYTES

    def add(self, ids: FaceIds, points: Points) -> None:
        """Take in faces the space holds; the ids ascend, and are above all that were added."""
        start = 0
        while start < len(ids):
            if not self._chunks or self._chunks[-1].rows == CHUNK:
                self._chunks.append(_Chunk())
            chunk = self._chunks[-1]
            row, count = chunk.rows, min(len(ids) - start, CHUNK - chunk.rows)
            these, rows = slice(start, start + count), slice(row, row + count)
            space = self._space
            kernels.store(
                *(points.inside[these], space.steps, space.scale, chunk.held, row, self._most)
            )
            chunk.held.outside[rows] = points.outside[these]
            chunk.ids[rows] = ids[these]
            chunk.rows += count
            chunk.live += count
            start += count

    def remove(self, ids: FaceIds) -> None:
        """Forget these faces; an id that is not there is passed over."""
        firsts = [chunk.ids[0] for chunk in self._chunks]
        numbers = np.searchsorted(firsts, ids, side="right") - 1
        for number in np.unique(numbers[numbers >= 0]):
            self._chunks[number].remove(ids[numbers == number])
        self._join()

    def search(
        self, points: Points, radius_squared: float, low: int, high: int
    ) -> tuple[NDArray[np.int32], FaceIds]:
        """Which faces with ids from `low` to below `high` lie within the radius of which of the
        points: two arrays (n,), the point's number and the face's id, in no order. None is missing.
        """
        numbers, ids = [np.empty(0, dtype=np.int32)], [np.empty(0, dtype=np.int64)]
        for chunk, start, found in self._pairs(points, radius_squared, low, high):
            numbers.append(found[0] + np.int32(start))
            ids.append(self._chunks[chunk].ids[found[1]])
        return np.concatenate(numbers), np.concatenate(ids)

    def within(self, points: Points, radius_squared: float, high: int) -> FaceIds:
        """The ids of the faces within the radius of at least one of the points, ascending; see
        `search`."""
        if len(points.outside) == 1:  # each is found once, and in order
            return self.search(points, radius_squared, 0, high)[1]
        near = [np.zeros(chunk.rows, dtype=np.bool_) for chunk in self._chunks]
        for chunk, _, found in self._pairs(points, radius_squared, 0, high):
            near[chunk][found[1]] = True
        ids = [np.empty(0, dtype=np.int64)]
        for chunk_, rows in zip(self._chunks, near, strict=True):
            ids.append(chunk_.ids[: chunk_.rows][rows])
        return np.concatenate(ids)

    def step(
        self, asked: Asked, radius_squared: float, low: int, high: int
    ) -> tuple[NDArray[np.int32], FaceIds, int]:
        """A part of `search` that takes a few milliseconds, for what `ask` made of at most
        QUERIES_AT_ONCE points: what it found, and the id to go on from, which is `high` in the end.

        Between two steps there may be changes, because ids stay what they are: what was there
        before the first and is there after the last is not missing. What is added meanwhile must
        not lie below `high`: `asked` is not made for it.
        """
        number = max(0, bisect_right(self._chunks, low, key=lambda chunk: int(chunk.ids[0])) - 1)
        for chunk in self._chunks[number:]:
            row, rows = chunk.below(low), chunk.below(high)
            if row < rows:
                most = max(1, _STEP // max(1, len(asked.outside)))
                found, row = self._pass(chunk, row, rows, asked, radius_squared, most)
                on = int(chunk.ids[row]) if row < chunk.rows else int(chunk.ids[row - 1]) + 1
                return found[0].copy(), chunk.ids[found[1]], min(on, high)
        return np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int64), high

    def _pairs(
        self, points: Points, radius_squared: float, low: int, high: int
    ) -> Iterator[tuple[int, int, NDArray[np.int32]]]:
        """A chunk's number, that of the first of some points, and pairs of points, counted from
        that one, and rows of the chunk."""
        for start, some in in_portions(points):
            asked = self.ask(some, radius_squared)
            for number, chunk in enumerate(self._chunks):
                row, rows = chunk.below(low) if low else 0, chunk.below(high)
                while row < rows:
                    found, row = self._pass(chunk, row, rows, asked, radius_squared)
                    yield number, start, found

    def _pass(
        self,
        chunk: _Chunk,
        row: int,
        rows: int,
        asked: Asked,
        radius_squared: float,
        most: int = CHUNK,
    ) -> tuple[NDArray[np.int32], int]:
        """Search in these rows, in so many blocks at the most, or fewer when much is found: pairs
        (2, n) of numbers of queries and rows, void after the thread's next pass, and the row to go
        on from."""
        steps, error = self._space.steps, float(self._most[3]) + _ROUNDING
        block = row // LANES
        blocks = min(-(-rows // LANES), block + most)
        found = _own.found
        count, block = kernels.search(
            *(chunk.held, block, blocks, asked, steps, error, radius_squared, found)
        )
        passed = found[:2, :count]
        if row % LANES or (rows != chunk.rows and block * LANES > rows):
            passed = passed[:, (passed[1] >= row) & (passed[1] < rows)]
        return passed, min(rows, block * LANES)

    def ask(self, points: Points, radius_squared: float) -> Asked:
        """What is searched with for these points, among all faces that are there now."""
        steps, scale = self._space.steps, self._space.scale
        coarse_error, norm, word_error, _ = self._most
        places = points.inside - steps / 512
        left = radius_squared - np.maximum(0.0, points.outside - _MOST_OUTSIDE) ** 2
        sure = radius_squared - (points.outside + _MOST_OUTSIDE) ** 2
        reach, sure_reach = np.sqrt(np.maximum(left, 0.0)), np.sqrt(np.maximum(sure, 0.0))
        far_away = np.linalg.norm(places, axis=1) + self._space.reach
        doubt = word_error + _PLACE_ROUNDING * far_away + _SUM_ROUNDING * reach
        far = np.where(left < 0, -1.0, (reach + doubt) ** 2 * (1 + _SUM_ROUNDING))
        near = np.where(sure_reach > doubt, (sure_reach - doubt) ** 2 * (1 - _SUM_ROUNDING), -1.0)

        middle = (points.inside - steps / 2)[:, :LEADING]
        exact = middle * steps[:LEADING] * scale
        weights = np.clip(np.rint(exact), -_MOST_WEIGHT, _MOST_WEIGHT)
        # Rounded, and cut off where they are too large.
        unsure = np.linalg.norm(np.abs(weights - exact) / steps[:LEADING], axis=1) * norm + 2
        outer = (reach + coarse_error + doubt + _ROUNDING) ** 2
        least = np.floor((np.square(middle).sum(axis=1) - outer) / 2 * scale - unsure)
        least[left < 0] = _MOST_THRESHOLD
        units = np.where(least < -_MOST_THRESHOLD, np.inf, 2 / scale * (1 + _SUM_ROUNDING))
        thresholds = np.clip(least, -_MOST_THRESHOLD, _MOST_THRESHOLD).astype(np.int32)
        with np.errstate(over="ignore"):
            return Asked(
                points=points.inside,
                outside=points.outside,
                places=places.astype(np.float32),
                weights=weights.astype(np.int16).reshape(-1, PAIRS, 2),
                thresholds=thresholds,
                units=units.astype(np.float32),
                near=np.minimum(near, _MOST_FLOAT).astype(np.float32),
                far=far.astype(np.float32),
            )

    def _join(self) -> None:
        """Give back what removed faces took: two neighbours whose faces fit into one become one."""
        number = 0
        while number < len(self._chunks) - 1:
            one, other = self._chunks[number : number + 2]
            if one.live + other.live > CHUNK:
                number += 1
                continue
            joined = _Chunk()
            joined.take(one)
            joined.take(other)
            self._chunks[number : number + 2] = [joined]
