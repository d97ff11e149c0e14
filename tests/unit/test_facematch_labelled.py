"""Counting pairs of known people, and what is advised by them."""

import numpy as np
import pytest

from facematch.calibration import calibration
from facematch.encoding_model import encoding_model
from facematch.faces import distances
from facematch.labelled import (
    Labelled,
    Pairs,
    advise,
    by_false_matches,
    by_threshold,
    judge,
)


def drawn(people: int, each: int) -> tuple[np.ndarray, np.ndarray]:
    """Encodings of so many pictures of so many people, and whose they are."""
    model, rng = encoding_model(), np.random.default_rng(3)
    faces = np.repeat(model.draw(people, rng), each, axis=0)
    apart = rng.multivariate_normal(np.zeros(80), model.within, people * each)
    return (faces + apart @ model.basis.T).astype(np.float32), np.repeat(np.arange(people), each)


@pytest.fixture(scope="module")
def pictures() -> tuple[np.ndarray, np.ndarray]:
    return drawn(150, 3)


@pytest.fixture(scope="module")
def labelled(pictures: tuple[np.ndarray, np.ndarray]) -> Labelled:
    return judge(*pictures, calibration("dlib-1"), 0.6)


def test_every_pair_is_counted_as_by_hand(
    pictures: tuple[np.ndarray, np.ndarray], labelled: Labelled
) -> None:
    encodings, people = pictures
    own = calibration("dlib-1")
    norms, (rows, columns) = own.norms(encodings), np.triu_indices(450, 1)
    apart = distances(encodings, encodings)[rows, columns]
    rates = own.rates(apart, norms[rows], norms[columns])
    same = people[rows] == people[columns]
    assert (labelled.same.count, labelled.different.count) == (450, 450 * 449 // 2 - 450)
    for pairs, chosen in ((labelled.same, same), (labelled.different, ~same)):
        for threshold in (0.3, 0.45, 0.6, 2.0):
            assert pairs.within(threshold) == (apart[chosen] <= threshold).sum()
        for rate in (1e-9, 1e-5, 1e-3, 0.1, 1.0):
            near = chosen & (apart <= 0.6)
            assert pairs.up_to(rate) == (rates[near] <= rate).sum()
        assert pairs.up_to(1e-17) == 0
    assert 0 < labelled.different.up_to(1.0) < labelled.different.within(0.7)


def test_a_setting_says_what_it_finds_and_how_many_false_ones_a_face_has(
    labelled: Labelled,
) -> None:
    loose = by_threshold(labelled, 0.6, 1000)
    assert loose.found == labelled.same.within(0.6) / 450
    assert loose.false is not None
    assert loose.false_matches == pytest.approx(1000 * loose.false)
    assert (loose.max_false_matches, loose.rate) == (None, None)
    bounded = by_false_matches(labelled, 10, 1000)
    assert bounded.rate == 0.01
    assert bounded.found == labelled.same.up_to(0.01) / 450
    strict = by_false_matches(labelled, 1, 10_000_000)
    assert (strict.false, strict.false_matches) == (None, None)  # nothing could be said of it
    assert by_false_matches(labelled, 5000, 1000).rate == 1.0


def pairs(count: int, by_distance: dict[int, int], by_code: dict[int, int]) -> Pairs:
    near, rated = np.zeros(2001, dtype=np.int64), np.zeros(16_001, dtype=np.int64)
    near[list(by_distance)] = list(by_distance.values())
    rated[list(by_code)] = list(by_code.values())
    return Pairs(count, near.cumsum(), rated.cumsum())


def test_what_is_advised_makes_up_for_more_false_ones_than_were_told() -> None:
    same = pairs(100, {400: 50, 550: 50}, {10_000: 60, 13_000: 40})
    # 1,000 of a million have a rate of 1e-4: ten times as many as is told.
    many = Labelled(same, pairs(10**6, {450: 100, 580: 900}, {12_000: 1000}), 0.6)
    advice = advise(many, 1000, 1.0)
    assert advice.factor == 1.0  # at 1e-3 there are as many as is told
    assert advice.setting.max_false_matches == 1.0
    assert advice.setting.found == 1.0
    assert advice.plain is not None
    assert (advice.plain.threshold, advice.plain.found) == (0.6, 1.0)
    stricter = advise(many, 10_000, 1.0)
    assert stricter.factor == pytest.approx(10, rel=0.01)
    assert stricter.setting.max_false_matches == pytest.approx(0.1, abs=0.011)
    assert stricter.setting.found == 0.6
    assert stricter.plain is not None
    assert (stricter.plain.threshold, stricter.plain.found) == (0.57, 1.0)


def test_fewer_false_ones_than_told_are_no_reason_for_a_looser_bound() -> None:
    few = Labelled(pairs(10, {400: 10}, {9000: 10}), pairs(10**6, {500: 20}, {13_000: 20}), 0.6)
    advice = advise(few, 1000, 1.0)
    assert (advice.factor, advice.setting.max_false_matches) == (1.0, 1.0)


def test_where_nothing_false_was_seen_no_threshold_is_said_to_do_the_same() -> None:
    none = Labelled(pairs(10, {400: 10}, {9000: 10}), pairs(50, {900: 50}, {}), 0.6)
    advice = advise(none, 100_000, 1.0)
    assert (advice.plain, advice.factor, advice.setting.found) == (None, 1.0, 1.0)
