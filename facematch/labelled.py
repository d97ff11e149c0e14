"""What thresholds and false match rates do to faces of whom it is known whose they are.

Every pair of faces is counted, by its distance and by its false match rate: a pair of one person
that is within a setting is *found*, one of two people is *false*. Used by `facematch quality`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facematch.calibration import LOWEST_RATE, Calibration
from facematch.faces import Encodings, distances

_BLOCK = 256
#: Distances are counted in thousandths, rates in thousandths of a power of ten.
_FINE = 1000
_FARTHEST = 2 * _FINE + 1
_CODES = round(-np.log10(LOWEST_RATE)) * _FINE
#: Of so many false pairs seen, their rate is known to about a third; of fewer it is not told.
ENOUGH = 10

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pairs:
    """How many pairs there are, within each distance, and, of those within `threshold`, up to each
    rate: `by_distance` (2001,) and `by_code` (16001,), both rising."""

    count: int
    by_distance: Counts
    by_code: Counts

    def within(self, threshold: float) -> int:
        """Those with at most this distance."""
        place = int(np.floor(threshold * _FINE + 1e-9))
        return int(self.by_distance[min(max(place, 0), _FARTHEST - 1)])

    def up_to(self, rate: float) -> int:
        """Those with at most this false match rate that are within the threshold."""
        if rate < LOWEST_RATE:
            return 0
        place = int(np.floor((np.log10(min(rate, 1.0)) - np.log10(LOWEST_RATE)) * _FINE + 1e-9))
        return int(self.by_code[place])

    def part(self, pairs: int) -> float:
        """So many of them, of all."""
        return pairs / self.count if self.count else 0.0


@dataclass(frozen=True, eq=False)
class Labelled:
    """Pairs of one person, and of two people. `threshold`: what a match set is bounded by, too."""

    same: Pairs
    different: Pairs
    threshold: float


def judge(
    encodings: Encodings, people: NDArray[np.int64], own: Calibration, threshold: float
) -> Labelled:
    """Count all pairs of the faces (n, 128) of `people` (n,)."""
    norms, every = own.norms(encodings), np.arange(len(people))
    same = _Counting()
    different = _Counting()
    for start in range(0, len(people), _BLOCK):
        rows = slice(start, start + _BLOCK)
        apart = distances(encodings[rows], encodings[start:])
        rates = own.rates(apart, norms[rows, None], norms[None, start:])
        later = every[start:] > every[rows, None]
        one = people[rows, None] == people[start:]
        for counting, chosen in ((same, later & one), (different, later & ~one)):
            counting.add(apart[chosen], rates[chosen], threshold)
    return Labelled(same.pairs(), different.pairs(), threshold)


class _Counting:
    def __init__(self) -> None:
        self._count = 0
        self._distances = np.zeros(_FARTHEST, dtype=np.int64)
        self._codes = np.zeros(_CODES + 1, dtype=np.int64)

    def add(self, apart: NDArray[np.float64], rates: NDArray[np.float64], threshold: float) -> None:
        self._count += len(apart)
        # Rounded up, so that what is counted below a step is below it.
        steps = np.minimum(np.ceil(apart * _FINE - 1e-9), _FARTHEST - 1).astype(np.int64)
        self._distances += np.bincount(steps, minlength=_FARTHEST)
        near = rates[apart <= threshold]
        logs = np.log10(near) - np.log10(LOWEST_RATE)
        codes = np.clip(np.ceil(logs * _FINE - 1e-9), 0, _CODES).astype(np.int64)
        self._codes += np.bincount(codes, minlength=_CODES + 1)

    def pairs(self) -> Pairs:
        return Pairs(self._count, self._distances.cumsum(), self._codes.cumsum())


@dataclass(frozen=True)
class Setting:
    """A bound of match sets, and what it does: `found` of the pairs of one person, and `false` of
    those of two, None where too few of them were seen. `max_false_matches` is None for a threshold
    alone, and else holds for `size` faces; `rate` is what it comes to."""

    threshold: float
    max_false_matches: float | None
    size: int
    rate: float | None
    found: float
    false: float | None

    @property
    def false_matches(self) -> float | None:
        """Of a face, among `size` faces."""
        return None if self.false is None else self.false * self.size


def by_threshold(labelled: Labelled, threshold: float, size: int) -> Setting:
    """What a threshold does alone, among so many faces."""
    found = labelled.same.part(labelled.same.within(threshold))
    return Setting(threshold, None, size, None, found, _seen(labelled, threshold))


def by_false_matches(labelled: Labelled, most: float, size: int) -> Setting:
    """What `max_false_matches` does among so many faces, and the threshold with it."""
    rate = min(1.0, most / size)
    found = labelled.same.part(labelled.same.up_to(rate))
    false = labelled.different.up_to(rate)
    seen = labelled.different.part(false) if false >= ENOUGH else None
    return Setting(labelled.threshold, most, size, rate, found, seen)


def _seen(labelled: Labelled, threshold: float) -> float | None:
    false = labelled.different.within(threshold)
    return labelled.different.part(false) if false >= ENOUGH else None


@dataclass(frozen=True)
class Advice:
    """For a collection of `size` faces: the setting that finds most with no more than `most` false
    matches of a face, the strictest threshold that does the same alone (None: too rare to be seen
    here), and by which factor these pictures have more false ones than is told, at least 1."""

    size: int
    most: float
    setting: Setting
    plain: Setting | None
    factor: float


def advise(labelled: Labelled, size: int, most: float) -> Advice:
    """What suits a collection of so many faces, by these."""
    factor = _factor(labelled, most / size)
    setting = by_false_matches(labelled, _rounded_down(most / factor), size)
    thresholds = np.arange(labelled.threshold, 0.1, -0.01).round(2)
    plain = None
    for threshold in thresholds:
        tried = by_threshold(labelled, float(threshold), size)
        if tried.false_matches is None:
            break
        if tried.false_matches <= most:
            plain = tried
            break
    return Advice(size, most, setting, plain, factor)


def _factor(labelled: Labelled, rate: float) -> float:
    """How many times as many pairs as told are seen up to a rate, or to the next above it at which
    enough are seen."""
    while rate < 1.0:
        false = labelled.different.up_to(rate)
        if false >= ENOUGH and labelled.different.count * rate >= ENOUGH:
            return max(1.0, labelled.different.part(false) / rate)
        rate *= 10**0.25
    return 1.0


def _rounded_down(value: float) -> float:
    """To one digit, so that it is easily said; what is a whole digit but for rounding stays."""
    power = 10.0 ** np.floor(np.log10(value) + 1e-9)
    return float(np.floor(value / power + 1e-6) * power)
