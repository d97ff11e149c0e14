"""The index in a vector database: see `facematch.generations`. Used by workers to query.

What it answers is right for one place in the log although the database has no transactions and
somebody writes meanwhile. Faces: those that a place claims are there before the place is, so a
place read before the search is one for which none is missing. Deletions: one is done only after a
place has claimed it, so all that the search may have seen are claimed by the places read after it.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from facematch.errors import Unavailable
from facematch.faces import FACES_PER_POSITION, Encodings, FaceIds
from facematch.generations import Generations, Place, current
from facematch.log import Tail
from facematch.neighbours import Candidates, Pairs, Query
from facematch.wire import Gathering

#: The most neighbours that Milvus tells of in one answer.
MOST = 16_384
_FIRST = 256
_GROWTH = 4
_TRIES = 5
#: Between tries, a little more each time: how long a deletion may take.
_PAUSE = 0.02
#: A worker would compare so many images, too, to make up for an index that is behind.
_MOST_UNSEEN = 10_000
# FAISS, inside Milvus, multiplies matrices for more, and rounds more than the margins are for.
_QUERIES_AT_ONCE = 16
# Leaves room for the roundings of float32 in a sum of 128 squares of differences, and a little for
# encodings that are kept with fewer digits than they came with.
_RELATIVE_MARGIN = 2.0**-14
_ABSOLUTE_MARGIN = 2.0**-20
_FARTHEST = 1e18

_Found = TypeVar("_Found")


@dataclass(frozen=True, eq=False)
class _Settled:
    """What the result of a search holds for: a place in the log, once the images at the positions
    `between` (n,) are candidates as well, which the search may not have seen."""

    tail: Tail
    between: NDArray[np.int64]


class GenerationSearch:
    """See facematch.neighbours.Neighbours. Safe to share between threads."""

    def __init__(self, generations: Generations, most: int = MOST) -> None:
        """`most`: the most faces to ask for at once, at least those of one image."""
        self._generations = generations
        self._most = max(most, FACES_PER_POSITION + 1)

    def within(self, query: Query) -> Candidates:
        """See Neighbours. Also raises Unavailable("index_behind") when what its places say does
        not go together, as after a failover."""

        def search(used: Place) -> FaceIds:
            found = [ids for _, ids in self._search(used, query)]
            return np.unique(np.concatenate([np.empty(0, dtype=np.int64), *found]))

        found, settled = self._settle(search)
        between = settled.between[settled.between < query.before]
        return Candidates(np.union1d(found, between * FACES_PER_POSITION), settled.tail)

    def pairs(self, query: Query) -> Pairs:
        """See Neighbours and `within`."""

        def search(used: Place) -> Gathering:
            gathering = Gathering()
            for number, ids in self._search(used, query):
                gathering.add(np.full(len(ids), number), ids)
            return gathering

        found, settled = self._settle(search)
        between = settled.between[settled.between < query.before]
        for number in range(len(query.encodings)):
            found.add(np.full(len(between), number), between * FACES_PER_POSITION)
        return found.pairs(settled.tail)

    def check(self) -> None:
        """See Neighbours."""
        self._newest()

    def close(self) -> None:
        """See Neighbours."""
        self._generations.close()

    def _places(self) -> list[Place]:
        return current(self._generations.places())

    def _newest(self) -> Place:
        places = self._places()
        if not places:
            raise Unavailable("index_loading", "no generation of faces is loaded yet")
        return places[-1]

    def _settle(self, search: Callable[[Place], _Found]) -> tuple[_Found, _Settled]:
        """What is found from the place it is given, and what it holds for."""
        answer: tuple[_Found, _Settled] | None = None
        for again in range(_TRIES):
            time.sleep(again * _PAUSE)
            used = self._newest()
            try:
                found = search(used)
            except Unavailable:
                if self._newest().generation == used.generation:
                    raise
                continue
            after = self._places()
            settled = _settled(used, after)
            if settled is not None:
                answer = found, settled
            said = {tail for place in (used, *after) for tail in (place.erased, place.done)}
            if answer is not None and len(said) == 1:
                return answer
        # Right as it is; what is being deleted may be in it.
        if answer is None:
            raise Unavailable("index_behind", "its places contradict each other")
        return answer

    def _search(self, used: Place, query: Query) -> Iterator[tuple[int, FaceIds]]:
        """Numbers of encodings and ids that are near them, each pair once."""
        high = min(int(query.before), used.tail.position + 1)
        encodings = np.asarray(query.encodings, dtype=np.float32)
        largest = float(np.square(encodings, dtype=np.float64).sum(axis=1).max())
        radius = min(float(query.radius), _FARTHEST) ** 2
        squared = radius * (1 + _RELATIVE_MARGIN) + largest * _ABSOLUTE_MARGIN
        numbers = np.arange(len(encodings))
        for start in range(0, len(encodings), _QUERIES_AT_ONCE):
            some = numbers[start : start + _QUERIES_AT_ONCE]
            yield from self._all_within(used.generation, encodings, some, squared, high)

    def _all_within(
        self,
        generation: str,
        encodings: Encodings,
        numbers: NDArray[np.int64],
        squared: float,
        high: int,
    ) -> Iterator[tuple[int, FaceIds]]:
        """Ask for more where there may be more, and beyond `most` by halves of the positions."""
        open_ = [(numbers, 0, high, min(_FIRST, self._most))]
        while open_:
            asked, low, high, limit = open_.pop()
            if low >= high:
                continue
            answers = self._generations.search(
                generation, encodings[asked], squared, low, high, limit
            )
            full = np.array([len(ids) >= limit for ids in answers])
            for number, ids, more in zip(asked.tolist(), answers, full, strict=True):
                if not more:
                    yield number, np.unique(ids)
            if not full.any():
                continue
            asked = asked[full]
            if limit < self._most:
                open_.append((asked, low, high, min(limit * _GROWTH, self._most)))
            elif high - low > 1:
                middle = (low + high) // 2
                open_ += [(asked, low, middle, limit), (asked, middle, high, limit)]
            else:
                raise Unavailable("index_unavailable", f"too many faces at position {low}")


def _settled(used: Place, after: Sequence[Place]) -> _Settled | None:
    """What is found from the place read before the search holds for, by those read after it; None
    when they do not tell which deletions the search may have seen."""
    if not after or after[-1].generation != used.generation:
        return None
    if all(place.erased == used.erased for place in after):
        return _Settled(used.tail, np.empty(0, dtype=np.int64))
    last = after[-1].tail
    history = {last}
    for place in reversed(after):
        if place.tail in history:
            history.add(place.since)
    unseen = last.position - used.tail.position
    # Former places are forgotten only as parts of the history of one that is left; so if those
    # left are of one history, that is the history of the place used, too.
    if any(place.tail not in history for place in after) or not 0 <= unseen <= _MOST_UNSEEN:
        return None
    # It holds for the later place once everything between the two is a candidate.
    between = np.arange(used.tail.position + 1, last.position + 1, dtype=np.int64)
    return _Settled(last, between)
