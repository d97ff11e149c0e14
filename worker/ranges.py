"""A range of a reindex: all matches of its images with those at lower positions, found and written.

As for a single image (`worker.matching`), nothing of what the index says is taken on trust: every
candidate is decided in float64 on the stored encodings, and whatever was read is as of a place that
fences the writing.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from facematch.collection_name import DEFAULT
from facematch.errors import Rejected, Unavailable
from facematch.faces import FACES_PER_POSITION
from facematch.failpoints import reached
from facematch.job import RangeMessage
from facematch.match_scores import most_code
from facematch.neighbours import Neighbours, Query
from facematch.reindexing import RANGE_CHUNK, Matched, Range, RangeLink, Reindexing
from facematch.store import Linked, Store
from facematch.stored_faces import StoredFaces
from worker.deciding import Faces, Policy, decide
from worker.fence import Fence
from worker.matching import find_matches
from worker.rating import Rating, calibration_for, stored_faces

#: Encodings that the index is asked about at once: bounds an answer where many faces are alike.
_ENCODINGS_AT_ONCE = 256
_TRIES = 5
_PORTION = 500


@dataclass(frozen=True)
class RangeParts:
    """What a range of a collection is worked on with. `give_way`: called before each piece of work
    that jobs would have to wait for."""

    store: Store
    reindexing: Reindexing
    neighbours: Neighbours
    give_way: Callable[[], object] = lambda: None
    collection: str = DEFAULT


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
    collection = parts.store.collection()
    fence = Fence(collection.tail)
    rated_by = calibration_for(collection) if work.scored else None
    policy = Policy(work.threshold, rated_by, work.max_false_matches)
    token, offset, all_exact = secrets.token_hex(8), 0, True

    def link(pairs: Matched, exact: bool, last: bool) -> Linked:
        parts.give_way()
        seen = fence.settle(parts.store)
        return parts.reindexing.link(
            RangeLink(
                *(work.reindex, work.first, seen, token, offset, pairs, last, exact),
                calibration=rated_by.name if rated_by else "",
            )
        )

    for pairs, exact in _find(work, policy, fence, parts):
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


def _find(
    work: Range, policy: Policy, fence: Fence, parts: RangeParts
) -> Iterator[tuple[Matched, bool]]:
    """All matches of a range, those of some of its images at a time, and whether none is missing.
    The fence holds for what was given so far."""
    for start in range(work.first, work.last + 1, _PORTION):
        positions = range(start, min(start + _PORTION, work.last + 1))
        own, tail = stored_faces(parts.store, positions, policy.rated_by)
        fence.add(tail)
        for images in _groups(own):
            yield from _matches(images, work, policy, fence, parts)


def _groups(stored: Mapping[int, StoredFaces]) -> Iterator[dict[int, StoredFaces]]:
    """These images, as many at a time as have the faces that the index is asked about at once."""
    group: dict[int, StoredFaces] = {}
    count = 0
    for position, faces in sorted(stored.items()):
        if group and count + len(faces.encodings) > _ENCODINGS_AT_ONCE:
            yield group
            group, count = {}, 0
        group[position] = faces
        count += len(faces.encodings)
    if group:
        yield group


def _matches(
    images: Mapping[int, StoredFaces], work: Range, policy: Policy, fence: Fence, parts: RangeParts
) -> Iterator[tuple[Matched, bool]]:
    own = Faces.of(images)
    parts.reindexing.hold(work.reindex, work.first)
    parts.give_way()
    try:
        query = Query(own.encodings, work.threshold, before=work.last + 1)
        answer = parts.neighbours.pairs(query)
    except Rejected:  # the answer would be too large
        yield from _bit_by_bit(images, work, policy, fence, parts)
        return
    if answer.tail.position < work.last:
        raise Unavailable("index_behind", "it does not have all images of the range yet")
    fence.add(answer.tail)
    rows = np.repeat(np.arange(len(images)), own.counts)[answer.numbers]
    others = answer.faces // FACES_PER_POSITION
    # Each pair of images once: as one of the higher position.
    lower = others < own.positions[rows]
    candidates = np.unique(others[lower] * len(images) + rows[lower])
    others, rows = np.divmod(candidates, len(images))
    positions, starts = np.unique(others, return_index=True)
    ends = np.append(starts, len(others))
    for start in range(0, len(positions), _PORTION):
        portion = positions[start : start + _PORTION]
        stored, tail = stored_faces(parts.store, portion.tolist(), policy.rated_by)
        if len(stored) < len(portion):
            fence.add(tail)
        if stored:
            some = slice(ends[start], ends[start + len(portion)])
            yield decide(own, rows[some], Faces.of(stored), others[some], policy), answer.exact


def _bit_by_bit(
    images: Mapping[int, StoredFaces], work: Range, policy: Policy, fence: Fence, parts: RangeParts
) -> Iterator[tuple[Matched, bool]]:
    """The same for images that have more near faces together than go into one answer."""
    if len(images) > 1:
        positions = list(images)
        middle = len(positions) // 2
        for half in (positions[:middle], positions[middle:]):
            yield from _matches({at: images[at] for at in half}, work, policy, fence, parts)
        return
    for position, faces in images.items():
        rating = None
        if policy.rated_by is not None and faces.norms is not None:
            codes_to = int(most_code(policy.max_false_matches, faces.size))
            rating = Rating(policy.rated_by, faces.norms, codes_to)
        found = find_matches(
            *(parts.store, parts.neighbours, faces.encodings),
            *(position, policy.threshold, rating),
        )
        fence.add(found.seen)
        pairs = [(position, *pair) for pair in found.pairs]
        yield Matched.of(pairs, found.codes), found.exact
