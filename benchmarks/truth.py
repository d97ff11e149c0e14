"""Which faces really are within a radius: brute force in float64."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facematch.faces import Encodings, distances

#: An answer may hold faces that are farther by less than this; the worker decides in float64.
MARGIN = 2e-5
#: What is asked for where a radius stands for all.
RADII = (0.5, 0.6)
_PORTION = 50_000
_UNSURE = 1e-12

Rows = NDArray[np.int64]


def brute_force(encodings: Encodings, queries: Encodings, radius: float) -> tuple[Rows, Rows]:
    """All pairs within the radius, and within the margin beyond it, as query * faces + face.

    A product of matrices in float64, and plain differences wherever that might decide otherwise.
    """
    asked = queries.astype(np.float64)
    within: list[Rows] = []
    allowed: list[Rows] = []
    for start in range(0, len(encodings), _PORTION):
        block = encodings[start : start + _PORTION].astype(np.float64)
        squares = np.square(block).sum(axis=1) + np.square(asked).sum(axis=1)[:, None]
        squares -= 2 * asked @ block.T
        for reach, found in ((radius, within), (radius + MARGIN, allowed)):
            rows, columns = np.nonzero(squares <= reach**2 + _UNSURE)
            close = np.abs(squares[rows, columns] - reach**2) <= _UNSURE
            keep = np.ones(len(rows), dtype=np.bool_)
            for place in np.flatnonzero(close):
                pair = queries[rows[place]][None], encodings[start + columns[place]][None]
                keep[place] = distances(*pair)[0, 0] <= reach
            found.append(rows[keep] * len(encodings) + start + columns[keep])
    return np.concatenate(within), np.concatenate(allowed)


@dataclass(frozen=True)
class Score:
    """What became of the faces that answers should hold. Those as near to the radius as the
    margin count neither as wanted nor as wrong: there float32 may decide either way."""

    wanted: int = 0
    found: int = 0
    wrong: int = 0

    @property
    def recall(self) -> float:
        """The share found of those wanted."""
        return self.found / self.wanted if self.wanted else 1.0

    def __add__(self, other: "Score") -> "Score":
        return Score(self.wanted + other.wanted, self.found + other.found, self.wrong + other.wrong)


class Truth:
    """The neighbours of some queries within one radius."""

    def __init__(self, encodings: Encodings, queries: Encodings, radius: float) -> None:
        self.radius = radius
        faces, count = len(encodings), len(queries)
        certain, _ = brute_force(encodings, queries, radius - MARGIN)
        _, allowed = brute_force(encodings, queries, radius)
        self._certain = by_query(certain, count, faces)
        self._allowed = by_query(allowed, count, faces)

    def score(self, number: int, answer: Rows, faces: int) -> Score:
        """What an answer to query `number` is worth, among the first `faces` rows: rows (n,)."""
        certain = self._certain[number]
        certain = certain[certain < faces]
        allowed = self._allowed[number]
        answer = np.unique(answer)
        found = int(np.isin(certain, answer, assume_unique=True).sum())
        wrong = int((~np.isin(answer, allowed[allowed < faces], assume_unique=True)).sum())
        return Score(len(certain), found, wrong)


def by_query(pairs: Rows, queries: int, faces: int) -> list[Rows]:
    """Of pairs as `brute_force` gives them: the faces found, ascending, one array a query."""
    asked, rows = np.divmod(np.sort(pairs), faces)
    return np.split(rows, np.searchsorted(asked, np.arange(1, queries)))
