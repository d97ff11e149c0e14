"""From the index's answer to exact matches: nothing of it is taken on trust.

The answer reflects some place in the log. It is compared with the log as it is now, what was
added since is compared by brute force, what was erased is dropped, and every candidate is
checked again in float64 on the stored encodings. So a match is a function of the two images
alone, whatever the index's lag.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from facematch.errors import Unavailable
from facematch.faces import Encodings, distances, positions_of
from facematch.log import Entry, Tail, follow
from facematch.match_scores import Codes, codes_of
from facematch.neighbours import Neighbours, Query
from facematch.store import Store
from facematch.stored_faces import StoredFaces
from worker.fence import Fence
from worker.rating import Rating, stored_faces

#: Behind the log by more than this, an index catches up sooner than a worker compares.
MAX_BEHIND = 10_000
_PORTION = 2000


@dataclass(frozen=True)
class Found:
    """The matches of an image with those at lower positions, and the log tail they hold for.

    `exact`: none is missing, so far as the index says. `codes`: how sure each is, where there are
    rates; the most certain are the first then.
    """

    pairs: Sequence[tuple[int, float]]
    seen: Tail
    exact: bool = True
    codes: Sequence[int] = ()


def find_matches(
    store: Store,
    neighbours: Neighbours,
    encodings: Encodings,
    position: int,
    threshold: float,
    rating: Rating | None = None,
) -> Found:
    """All live images below `position` with a face within `threshold` of one of `encodings`. With
    a `rating`, of those faces, how sure each match is, and none beyond its highest code.

    Raises Unavailable: index_behind, index_diverged, index_loading, index_unavailable.
    """
    answer = neighbours.within(Query(encodings, threshold, before=position))
    seen, entries = read_on(store, answer.tail)
    if seen.position < position:
        raise Unavailable("index_diverged", "the log no longer reaches the image")
    candidates = set(positions_of(answer.faces))
    candidates.update(entry.position for entry in entries if entry.op == "add")
    candidates.difference_update(entry.target for entry in entries if entry.op == "del")
    earlier = sorted(candidate for candidate in candidates if candidate < position)
    fence = Fence(seen)
    pairs: list[tuple[int, float]] = []
    codes: list[int] = []
    for start in range(0, len(earlier), _PORTION):
        portion = earlier[start : start + _PORTION]
        others, tail = stored_faces(store, portion, rating.calibration if rating else None)
        if len(others) < len(portion):
            fence.add(tail)
        near = _within(encodings, others, threshold)
        pairs += near
        if rating is not None:
            codes += rate(encodings, rating, (others[at] for at, _ in near)).tolist()
    if rating is not None:
        order = [
            at for at in np.argsort(codes, kind="stable").tolist() if codes[at] <= rating.codes_to
        ]
        pairs, codes = [pairs[at] for at in order], [codes[at] for at in order]
    return Found(tuple(pairs), fence.settle(store), answer.exact, tuple(codes))


def read_on(store: Store, tail: Tail) -> tuple[Tail, Sequence[Entry]]:
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
    encodings: Encodings, others: Mapping[int, StoredFaces], threshold: float
) -> list[tuple[int, float]]:
    """The positions with a face within the threshold, and the smallest distance."""
    if not others:
        return []
    stored = [faces.encodings for faces in others.values()]
    smallest = distances(encodings, np.concatenate(stored)).min(axis=0)
    firsts = np.cumsum([0, *map(len, stored)][:-1])
    nearest = np.minimum.reduceat(smallest, firsts)
    return [
        (position, float(distance))
        for position, distance in zip(others, nearest, strict=True)
        if distance <= threshold
    ]


def rate(encodings: Encodings, rating: Rating, others: Iterable[StoredFaces]) -> Codes:
    """How sure it is that one of these faces is one of each of some images': by the lowest rate of
    all their pairs."""
    stored = list(others)
    if not stored:
        return np.empty(0, dtype=np.int64)
    apart = distances(encodings, np.concatenate([faces.encodings for faces in stored]))
    norms = np.concatenate([faces.norms for faces in stored if faces.norms is not None])
    rates = rating.calibration.rates(apart, rating.norms[:, None], norms[None]).min(axis=0)
    firsts = np.cumsum([0, *(len(faces.encodings) for faces in stored)][:-1])
    return codes_of(np.minimum.reduceat(rates, firsts))
