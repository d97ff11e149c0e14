"""The number that a match has in a match set."""

import math

import numpy as np
import pytest

from facematch.match_scores import (
    UNRATED,
    codes_of,
    distances_of,
    most_code,
    rate_of,
    scores_of,
    split,
)

RATES = np.array([1.0, 0.5, 3.7e-4, 1e-8, 1e-16, 1e-20])


def test_a_code_stands_for_a_rate() -> None:
    codes = codes_of(RATES)
    assert codes.tolist() == [UNRATED, 15699, 12568, 8000, 0, 0]
    for code, rate in zip(codes.tolist()[:5], RATES.tolist()[:5], strict=True):
        assert rate_of(code) == pytest.approx(rate, rel=0.0012)


def test_a_score_says_how_sure_a_match_is_and_how_far_apart_to_a_millionth() -> None:
    codes, distances = np.array([0, 1, 15_000, UNRATED]), np.array([0.0, 0.6, 0.1234567, 2.9])
    scores = scores_of(codes, distances)
    assert (scores == np.floor(scores)).all()
    assert [split(score) for score in scores] == [
        (0, 0.0),
        (1, 0.6),
        (15_000, 0.123456),
        (UNRATED, 2.097151),
    ]
    assert distances_of(scores).tolist() == [0.0, 0.6, 0.123456, 2.097151]
    assert float(scores_of(UNRATED, 2.9)) < 2**53


def test_the_most_certain_come_first_and_then_the_nearest() -> None:
    pairs = [(3, 0.9), (4, 0.1), (4, 0.2), (UNRATED, 0.0)]
    scores = [float(scores_of(*pair)) for pair in pairs]
    assert scores == sorted(scores)


@pytest.mark.parametrize("most_false", [0.01, 1.0, 3.0, 1000.0])
def test_no_more_false_ones_are_expected_than_asked_for(most_false: float) -> None:
    for size in (1, 2, 999, 1000, 10**6, 10**9):
        code = int(most_code(most_false, size))
        assert rate_of(code) * size <= most_false * (1 + 1e-6)
        assert code == UNRATED or rate_of(code + 1) * size > most_false


def test_a_bound_that_lies_on_a_code_takes_that_code_in() -> None:
    for power in range(17):
        assert int(most_code(1.0, 10**power)) == 16_000 - 1000 * power
        assert int(codes_of(1 / 10**power)) == 16_000 - 1000 * power


def test_without_a_bound_all_may_be_listed_and_with_a_tiny_one_none() -> None:
    assert int(most_code(None, 10**9)) == UNRATED
    assert int(most_code(1e-9, 10**9)) == -1
    assert int(most_code(1.0, 0)) == UNRATED
    assert most_code(1.0, np.array([1, 1000])).tolist() == [UNRATED, 13_000]
    assert math.log10(rate_of(UNRATED)) == 0
