"""Generations in memory: the contract of `facematch.generations` in plain Python, for tests."""

import secrets
import threading
from collections.abc import Iterator, Sequence

import numpy as np

from facematch.errors import Unavailable
from facematch.faces import FACES_PER_POSITION, Encodings, FaceIds, distances
from facematch.generations import Place

_PORTION = 1000


class MemoryGenerations:
    """See facematch.generations.Generations. One lock: each call is one step."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._places: dict[str, Place] = {}
        self._faces: dict[str, dict[tuple[int, str], Encodings]] = {}

    def places(self) -> list[Place]:
        """See Generations."""
        with self._lock:
            return list(self._places.values())

    def add_place(self, place: Place) -> None:
        """See Generations."""
        with self._lock:
            self._places[place.encode()] = place

    def forget(self, places: Sequence[Place]) -> None:
        """See Generations."""
        with self._lock:
            for place in places:
                self._places.pop(place.encode(), None)

    def names(self) -> list[str]:
        """See Generations."""
        with self._lock:
            return list(self._faces)

    def create(self, epoch: str) -> str:
        """See Generations."""
        with self._lock:
            name = f"{epoch[:8]}_{secrets.token_hex(4)}"
            self._faces[name] = {}
            return name

    def drop(self, generation: str) -> None:
        """See Generations."""
        with self._lock:
            self._faces.pop(generation, None)

    def add(
        self, generation: str, ids: FaceIds, encodings: Encodings, histories: Sequence[str]
    ) -> None:
        """See Generations."""
        with self._lock:
            keys = zip(ids.tolist(), histories, strict=True)
            self._of(generation).update(zip(keys, encodings, strict=True))

    def remove(self, generation: str, positions: Sequence[int]) -> None:
        """See Generations."""
        with self._lock:
            faces, gone = self._of(generation), set(positions)
            for key in [key for key in faces if key[0] // FACES_PER_POSITION in gone]:
                del faces[key]

    def search(
        self, generation: str, encodings: Encodings, squared: float, low: int, high: int, limit: int
    ) -> list[FaceIds]:
        """See Generations."""
        with self._lock:
            faces = {
                key: encoding
                for key, encoding in self._of(generation).items()
                if low <= key[0] // FACES_PER_POSITION < high
            }
            if not faces:
                return [np.empty(0, dtype=np.int64) for _ in encodings]
            ids = np.fromiter((key[0] for key in faces), dtype=np.int64, count=len(faces))
            apart = distances(encodings, np.stack(list(faces.values()))) ** 2
            return [ids[np.flatnonzero(row < squared)][:limit] for row in apart]

    def held(self, generation: str) -> Iterator[FaceIds]:
        """See Generations."""
        with self._lock:
            ids = np.array([key[0] for key in self._of(generation)], dtype=np.int64)
        for start in range(0, len(ids), _PORTION):
            yield ids[start : start + _PORTION]

    def count(self, generation: str) -> int:
        """See Generations."""
        with self._lock:
            return len(self._of(generation))

    def close(self) -> None:
        """See Generations; nothing is connected."""

    def _of(self, generation: str) -> dict[tuple[int, str], Encodings]:
        faces = self._faces.get(generation)
        if faces is None:
            raise Unavailable("index_unavailable", f"no generation {generation}")
        return faces
