"""Faces grouped into people: a function of the faces there are, of how sure each pair of them is,
and of what somebody has said. In which order they came makes no difference.

1. Two faces are *linked* if their pair is within the limit and they share enough of their near
   faces: two pictures of one person mostly do, while a pair of strangers that look alike shares
   nothing but itself. Linked faces, and theirs, make a *component*. (The idea of shared near
   neighbours is of Jarvis and Patrick, 1973; for people: Otto, Wang, Jain, 2018.)
2. In each component clusters are joined by `facematch.linkage`, beginning with what
   `facematch.corrections` says of its faces.

So a change counts for components near it only: `touched` says from which faces on to look, and
`group` gives the groups of all components that these are in. Whatever it gives for all faces, it
gives for those. The benchmark `quality` has how well it does, and beside what.
"""

from collections.abc import Collection, Mapping
from typing import Protocol

from facematch.corrections import Corrections, FaceKey
from facematch.linkage import FALSE_PAIRS, Near, link
from facematch.match_scores import codes_of

#: A collection is taken to have so many faces at least: among few, too, some look alike.
FEWEST_FACES = 1024
#: Of the near faces of two, the geometric mean of their numbers, this part are of both.
_SHARED, _OF = 1, 2

#: Entries of sets of faces that are kept for the next look: each takes some 50 bytes.
_KEPT = 1_000_000


class Graph(Protocol):
    """The faces there are, and how sure pairs of them are."""

    def near(self, faces: Collection[FaceKey]) -> Mapping[FaceKey, Near]:
        """Of each of these faces that is there: the codes of its pairs with faces of other images
        that are there, up to the limit + REACH of facematch.linkage at least. Both faces of a pair
        have it."""


def taken_for(faces: int) -> int:
    """As how many so many faces count: the next power of two from FEWEST_FACES on, so that what
    goes by it seldom changes."""
    return 1 << (max(faces, FEWEST_FACES) - 1).bit_length()


def limit_for(faces: int, false_pairs: float = FALSE_PAIRS) -> int:
    """The code up to which faces may be linked in a collection with so many live ones, by
    `taken_for`. Raises ValueError when `false_pairs` is not above 0."""
    if not false_pairs > 0:
        raise ValueError("so many false pairs: a number above 0")
    return int(codes_of(min(1.0, false_pairs / taken_for(faces))))


def group(
    faces: Collection[FaceKey], graph: Graph, corrections: Corrections, limit: int
) -> list[frozenset[FaceKey]]:
    """The groups of all components with one of these faces, as far as these are there; in the order
    of their first faces."""
    seen = _Seen(graph, limit)
    groups: list[frozenset[FaceKey]] = []
    left = seen.there(faces)
    while left:
        component = _component(left.pop(), seen, corrections)
        left -= component
        near = {face: seen.near[face] for face in component}
        clusters = link(corrections.settle(component), near, limit)
        groups += [frozenset(cluster.faces) for cluster in clusters]
    return sorted(groups, key=min)


def touched(
    faces: Collection[FaceKey], graph: Graph, corrections: Corrections, limit: int
) -> set[FaceKey]:
    """Faces in all components that are other ones, or may be, since something about these has
    changed: they came, or are gone, or were near one that is gone, or something was said of them.
    """
    seen = _Seen(graph, limit)
    found = seen.there(corrections.joined(faces).union(faces))
    for _ in range(2):
        found = seen.there({other for face in found for other in seen.within(face)})
    return found


def _component(face: FaceKey, seen: "_Seen", corrections: Corrections) -> set[FaceKey]:
    found: set[FaceKey] = set()
    edge = {face}
    while edge:
        found |= edge
        edge = seen.linked(edge, found) | (seen.there(corrections.joined(edge)) - found)
    return found


class _Seen:
    """What was asked of the graph by now."""

    def __init__(self, graph: Graph, limit: int) -> None:
        self._graph, self._limit = graph, limit
        self._asked: set[FaceKey] = set()
        self.near: dict[FaceKey, Near] = {}
        self._within: dict[FaceKey, set[FaceKey]] = {}
        self._kept = 0

    def there(self, faces: Collection[FaceKey]) -> set[FaceKey]:
        """Those of them that are there."""
        new = sorted(set(faces) - self._asked)
        if new:
            self._asked.update(new)
            self.near.update(self._graph.near(new))
        return {face for face in faces if face in self.near}

    def within(self, face: FaceKey) -> set[FaceKey]:
        """The face and those within the limit of it."""
        found = self._within.get(face)
        if found is None:
            found = {other for other, code in self.near[face].items() if code <= self._limit}
            found.add(face)
            if self._kept > _KEPT:
                self._within.clear()
                self._kept = 0
            self._within[face] = found
            self._kept += len(found)
        return found

    def linked(self, faces: Collection[FaceKey], known: set[FaceKey]) -> set[FaceKey]:
        """Faces that are linked to these, beside those that are known already."""
        self.there({other for face in faces for other in self.within(face)})
        found: set[FaceKey] = set()
        for face in faces:
            own = self.within(face)
            for other in self.there(own - known - found):
                if _enough(own, self.within(other)):
                    found.add(other)
        return found


def _enough(near: set[FaceKey], other: set[FaceKey]) -> bool:
    return _OF**2 * len(near & other) ** 2 >= _SHARED**2 * len(near) * len(other)
