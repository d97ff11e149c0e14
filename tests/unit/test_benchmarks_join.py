"""The benchmark of the join: that it finds what FAISS finds, and notices when it does not."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from benchmarks import join as measured
from benchmarks.join import Join, _alone, _check, _chosen, _compare, _in_turns, _Pairs, _Taken
from benchmarks.report import Report
from facematch.encoding_model import encoding_model
from facematch.faces import distances

FACES = encoding_model().draw(2400, np.random.default_rng(4))


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "_BATCH", 100)


@pytest.fixture
def join() -> Join:
    return Join(FACES, threads=2)


def judged(join: Join, taken: _Taken) -> list[bool]:
    report = Report("join", {})
    _check(report, join, taken, np.random.default_rng(2))
    return [check.passed for check in report.checks]


def test_all_pairs_are_found_once(join: Join) -> None:
    with ThreadPoolExecutor(2) as pool:
        found = list(join.ours(pool, range(join.batches)))
    pairs = [pair for own, near in found for pair in zip(own.tolist(), near.tolist(), strict=True)]
    assert len(set(pairs)) == len(pairs)
    exact = np.tril(distances(FACES, FACES) <= measured.RADIUS, -1)
    assert set(pairs) == {(int(own), int(near)) for own, near in np.argwhere(exact)}


def test_the_batches_measured_are_spread_and_all_of_them_where_they_are_few(join: Join) -> None:
    rng = np.random.default_rng(3)
    assert sorted(_chosen(join, True, rng)) == list(range(24))
    join.batches = 1000
    chosen = sorted(_chosen(join, False, rng))
    assert len(chosen) == 24
    assert (np.abs(np.diff(chosen) - 1000 / 24) < 1).all()
    assert np.mean(chosen) == pytest.approx(499.5, abs=1)
    assert len(_chosen(join, True, rng)) == 1000


def test_what_both_found_is_right(join: Join) -> None:
    taken = _in_turns(join, [0, 7, 23, 11, 12])
    assert sorted(taken.batches) == [0, 7, 11, 12, 23]
    assert min(taken.ours, taken.theirs) > 0
    assert judged(join, taken) == [True, True]


@pytest.mark.parametrize("row", [0, -1])
def test_a_pair_that_is_missing_or_too_much_is_noticed(join: Join, row: int) -> None:
    for ours, verdict in ((True, [False, False]), (False, [False, True])):
        for more in (True, False):
            taken = _in_turns(join, list(range(2)))  # so few that all are compared
            changed = taken.found if ours else taken.baseline
            own, near = (np.concatenate(each) for each in zip(*changed, strict=True))
            if more:
                far = next(n for n in range(150) if n not in near[own == 150])
                own, near = np.append(own, np.int32(150)), np.append(near, np.int32(far))
            else:
                apart = np.linalg.norm(FACES[own] - FACES[near], axis=1)
                sure = np.argsort(apart)[0 if row == 0 else 1]
                own, near = np.delete(own, sure), np.delete(near, sure)
            changed[:] = [(own, near)]
            assert judged(join, taken) == verdict


def test_interrupted_it_tells_of_what_was_done(join: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, asked = join.theirs, []

    def interrupted(batch: int) -> _Pairs:
        asked.append(batch)
        if len(asked) == 7:
            raise KeyboardInterrupt
        return theirs(batch)

    monkeypatch.setattr(join, "theirs", interrupted)
    taken = _in_turns(join, list(range(24)))
    assert taken.batches == [0, 1, 2, 3]
    assert len(taken.baseline) == 4
    report = Report("join", {})
    _compare(report, join, taken)
    (measure,) = report.measures
    assert measure.name.endswith("from 4 of 24 batches")
    assert measure.value == pytest.approx(taken.ours * 6)
    assert measure.baseline_value == pytest.approx(taken.theirs * 6)
    asked.clear()
    monkeypatch.setattr(join, "theirs", lambda batch: interrupted(batch) if asked else _stop())
    with pytest.raises(KeyboardInterrupt):
        _in_turns(join, list(range(24)))


def _stop() -> _Pairs:
    raise KeyboardInterrupt


def test_all_of_it_by_ours_alone_is_told_unless_it_is_interrupted(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = Report("join", {})
    _alone(report, join)
    values = {measure.name: measure.value for measure in report.measures}
    there = np.tril(distances(FACES, FACES) <= measured.RADIUS, -1).sum()
    assert values["pairs found"] == there
    seconds = values["all of them, by ours alone"]
    assert values["faces joined"] == pytest.approx(2400 / seconds)

    def interrupted(pool: ThreadPoolExecutor, batches: Sequence[int]) -> Iterator[_Pairs]:
        raise KeyboardInterrupt

    monkeypatch.setattr(join, "ours", interrupted)
    report = Report("join", {})
    _alone(report, join)
    assert report.measures == []
