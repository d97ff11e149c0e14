"""Joins clusters of faces, the surest first, until none are sure enough: average linkage on the
codes of pairs, with a grain of doubt. Used by `facematch.grouping`.

Nothing but the pairs, the faces and what is said of them goes into it, and all sums are of whole
numbers: so it ends the same whatever the order in which any of it is given.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from facematch.corrections import Cluster, FaceKey

#: False pairs a face that are to be expected within the limit, at most, and half that at least.
FALSE_PAIRS = 0.1
#: Beyond the limit a pair may be by so much, in thousandths of a decade, and count; farther ones,
#: which are not looked for, count as if they were as far.
REACH = 1500
#: So many clusters are joined in matrices: fewer are sooner done one by one, of more these would be
#: too large.
_FEWEST_DENSE, _MOST_DENSE = 64, 4096
#: On average over all their pairs, large clusters may be beyond the limit by so much. A single
#: pair may not be at all: as if one pair more, of this much, were among them.
DOUBT = 1000


class Near(Protocol):
    """The pairs of a face. A dict is one."""

    def items(self) -> Iterable[tuple[FaceKey, int]]:
        """The other face of each, and its code."""


def link(clusters: Sequence[Cluster], near: Mapping[FaceKey, Near], limit: int) -> list[Cluster]:
    """The clusters that are left. `near`: of each face the codes of its pairs, up to limit + REACH;
    a pair with a face that is in no cluster counts for nothing.

    Two clusters with n pairs of faces are joined if (Σ code + DOUBT) / n ≤ limit + DOUBT, those
    with the lowest first.
    """
    ordered = sorted(clusters, key=lambda cluster: cluster.key)
    sums = _sums(ordered, near, limit + REACH)
    if _FEWEST_DENSE <= len(ordered) <= _MOST_DENSE:
        from facematch.dense_linkage import join_all

        return join_all(ordered, sums, DOUBT, DOUBT - REACH)
    return _Linkage(ordered, list(sums)).run()


def _sums(
    clusters: Sequence[Cluster], near: Mapping[FaceKey, Near], missing: int
) -> Iterator[dict[int, int]]:
    """Of each cluster, by number of each other one that it has pairs with, the sum of their codes.
    These are counted from that of a pair that is missing: so only pairs that are there are summed.
    """
    number_of = {face: number for number, one in enumerate(clusters) for face in one.faces}
    for own, cluster in enumerate(clusters):
        sums: dict[int, int] = {}
        for face in cluster.faces:
            for other_face, code in near[face].items() if face in near else ():
                other = number_of.get(other_face, own)
                if other != own:
                    sums[other] = sums.get(other, 0) + min(code - missing, 0)
        yield sums


class _Linkage:
    """A height is a quotient of whole numbers, rounded in one way only."""

    def __init__(self, clusters: Sequence[Cluster], sums: list[dict[int, int]]) -> None:
        # Cluster n is the one with the n-th key, and keeps that number when it takes in others
        # of higher ones: so numbers order clusters as their keys do.
        self._clusters = clusters
        # Of pairs that came or went while all were read, one of the two may not know.
        for own, its in enumerate(sums):
            for other in [other for other in its if own not in sums[other]]:
                del its[other]
        self._sums = sums
        self._joined = [0] * len(self._clusters)
        self._heap: list[tuple[float, int, int, int, int]] = []

    def run(self) -> list[Cluster]:
        for own, sums in enumerate(self._sums):
            for other in sums:
                if own < other:
                    self._consider(own, other)
        while self._heap:
            _, own, other, *joined = heapq.heappop(self._heap)
            if [self._joined[own], self._joined[other]] == joined:
                self._join(own, other)
        return [
            one for one, joined in zip(self._clusters, self._joined, strict=True) if joined >= 0
        ]

    def _consider(self, own: int, other: int) -> None:
        one, two = self._clusters[own], self._clusters[other]
        height = (self._sums[own][other] + DOUBT) / (len(one.faces) * len(two.faces))
        if height <= DOUBT - REACH and one.may_join(two):
            entry = (height, own, other, self._joined[own], self._joined[other])
            heapq.heappush(self._heap, entry)

    def _join(self, own: int, other: int) -> None:
        self._clusters[own].join(self._clusters[other])
        self._joined[own] += 1
        self._joined[other] = -1
        mine, its = self._sums[own], self._sums[other]
        self._sums[other] = {}
        del mine[other], its[own]
        for third, total in its.items():
            theirs = self._sums[third]
            del theirs[other]
            mine[third] = theirs[own] = mine.get(third, 0) + total
        for third in mine:
            self._consider(*sorted((own, third)))
