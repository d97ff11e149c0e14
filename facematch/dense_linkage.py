"""The same as `facematch.linkage`, to the bit, for large people, in matrices: a thousand faces in a
tenth of a second."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from facematch.corrections import Cluster

_Floats = NDArray[np.float64]


def join_all(
    clusters: Sequence[Cluster], sums: Iterable[Mapping[int, int]], doubt: int, highest: float
) -> list[Cluster]:
    """Join the two clusters with the lowest (sum + doubt) / pairs, up to `highest`, again and
    again, of several those with the lowest numbers; the clusters that are left. `sums`: of each
    cluster by number of the other one, below 0 where they have pairs."""
    return _Dense(clusters, sums, doubt, highest).run()


class _Dense:
    """Above the diagonal, for each cluster: the lowest height with a later one, and which."""

    def __init__(
        self,
        clusters: Sequence[Cluster],
        sums: Iterable[Mapping[int, int]],
        doubt: int,
        highest: float,
    ) -> None:
        count = len(clusters)
        self._clusters = clusters
        self._doubt, self._highest = doubt, highest
        self._sums = np.zeros((count, count), dtype=np.int64)
        for own, its in enumerate(sums):
            self._sums[own, list(its.keys())] = list(its.values())
        self._sizes = np.array([len(cluster.faces) for cluster in clusters], dtype=np.int64)
        self._barred = np.eye(count, dtype=np.bool_)
        bound = [own for own, cluster in enumerate(clusters) if cluster.sides]
        for own in bound:
            for other in bound:
                self._barred[own, other] |= not clusters[own].may_join(clusters[other])
        self._alive = np.ones(count, dtype=np.bool_)
        self._lowest = np.full(count, np.inf)
        self._with = np.zeros(count, dtype=np.int64)

    def run(self) -> list[Cluster]:
        for own in range(len(self._clusters)):
            self._look(own)
        while True:
            own = int(self._lowest.argmin())
            if not self._lowest[own] <= self._highest:
                return [self._clusters[one] for one in np.flatnonzero(self._alive).tolist()]
            self._join(own, int(self._with[own]))

    def _heights(self, own: int) -> _Floats:
        """With all clusters; infinite with those that it may not be joined with."""
        heights: _Floats = (self._sums[own] + self._doubt) / (self._sizes[own] * self._sizes)
        heights[self._barred[own] | ~self._alive] = np.inf
        return heights

    def _look(self, own: int) -> None:
        later = self._heights(own)[own + 1 :]
        if len(later):
            self._with[own] = own + 1 + int(later.argmin())
            self._lowest[own] = later[self._with[own] - own - 1]

    def _join(self, own: int, other: int) -> None:
        self._clusters[own].join(self._clusters[other])
        self._sizes[own] += self._sizes[other]
        self._sums[own] += self._sums[other]
        self._sums[:, own] = self._sums[own]
        self._barred[own] |= self._barred[other]
        self._barred[:, own] = self._barred[own]
        self._alive[other], self._lowest[other] = False, np.inf
        heights = self._heights(own)[:own]
        lower = heights < self._lowest[:own]
        lower |= (heights == self._lowest[:own]) & (own < self._with[:own])
        stale = self._alive & ((self._with == own) | (self._with == other))
        stale[:own] &= ~lower
        self._lowest[:own][lower] = heights[lower]
        self._with[:own][lower] = own
        self._look(own)
        stale[own] = False
        for one in np.flatnonzero(stale & (self._lowest <= self._highest)):
            self._look(int(one))
