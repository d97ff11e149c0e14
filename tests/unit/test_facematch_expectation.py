"""How many false matches are to be expected."""

from dataclasses import replace

import numpy as np
import pytest

from facematch.calibration import calibration
from facematch.encoding_model import encoding_model
from facematch.expectation import expected_false_matches
from facematch.store import Bounds, Chances, Filter, Image, MatchPage, State

NORMS = calibration("dlib-1").norms(encoding_model().draw(3, np.random.default_rng(5)))
PAGE = MatchPage(
    Image("0" * 64, State.DONE),
    (),
    complete_through=1,
    threshold=0.6,
    bounds=Bounds(),
    chances=Chances("dlib-1", tuple(map(tuple, NORMS.tolist())), size=20_000, others=10_000),
)


def within(distance: float) -> float:
    return float(calibration("dlib-1").within(distance, NORMS).sum())


def test_it_is_the_chance_of_all_faces_together() -> None:
    assert expected_false_matches(PAGE) == pytest.approx(10_000 * within(0.6))
    nearer = expected_false_matches(PAGE, Filter(max_distance=0.5))
    assert nearer == pytest.approx(10_000 * within(0.5))
    assert expected_false_matches(PAGE, Filter(max_distance=0.7)) == expected_false_matches(PAGE)


def test_a_bound_on_false_matches_bounds_it() -> None:
    """Of 20,000 faces ever half are there: so at most half as many as asked for are expected."""
    bounded = replace(PAGE, bounds=Bounds(max_false_matches=1e-3))
    assert expected_false_matches(bounded) == pytest.approx(3 * 1e-3 / 2)
    asked = expected_false_matches(PAGE, Filter(max_false_matches=1e-3))
    assert asked == pytest.approx(3 * 1e-3 / 2)
    both = expected_false_matches(bounded, Filter(max_false_matches=1e-4))
    assert both == pytest.approx(3 * 1e-4 / 2)
    loose = expected_false_matches(bounded, Filter(max_false_matches=1e6))
    assert loose == expected_false_matches(bounded)
    assert expected_false_matches(PAGE, Filter(0.1, 1e6)) == pytest.approx(10_000 * within(0.1))


def test_matches_that_there_is_no_room_for_are_not_expected() -> None:
    assert PAGE.chances is not None
    full = replace(PAGE, truncated=True, chances=replace(PAGE.chances, codes_to=9000))
    assert expected_false_matches(full) == pytest.approx(3 * 10_000 * 1e-7)
    roomy = replace(PAGE, chances=replace(PAGE.chances, codes_to=15_999))
    assert expected_false_matches(roomy) == expected_false_matches(PAGE)


def test_without_rates_nothing_is_known() -> None:
    assert expected_false_matches(replace(PAGE, chances=None)) is None
    assert expected_false_matches(replace(PAGE, threshold=None)) is None
    assert PAGE.chances is not None
    newer = replace(PAGE.chances, calibration="of a newer version")
    assert expected_false_matches(replace(PAGE, chances=newer)) is None
