"""hnswlib and usearch: graphs that give the nearest few, and usearch's exact search."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.peer import Rows, driver, growing
from facematch.faces import DIMENSIONS, Encodings
from facematch.startup import usable_cores

_LINKS = 16
_FIRST = 64
#: An exact search reads everything again each time it is asked for more.
_FIRST_EXACT = 1024


class Hnswlib:
    """hnswlib with 16 links and an ef of 100 while building. Setting: ef, in times the number of
    neighbours that is asked for."""

    def __init__(self, folder: Path) -> None:
        del folder
        self._index: Any = driver("hnswlib").Index(space="l2", dim=DIMENSIONS)
        self._faces = 0

    def build(self, encodings: Encodings) -> None:
        """See PeerIndex."""
        self._faces = len(encodings)
        self._index.init_index(max_elements=self._faces, ef_construction=100, M=_LINKS)
        self._index.add_items(encodings, np.arange(self._faces), num_threads=usable_cores())

    def within(self, query: Encodings, radius: float, setting: int) -> Rows:
        """See PeerIndex."""

        def nearest(count: int) -> tuple[NDArray[Any], NDArray[Any]]:
            self._index.set_ef(min(setting * count, self._faces))
            rows, squares = self._index.knn_query(query[None], k=count, num_threads=1)
            return rows[0], squares[0]

        return growing(nearest, radius, _FIRST, self._faces)

    @property
    def bytes(self) -> int | None:
        """See PeerIndex."""
        return None

    def close(self) -> None:
        """See PeerIndex."""


class Usearch:
    """usearch's index with its own defaults (16 links, expansion of 128 while building).
    Setting: the expansion, in times the number of neighbours that is asked for."""

    def __init__(self, folder: Path) -> None:
        del folder
        index = driver("usearch.index").Index
        self._index: Any = index(ndim=DIMENSIONS, metric="l2sq", dtype="f32")
        self._faces = 0

    def build(self, encodings: Encodings) -> None:
        """See PeerIndex."""
        self._faces = len(encodings)
        self._index.add(np.arange(self._faces), encodings, threads=usable_cores())

    def within(self, query: Encodings, radius: float, setting: int) -> Rows:
        """See PeerIndex."""

        def nearest(count: int) -> tuple[NDArray[Any], NDArray[Any]]:
            self._index.expansion_search = min(setting * count, self._faces)
            # It has an argument for the radius, which it does not use.
            found = self._index.search(query, count, threads=1)
            return found.keys, found.distances

        return growing(nearest, radius, _FIRST, self._faces)

    @property
    def bytes(self) -> int | None:
        """See PeerIndex."""
        return int(self._index.memory_usage)

    def close(self) -> None:
        """See PeerIndex."""


class UsearchExact:
    """usearch's search of a plain array."""

    def __init__(self, folder: Path) -> None:
        del folder
        self._usearch = driver("usearch.index")
        self._encodings = np.empty((0, DIMENSIONS), dtype=np.float32)

    def build(self, encodings: Encodings) -> None:
        """See PeerIndex."""
        self._encodings = np.array(encodings)

    def within(self, query: Encodings, radius: float, setting: int) -> Rows:
        """See PeerIndex."""
        del setting
        metric = self._usearch.MetricKind.L2sq

        def nearest(count: int) -> tuple[NDArray[Any], NDArray[Any]]:
            found = self._usearch.search(
                self._encodings, query, count, metric, exact=True, threads=1
            )
            return found.keys, found.distances

        return growing(nearest, radius, _FIRST_EXACT, len(self._encodings))

    @property
    def bytes(self) -> int | None:
        """See PeerIndex."""
        return None

    def close(self) -> None:
        """See PeerIndex."""
