"""The arithmetic of the benchmarks: pairs, decisions, thresholds and ratios."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks.pairs import changed_decisions, different_people, pair_distances, same_person
from benchmarks.quality import _accuracy, _best
from benchmarks.report import Measure, Report
from benchmarks.soak import _Answer, _check, _Images, _Soak, _tell
from facematch.faces import face_ids
from facematch.log import Tail
from facematch.memory_store import MemoryStore
from index.engine import EVERYWHERE

PEOPLE = np.array([3, 1, 3, 3, 2, 1])


def on_a_line(*places: float) -> np.ndarray:
    encodings = np.zeros((len(places), 128), dtype=np.float32)
    encodings[:, 0] = places
    return encodings


def test_pairs_of_one_person_are_all_there_are() -> None:
    pairs = {frozenset(pair) for pair in same_person(PEOPLE).tolist()}
    assert pairs == {frozenset(pair) for pair in ((0, 2), (0, 3), (2, 3), (1, 5))}


def test_pairs_of_two_people_are_as_many_as_asked_for_and_the_same_for_a_seed() -> None:
    pairs = different_people(PEOPLE, 50, seed=1)
    assert pairs.shape == (50, 2)
    assert (PEOPLE[pairs[:, 0]] != PEOPLE[pairs[:, 1]]).all()
    assert (pairs == different_people(PEOPLE, 50, seed=1)).all()
    assert (pairs != different_people(PEOPLE, 50, seed=2)).any()


def test_distances_of_pairs() -> None:
    apart = pair_distances(on_a_line(0, 3, 7), np.array([[0, 1], [2, 0]]))
    assert apart.tolist() == [3, 7]


def test_decisions_that_changed_are_counted_once_and_apart_from_narrow_ones() -> None:
    theirs = on_a_line(0, 0.59999, 5, 5.4)
    assert changed_decisions(theirs, theirs, 0.6, 1e-4) == (6, 0, 0)
    narrow = on_a_line(0, 0.60001, 5, 5.4)
    assert changed_decisions(narrow, theirs, 0.6, 1e-4) == (6, 1, 0)
    wrong = on_a_line(0, 0.60001, 5, 5.7)
    assert changed_decisions(wrong, theirs, 0.6, 1e-4) == (6, 2, 1)


def test_decisions_are_compared_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.pairs._BLOCK", 2)
    theirs, ours = on_a_line(0, 10, 20, 20.5, 30), on_a_line(0, 10, 20, 21, 30.5)
    assert changed_decisions(ours, theirs, 0.6, 1e-4) == (10, 1, 1)


def test_accuracy_is_the_part_decided_rightly_and_the_best_threshold_has_the_most() -> None:
    near, far = np.array([0.2, 0.4, 0.7]), np.array([0.5, 0.65, 0.9, 1.0])
    assert _accuracy(near, far, 0.6) == pytest.approx(5 / 7)
    threshold, best = _best(near, far)
    assert best == pytest.approx(6 / 7)
    assert 0.4 <= threshold < 0.5


def test_a_ratio_above_1_means_that_ours_is_better() -> None:
    assert Measure("time", 2.0, "s", "theirs", 6.0).ratio == 3.0
    assert Measure("rate", 6.0, "1/s", "theirs", 2.0, more_is_better=True).ratio == 3.0
    assert Measure("alone", 6.0, "s").ratio is None


def test_a_missed_target_fails_the_report_and_a_missed_aim_does_not() -> None:
    for must, aim, passed in ((2.0, 4.0, True), (3.5, 4.0, False), (3.0, 3.0, True)):
        report = Report("name", {})
        report.at_least(Measure("time", 2.0, "s", "theirs", 6.0), must, aim)
        assert report.passed is passed
        assert [check["passed"] for check in json.loads(report.to_json())["checks"]] == [passed]
    for must, passed in ((3.0, True), (1.9, False)):
        report = Report("name", {})
        report.at_most(Measure("memory", 2.0, "MiB"), must)
        assert report.passed is passed


class TestSoak:
    """Four images at the places 1 to 4, of which the first is erased at place 5. The second face of
    the first two is within reach."""

    def soaked(self) -> _Soak:
        places = [9, 0, 9, 9, 9, 0.5, 9, 9, 9, 0.61, 9, 9, 9, 5, 9, 9]
        images = _Images(MemoryStore(), on_a_line(*places))
        images.fill(4)
        images.erase()
        assert images.came.tolist() == [1, 2, 3, 4]
        assert images.went.tolist() == [5, EVERYWHERE, EVERYWHERE, EVERYWHERE]
        return _Soak(images, on_a_line(100, 0), Path("nowhere"))

    @pytest.mark.parametrize(
        ("place", "positions", "forged", "passed"),
        [
            (1, [1], 0, True),
            (4, [1, 2], 0, True),
            (5, [2], 0, True),
            (5, [1, 2], 0, False),
            (5, [], 0, False),
            (4, [2], 0, False),
            (1, [1, 2], 0, False),
            (4, [1, 2, 3], 0, False),
            (4, [1, 2], 1, False),
        ],
    )
    def test_an_answer_is_checked_as_of_its_place(
        self, place: int, positions: Sequence[int], forged: int, passed: bool
    ) -> None:
        soak = self.soaked()
        ids = np.concatenate(
            [np.empty(0, np.int64), *(face_ids(each, 2)[1:] for each in positions)]
        )
        soak.answers.append(_Answer(1, ids, Tail(place, "")))
        soak.forged = forged
        report = Report("name", {})
        _check(report, soak)
        assert report.passed is passed

    def test_without_answers_it_fails(self) -> None:
        report = Report("name", {})
        _check(report, self.soaked())
        assert not report.passed

    @pytest.mark.parametrize(
        ("memory", "slowest", "changes", "failed"),
        [
            ([90, 100, 100, 102, 101, 103, 104, 104], 0.004, 300, []),
            ([90, 100, 100, 102, 101, 103, 104, 108], 0.004, 300, ["most memory in the last"]),
            ([100] * 8, 0.006, 300, ["p99 of queries, over p50"]),
            ([100] * 8, 0.004, 250, ["as many queries and changes"]),
        ],
    )
    def test_what_it_demands(
        self, memory: list[int], slowest: float, changes: int, failed: list[str]
    ) -> None:
        soak = self.soaked()
        soak.memory, soak.changes, soak.behind = memory, changes, [0.01]
        soak.seconds = [0.001] * 392 + [slowest] * 8
        report = Report("name", {})
        _tell(report, soak, seconds=10)
        wrong = [check.name for check in report.checks if not check.passed]
        assert len(wrong) == len(failed)
        assert all(name.startswith(start) for name, start in zip(wrong, failed, strict=True))
