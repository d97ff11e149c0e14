"""The number that a match has in a match set: how sure it is first, then how far apart.

    score = code × 2^21 + the distance in millionths, rounded down
    code = round(1000 × (16 + log10 of the false match rate)), 0 to 16000

So whole numbers, exact in float64, put a match set in order: the most certain first, and of those
that are as certain the nearest. Where no rate is known the code is UNRATED, the highest. Lua has
its share of this in prelude.lua.
"""

from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: The code of a rate of 1, and of one that is not known.
UNRATED = 16_000
_DISTANCES = 2**21
_MILLION = 1e6
_STEPS, _OFFSET = 1000, 16
#: Where a bound lies on a code, no rounding of a logarithm shall decide.
_ROUNDING = 1e-6

Codes: TypeAlias = NDArray[np.int64]
Scores: TypeAlias = NDArray[np.float64]
Floats: TypeAlias = NDArray[np.float64]


def codes_of(rates: ArrayLike) -> Codes:
    """Of false match rates above 0."""
    logs = np.log10(np.asarray(rates, dtype=np.float64))
    codes: Codes = np.rint(_STEPS * (_OFFSET + logs)).clip(0, UNRATED).astype(np.int64)
    return codes


@cache  # of the 16,001 codes there are
def rate_of(code: int) -> float:
    """The false match rate that a code stands for: within 0.12 % of the one it was made of."""
    return float(10 ** (code / _STEPS - _OFFSET))


def scores_of(codes: ArrayLike, distances: ArrayLike) -> Scores:
    """Of matches with these codes and distances. A distance above 2.097151 counts as that."""
    millionths = np.floor(np.asarray(distances, dtype=np.float64) * _MILLION)
    scores: Scores = np.asarray(codes) * float(_DISTANCES) + millionths.clip(0, _DISTANCES - 1)
    return scores


def split(score: float) -> tuple[int, float]:
    """The code and the distance of a score."""
    code, millionths = divmod(int(score), _DISTANCES)
    return code, millionths / _MILLION


def whole_codes_of(scores: ArrayLike) -> list[int]:
    """The codes of many scores."""
    codes: list[int] = (np.asarray(scores) // _DISTANCES).astype(np.int64).tolist()
    return codes


def distances_of(scores: ArrayLike) -> Floats:
    """Those of many scores."""
    distances: Floats = np.asarray(scores, dtype=np.float64) % _DISTANCES / _MILLION
    return distances


def most_code(most_false: float | None, size: ArrayLike) -> Codes:
    """The highest code with which a match may be listed where no more than `most_false` false ones
    are to be expected among `size` faces: rate × size ≤ most_false. -1: none may. None: all may."""
    sizes = np.asarray(size, dtype=np.float64)
    if most_false is None:
        return np.full(sizes.shape, UNRATED, dtype=np.int64)
    logs = np.log10(most_false / np.maximum(sizes, 1))
    codes: Codes = (
        np.floor(_STEPS * (_OFFSET + logs) + _ROUNDING).clip(-1, UNRATED).astype(np.int64)
    )
    return codes
