"""FAISS: flat, inverted lists and a graph, all with its own range search."""

from pathlib import Path
from typing import Any

import faiss
import numpy as np

from benchmarks.peers.peer import Rows
from facematch.faces import DIMENSIONS, Encodings
from facematch.startup import usable_cores

_SEED = 1


class Flat:
    """IndexFlatL2: every encoding is looked at."""

    def __init__(self, folder: Path) -> None:
        del folder
        self._index: Any = self._empty(0)

    def build(self, encodings: Encodings) -> None:
        """See PeerIndex."""
        faiss.omp_set_num_threads(usable_cores())
        self._index = self._empty(len(encodings))
        self._index.train(encodings)
        self._index.add(encodings)
        faiss.omp_set_num_threads(1)

    def within(self, query: Encodings, radius: float, setting: int) -> Rows:
        """See PeerIndex."""
        self._set(setting)
        rows: Rows = self._index.range_search(query[None], radius**2)[2]
        return rows

    @property
    def bytes(self) -> int | None:
        """See PeerIndex."""
        return None

    def close(self) -> None:
        """See PeerIndex."""

    def _empty(self, faces: int) -> Any:
        del faces
        return faiss.IndexFlatL2(DIMENSIONS)

    def _set(self, setting: int) -> None:
        pass


class Ivf(Flat):
    """IndexIVFFlat, with about four times as many lists as the root of the number of faces, each
    trained with 64."""

    def _empty(self, faces: int) -> Any:
        lists = 2 ** round(np.log2(4 * np.sqrt(max(faces, 1))))
        index: Any = faiss.index_factory(DIMENSIONS, f"IVF{lists},Flat")
        index.cp.seed = _SEED
        index.cp.max_points_per_centroid = 64
        return index

    def _set(self, setting: int) -> None:
        self._index.nprobe = setting


class Hnsw(Flat):
    """IndexHNSWFlat with 32 links and FAISS's own efConstruction of 40."""

    def _empty(self, faces: int) -> Any:
        del faces
        return faiss.IndexHNSWFlat(DIMENSIONS, 32)

    def _set(self, setting: int) -> None:
        self._index.hnsw.efSearch = setting
