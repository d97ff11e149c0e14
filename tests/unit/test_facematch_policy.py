"""How a reindex changes a policy."""

import pytest

from facematch.policy import PolicyChange, policy_told
from facematch.store import DEFAULT_BOUNDS, NO_BOUNDS, Bounds, Generation

SERVED = Generation(0, 0.6, bounds=Bounds(max_false_matches=2, max_matches=50))


def test_what_is_not_said_stays() -> None:
    assert PolicyChange().of(SERVED) == (0.6, SERVED.bounds)
    assert PolicyChange(0.5).of(SERVED) == (0.5, SERVED.bounds)
    assert PolicyChange(max_false_matches=1).of(SERVED) == (0.6, Bounds(1, 50))
    assert PolicyChange(max_matches=7).of(SERVED) == (0.6, Bounds(2, 7))


def test_nothing_is_no_bound() -> None:
    assert PolicyChange(max_false_matches=0, max_matches=0).of(SERVED) == (0.6, NO_BOUNDS)


def test_old_match_sets_come_to_have_the_bounds_of_new_ones() -> None:
    old = Generation(0, 0.6, bounds=NO_BOUNDS, scored=False)
    assert PolicyChange().of(old) == (0.6, DEFAULT_BOUNDS)
    assert PolicyChange(max_false_matches=1).of(old) == (0.6, Bounds(1))


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        (PolicyChange(), True),
        (PolicyChange(0.6, 2, 50), True),
        (PolicyChange(0.5), False),
        (PolicyChange(max_false_matches=0), False),
        (PolicyChange(max_matches=51), False),
    ],
)
def test_a_change_fits_what_it_would_not_change(change: PolicyChange, fits: bool) -> None:
    assert change.fits(SERVED.threshold, SERVED.bounds) is fits


def test_a_policy_is_told_in_words() -> None:
    assert policy_told(0.6, NO_BOUNDS) == "threshold 0.6"
    assert policy_told(0.5, Bounds(1.5)) == (
        "threshold 0.5, at most 1.5 false matches of a face, at most 10,000 matches of an image"
    )
