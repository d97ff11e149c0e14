"""A range of a reindex: all matches of its images with those at lower positions, found and written.

As for a single image (`worker.matching`), nothing of what the index says is taken on trust: every
candidate is decided in float64 on the stored encodings, and whatever was read is as of a place that
fences the writing.
"""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facematch.errors import Unavailable
from facematch.faces import FACES_PER_POSITION, Encodings, pair_distances
from facematch.failpoints import reached
from facematch.job import RangeMessage
from facematch.neighbours import Neighbours, Query
from facematch.reindexing import RANGE_CHUNK, Matched, Range, RangeLink, Reindexing
from facematch.store import Linked, Store
from worker.fence import Fence

#: Encodings that the index is asked about at once: bounds an answer where many faces are alike.
_ENCODINGS_AT_ONCE = 256
_TRIES = 5
_PORTION = 500


@dataclass(frozen=True)
class RangeParts:
    """What a range is worked on with."""

    store: Store
    reindexing: Reindexing
    neighbours: Neighbours


def rebuild(message: RangeMessage, parts: RangeParts) -> Range | None:
    """Bring a range to its end; the range, None when there is nothing to do.

    Raises Unavailable when a part is not there: then it is to be tried again.
    """
    work = parts.reindexing.take(message.reindex, message.first)
    if work is None:
        return None
    for _ in range(_TRIES):
        if _write(work, parts) is not Linked.MOVED:
            return work  # if somebody else is at it and does not finish, the sweeper sees to it
    raise Unavailable("index_diverged", "the log moved under every query")


def _write(work: Range, parts: RangeParts) -> Linked:
    fence = Fence(parts.store.collection().tail)
    token, offset, all_exact = secrets.token_hex(8), 0, True

    def link(pairs: Matched, exact: bool, last: bool) -> Linked:
        seen = fence.settle(parts.store)
        return parts.reindexing.link(
            RangeLink(work.reindex, work.first, seen, token, offset, pairs, last, exact)
        )

    for pairs, exact in _find(work, fence, parts):
        reached("range_found")
        all_exact = all_exact and exact
        for start in range(0, len(pairs), RANGE_CHUNK):
            chunk = pairs.part(start, start + RANGE_CHUNK)
            result = link(chunk, exact, last=False)
            if result is not Linked.WRITTEN:
                return result
            offset += len(chunk)
            reached("mid_range")
    result = link(Matched.of(()), all_exact, last=True)
    reached("range_done")
    return result


def _find(work: Range, fence: Fence, parts: RangeParts) -> Iterator[tuple[Matched, bool]]:
    """All matches of a range, those of some of its images at a time, and whether none is missing.
    The fence holds for what was given so far."""
    for start in range(work.first, work.last + 1, _PORTION):
        positions = range(start, min(start + _PORTION, work.last + 1))
        own, tail = parts.store.faces_as_of(positions)
        fence.add(tail)
        for images in _groups(own):
            yield from _matches(images, work, fence, parts)


def _groups(faces: Mapping[int, Encodings]) -> Iterator[dict[int, Encodings]]:
    """These images, as many at a time as have the faces that the index is asked about at once."""
    group: dict[int, Encodings] = {}
    count = 0
    for position, encodings in sorted(faces.items()):
        if group and count + len(encodings) > _ENCODINGS_AT_ONCE:
            yield group
            group, count = {}, 0
        group[position] = encodings
        count += len(encodings)
    if group:
        yield group


def _matches(
    images: Mapping[int, Encodings], work: Range, fence: Fence, parts: RangeParts
) -> Iterator[tuple[Matched, bool]]:
    encodings = np.concatenate(list(images.values()))
    owners = np.repeat(list(images), [len(faces) for faces in images.values()])
    answer = parts.neighbours.pairs(Query(encodings, work.threshold, before=work.last + 1))
    if answer.tail.position < work.last:
        raise Unavailable("index_behind", "it does not have all images of the range yet")
    fence.add(answer.tail)
    others = answer.faces // FACES_PER_POSITION
    # Each pair of images once: as one of the higher position.
    lower = others < owners[answer.numbers]
    candidates = np.unique(others[lower] * len(encodings) + answer.numbers[lower])
    others, numbers = np.divmod(candidates, len(encodings))
    positions, starts = np.unique(others, return_index=True)
    ends = np.append(starts, len(others))
    for start in range(0, len(positions), _PORTION):
        portion = positions[start : start + _PORTION]
        stored, tail = parts.store.faces_as_of(portion.tolist())
        if len(stored) < len(portion):
            fence.add(tail)
        if stored:
            some = slice(ends[start], ends[start + len(portion)])
            faces = _Faces.of(stored)
            pairs = _decide(encodings, owners, numbers[some], others[some], faces, work.threshold)
            yield pairs, answer.exact


@dataclass(frozen=True, eq=False)
class _Faces:
    """Faces of several images: encodings (n, 128), those of an image behind each other, and of each
    image its position, ascending, how many it has, and where they begin."""

    encodings: Encodings
    positions: NDArray[np.int64]
    counts: NDArray[np.int64]
    firsts: NDArray[np.int64]

    @classmethod
    def of(cls, stored: Mapping[int, Encodings]) -> "_Faces":
        positions = np.fromiter(stored, dtype=np.int64, count=len(stored))
        counts = np.fromiter(map(len, stored.values()), dtype=np.int64, count=len(stored))
        return cls(
            np.concatenate(list(stored.values())), positions, counts, np.cumsum(counts) - counts
        )


def _decide(
    encodings: Encodings,
    owners: NDArray[np.int64],
    numbers: NDArray[np.int64],
    others: NDArray[np.int64],
    faces: _Faces,
    threshold: float,
) -> Matched:
    """Which of the candidates are matches: rows `numbers` (m,) of the encodings (n, 128), which
    are of the images at `owners` (n,), with the images at `others` (m,). Of those that are not
    among the faces, because they were erased meanwhile, none is."""
    places = np.searchsorted(faces.positions, others).clip(max=len(faces.positions) - 1)
    there = faces.positions[places] == others
    numbers, places = numbers[there], places[there]
    # With every face of the other image, whichever the index meant.
    repeats = faces.counts[places]
    rows = np.repeat(faces.firsts[places] - (np.cumsum(repeats) - repeats), repeats)
    rows += np.arange(len(rows))
    numbers, places = np.repeat(numbers, repeats), np.repeat(places, repeats)
    apart = pair_distances(encodings[numbers], faces.encodings[rows])
    near = apart <= threshold
    own, other, apart = owners[numbers[near]], faces.positions[places[near]], apart[near]
    order = np.lexsort((apart, other, own))
    own, other, apart = own[order], other[order], apart[order]
    nearest = np.ones(len(own), dtype=np.bool_)
    nearest[1:] = (own[1:] != own[:-1]) | (other[1:] != other[:-1])
    return Matched(own[nearest], other[nearest], apart[nearest])
