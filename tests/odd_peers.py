"""Peers that do what peers may do: find all, forget, fail to start, raise, crash, hang."""

import os
import time
from pathlib import Path

import numpy as np

from facematch.faces import Encodings, distances


class Complete:
    def __init__(self, folder: Path) -> None:
        (folder / "used").touch()
        self.encodings = np.empty((0, 128), dtype=np.float32)

    def build(self, encodings: Encodings) -> None:
        self.encodings = np.array(encodings)

    def within(self, query: Encodings, radius: float, setting: int) -> np.ndarray:
        return np.flatnonzero(distances(query[None], self.encodings)[0] < radius)

    @property
    def bytes(self) -> int | None:
        return self.encodings.nbytes

    def close(self) -> None:
        pass


class Forgetful(Complete):
    """Finds a share of the neighbours that its setting says, in hundredths."""

    def within(self, query: Encodings, radius: float, setting: int) -> np.ndarray:
        found = super().within(query, radius, setting)
        return found[: len(found) * setting // 100]


class TooGenerous(Complete):
    def within(self, query: Encodings, radius: float, setting: int) -> np.ndarray:
        return super().within(query, radius + 0.05, setting)


class Unable(Complete):
    def __init__(self, folder: Path) -> None:
        raise OSError("no room\nfor it")


class Raising(Complete):
    def within(self, query: Encodings, radius: float, setting: int) -> np.ndarray:
        raise ValueError("not today")


class Crashing(Complete):
    def within(self, query: Encodings, radius: float, setting: int) -> np.ndarray:
        os._exit(3)


class SlowWithMany(Complete):
    def build(self, encodings: Encodings) -> None:
        super().build(encodings)
        if len(encodings) > 500:
            time.sleep(100)
