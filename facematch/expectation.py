"""How many of the matches that are listed for an image are to be expected to be false."""

import numpy as np

from facematch.calibration import NAMES, calibration
from facematch.match_scores import UNRATED, rate_of
from facematch.store import ALL, Chances, Filter, MatchPage


def expected_false_matches(page: MatchPage, only: Filter = ALL) -> float | None:
    """Of all matches of the image that are listed with this filter, on whichever pages: the sum,
    over its faces and those of others, of the chance that two of different people are listed.
    None where there are no rates, or not by a calibration that is known here."""
    if page.chances is None or page.threshold is None:
        return None
    bound = page.bounds.max_false_matches if page.bounds else None
    return expected(page.chances, page.threshold, bound, only)


def expected(
    chances: Chances, threshold: float, max_false_matches: float | None, only: Filter = ALL
) -> float | None:
    """The same of faces with these chances, where this threshold and bound hold."""
    if chances.calibration not in NAMES:
        return None
    distance = min(_given(threshold, only.max_distance))
    norms = np.array(chances.norms, dtype=np.float32)
    listed = calibration(chances.calibration).within(distance, norms)
    for most in _given(max_false_matches, only.max_false_matches):
        listed = np.minimum(listed, most / max(1, chances.size))
    if chances.codes_to < UNRATED:
        listed = np.minimum(listed, rate_of(chances.codes_to))
    return float(listed.sum() * chances.others)


def _given(*values: float | None) -> list[float]:
    return [value for value in values if value is not None]
