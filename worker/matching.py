"""From the index's answer to exact matches: nothing of it is taken on trust.

The answer reflects some place in the log. It is compared with the log as it is now, what was
added since is compared by brute force, what was erased is dropped, and every candidate is
checked again in float64 on the stored encodings. So a match is a function of the two images
alone, whatever the index's lag.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from facematch.errors import Unavailable
from facematch.faces import Encodings, distances, positions_of
from facematch.log import Entry, Tail, follow
from facematch.neighbours import Neighbours, Query
from facematch.store import Store
from worker.fence import Fence

#: Behind the log by more than this, an index catches up sooner than a worker compares.
MAX_BEHIND = 10_000
_PORTION = 2000


@dataclass(frozen=True)
class Found:
    """The matches of an image with those at lower positions, and the log tail they hold for.

    `exact`: none is missing, so far as the index says.
    """

    pairs: Sequence[tuple[int, float]]
    seen: Tail
    exact: bool = True


def find_matches(
    store: Store, neighbours: Neighbours, encodings: Encodings, position: int, threshold: float
) -> Found:
    """All live images below `position` with a face within `threshold` of one of `encodings`.

    Raises Unavailable: index_behind, index_diverged, index_loading, index_unavailable.
    """
    answer = neighbours.within(Query(encodings, threshold, before=position))
    seen, entries = _read_on(store, answer.tail)
    if seen.position < position:
        raise Unavailable("index_diverged", "the log no longer reaches the image")
    candidates = set(positions_of(answer.faces))
    candidates.update(entry.position for entry in entries if entry.op == "add")
    candidates.difference_update(entry.target for entry in entries if entry.op == "del")
    earlier = sorted(candidate for candidate in candidates if candidate < position)
    fence = Fence(seen)
    pairs = tuple(_within(store, encodings, earlier, threshold, fence))
    return Found(pairs, fence.settle(store), answer.exact)


def _read_on(store: Store, tail: Tail) -> tuple[Tail, Sequence[Entry]]:
    """The log's end, and what it has behind the place that an index reflects.

    Raises Unavailable: index_behind, index_diverged when it is no place of this log.
    """
    log = store.log(tail.position, MAX_BEHIND)
    if log.start is None and tail.position <= log.tail.position:
        raise Unavailable("index_behind", "the log was trimmed past the index's position")
    if log.start != tail:
        raise Unavailable("index_diverged")
    seen = follow(tail, log.entries)
    if seen != log.tail:
        raise Unavailable("index_behind", f"by {log.tail.position - tail.position} entries")
    return seen, log.entries


def _within(
    store: Store, encodings: Encodings, positions: Sequence[int], threshold: float, fence: Fence
) -> Iterator[tuple[int, float]]:
    """The positions with a face within the threshold, and the smallest distance."""
    for start in range(0, len(positions), _PORTION):
        portion = positions[start : start + _PORTION]
        others, tail = store.faces_as_of(portion)
        if len(others) < len(portion):
            fence.add(tail)
        if not others:
            continue
        stored = [faces.encodings for faces in others.values()]
        smallest = distances(encodings, np.concatenate(stored)).min(axis=0)
        firsts = np.cumsum([0, *map(len, stored)][:-1])
        nearest = np.minimum.reduceat(smallest, firsts)
        for position, distance in zip(others, nearest, strict=True):
            if distance <= threshold:
                yield position, float(distance)
