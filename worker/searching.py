"""A search for the faces of a picture of which nothing is kept: fetch → look → query.

As exact as a match set, by the same means: the index's answer is compared with the log, what it
missed is made up, and every candidate decided in float64. It writes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from facematch.calibration import calibration
from facematch.errors import Conflict, NotFound, Rejected, Unavailable
from facematch.expectation import expected
from facematch.face_pairs import NearImage, Reach, near_images, near_scores
from facematch.faces import Encodings, positions_of
from facematch.match_scores import most_code
from facematch.neighbours import Neighbours, Query
from facematch.searching import Asked, Found, FoundFace, FoundImage, Probe, ProbeFace
from facematch.store import Chances, Collection, Filter, ShownFaces, Store
from facematch.stored_faces import StoredFaces
from worker.fence import Fence
from worker.looking import Crashed, Looked, Looker
from worker.matching import read_on
from worker.rating import stored_faces
from worker.stages import stage

#: Beyond every position.
_EVERYTHING = 2**62
_PORTION = 2000
#: Whoever asks for a distance of 0 gets that; an index wants a radius above it.
_LEAST_RADIUS = 1e-6

_Done = TypeVar("_Done")


@dataclass(frozen=True)
class SearchParts:
    """What a search of a collection works with. `served`: whether this is the edition that is
    served. `fetch`, `looker`: see worker.pipeline.Parts."""

    store: Store
    neighbours: Neighbours
    fetch: Callable[[str], bytes]
    looker: Looker
    served: Callable[[], bool]


def search(probe: Probe, parts: SearchParts) -> Found:
    """Raises what facematch.searching.Searcher does."""
    if not parts.served():
        raise Unavailable("search_unavailable", "another edition of the collection is served")
    asked = probe.asked
    if asked.url:
        with stage("fetch"):
            data = _or_refused(lambda: parts.fetch(asked.url))
    else:
        data = probe.picture
    looked = _or_refused(lambda: parts.looker.look(data))
    if asked.face is not None and asked.face >= len(looked.faces):
        number = len(looked.faces)
        raise NotFound("no_face", f"the picture has {number} face{'s' * (number != 1)}, from 0 on")
    with stage("query"):
        return _found(looked, asked, parts.store, parts.neighbours)


def _or_refused(act: Callable[[], _Done]) -> _Done:
    """What crashed a child may do so to the next: nobody else is asked."""
    try:
        return act()
    except Crashed as error:
        raise Rejected(error.code, str(error)) from error


def _found(looked: Looked, asked: Asked, store: Store, neighbours: Neighbours) -> Found:
    collection = store.collection()
    reach = _reach(collection, asked)
    encodings = np.array([face.encoding for face in looked.faces], dtype=np.float32)
    norms = reach.rated_by.norms(encodings) if reach.rated_by and len(encodings) else None
    numbers = range(len(looked.faces)) if asked.face is None else (asked.face,)
    own = [
        StoredFaces(encodings[[number]], None if norms is None else norms[[number]])
        for number in numbers
    ]
    policy = collection.generations[0]
    found = Found(
        *(looked.width, looked.height, looked.total, len(looked.faces)),
        *(collection.model, policy.threshold, policy.bounds.max_false_matches),
        complete_through=collection.tail.position,
        exact=True,
        faces=(),
    )
    if not own:
        return found
    all_scores, position, exact = _scores(own, reach, store, neighbours)
    faces = []
    for number, its_own, scores in zip(numbers, own, all_scores, strict=True):
        first = sorted(scores, key=lambda at: (scores[at], at))[: asked.limit + 1]
        shown = store.shown_faces(first[: asked.limit])
        stored = {at: faces.stored for at, faces in shown.items()}
        near = near_images(its_own, stored, reach)
        ordered = sorted(near, key=lambda at: (near[at].score, at))
        faces.append(
            ProbeFace(
                number,
                looked.faces[number].box,
                tuple(_image(shown[at], near[at]) for at in ordered),
                more=len(first) > asked.limit,
                expected_false_matches=_expected(collection, its_own, asked),
            )
        )
    return replace(found, complete_through=position, exact=exact, faces=tuple(faces))


def _reach(collection: Collection, asked: Asked) -> Reach:
    policy = collection.generations[0]
    rated = policy.scored and bool(collection.calibration)
    if asked.max_false_matches is not None and not rated:
        raise Conflict("no_rates")
    threshold = policy.threshold
    if asked.max_distance is not None:
        threshold = min(threshold, asked.max_distance)
    codes = (
        policy.codes_to(collection.size),
        int(most_code(asked.max_false_matches, collection.size)),
    )
    return Reach(threshold, min(codes), calibration(collection.calibration) if rated else None)


def _scores(
    own: list[StoredFaces], reach: Reach, store: Store, neighbours: Neighbours
) -> tuple[list[dict[int, float]], int, bool]:
    """Of each face the score by position of an image that matches, the position up to which all
    were compared, and whether the index says that it has missed none."""
    encodings: Encodings = np.concatenate([faces.encodings for faces in own])
    radius = max(reach.threshold, _LEAST_RADIUS)
    answer = neighbours.within(Query(encodings, radius, before=_EVERYTHING))
    seen, entries = read_on(store, answer.tail)
    candidates = set(positions_of(answer.faces))
    candidates.update(entry.position for entry in entries if entry.op == "add")
    candidates.difference_update(entry.target for entry in entries if entry.op == "del")
    ordered, fence = sorted(candidates), Fence(seen)
    scores: list[dict[int, float]] = [{} for _ in own]
    for start in range(0, len(ordered), _PORTION):
        portion = ordered[start : start + _PORTION]
        others, tail = stored_faces(store, portion, reach.rated_by)
        if len(others) < len(portion):
            fence.add(tail)
        for its_scores, faces in zip(scores, own, strict=True):
            its_scores |= near_scores(faces, others, reach)[0]
    return scores, fence.settle(store).position, answer.exact


def _expected(collection: Collection, face: StoredFaces, asked: Asked) -> float | None:
    if face.norms is None:
        return None
    policy = collection.generations[0]
    norms = tuple((float(mean), float(deviation)) for mean, deviation in face.norms)
    chances = Chances(collection.calibration, norms, collection.size, collection.live_faces)
    only = Filter(asked.max_distance, asked.max_false_matches)
    return expected(chances, policy.threshold, policy.bounds.max_false_matches, only)


def _image(shown: ShownFaces, near: NearImage) -> FoundImage:
    faces = tuple(
        FoundFace(pair.other, shown.boxes[pair.other], pair.distance, pair.false_match_rate)
        for pair in near.pairs
    )
    return FoundImage(shown.hash, tuple(shown.names), near.distance, near.false_match_rate, faces)
