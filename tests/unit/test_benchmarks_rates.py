"""The benchmark of false match rates: its arithmetic, and that what is missed fails it."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.calibrating import NONE, Correction, calibrated
from benchmarks.mixture import fitted
from benchmarks.pictures import Reference
from benchmarks.plot_rates import series_in
from benchmarks.rates import Judged, _alike, _tell, central, found_at, halves_of, judged
from benchmarks.report import Report
from facematch.encoding_model import encoding_model
from facematch.faces import distances


def test_found_at_a_rate_is_what_lies_below_that_part_of_the_false_ones() -> None:
    near, far = np.array([0.5, 1.5, 10.5, 99.0]), np.arange(100.0)
    assert found_at(near, far, 0.01) == 0.25
    assert found_at(near, far, 0.02) == 0.5
    assert found_at(near, far, 0.11) == 0.75


def as_judged(near: float, times: float) -> Judged:
    """Of a calibration that finds the part `near` of one person's pairs at any rate, and of which
    `times` as many false pairs are seen as it tells."""
    ranks = np.arange(1, 200_001) / 200_000
    rates = np.where(np.arange(1000) < near * 1000, 1e-9, 0.5)
    return Judged(rates, ranks / times, rates, ranks, [1.0] * 3, [times] * 3, 1000)


@pytest.mark.parametrize(
    ("near", "times", "failed"),
    [(0.97, 1.2, set()), (0.88, 1.2, {"1e-03"}), (0.5, 1, {"1e-03", "1e-04", "1e-05"})],
)
def test_what_is_not_found_fails_it(near: float, times: float, failed: set[str]) -> None:
    report = Report("quality", {})
    _tell(report, [as_judged(near, times)] * 2, as_judged(near, times), required=True)
    missed = {check.name.split()[-1] for check in report.checks if not check.passed}
    assert missed == failed


def test_rates_that_are_off_by_more_than_twice_fail_it() -> None:
    for times in (2.5, 0.35):
        report = Report("quality", {})
        _tell(report, [as_judged(0.97, times)] * 2, as_judged(0.97, times), required=True)
        missed = [check.name for check in report.checks if not check.passed]
        assert len(missed) == 7
        assert all(name.startswith("seen over") for name in missed)
    report = Report("quality", {})
    _tell(report, [as_judged(0.1, 9)] * 2, as_judged(0.1, 9), required=False)
    assert report.checks == []
    assert series_in({"series": [vars(series) for series in report.series]}).keys() == {
        *(f"seen false match rate, {who}" for who in ("half 1", "half 2", "as shipped")),
        *(f"found by score, {who}" for who in ("half 1", "half 2", "as shipped")),
        *(f"found by plain distance, {who}" for who in ("half 1", "half 2", "as shipped")),
    }


def test_a_correction_leaves_1_alone_and_grows_below_a_hundredth() -> None:
    corrected = Correction(-0.1, 0.2)(np.array([0.0, -1.0, -2.0, -3.0, -5.0]))
    assert corrected == pytest.approx([0.0, -1.05, -2.1, -2.9, -4.5])
    assert NONE(np.array([-3.0])) == [-3.0]


def test_a_distribution_is_fitted_to_faces() -> None:
    drawn = encoding_model().draw(1200, np.random.default_rng(5))
    people = np.repeat(np.arange(600), 2)
    model = fitted(drawn[:600], people[:600], seed=1)
    assert np.abs(model.basis.T @ model.basis - np.eye(80)).max() < 1e-9
    assert model.weights.sum() == pytest.approx(1.0)
    others = model.draw(600, np.random.default_rng(6))
    apart = [np.quantile(distances(some, drawn[600:]), 0.01) for some in (drawn[:600], others)]
    assert apart[1] == pytest.approx(apart[0], rel=0.05)
    own = calibrated(model, (NONE, NONE), cohort=800, faces=600)
    seen = judged(own, drawn[600:], np.arange(600))
    assert len(seen.near) == 0
    assert 0.4 < seen.seen(0.01) / 0.01 < 2.5
    assert seen.there[0] == 2 * (np.triu(distances(drawn[600:], drawn[600:]), 1) <= 0.6).sum() - (
        2 * (np.tril(np.ones((600, 600))) > 0).sum()
    )


def test_halves_share_nobody_and_pairs_known_to_be_of_one_person_are_left_out(
    tmp_path: Path,
) -> None:
    people = np.repeat(np.arange(40), 3)
    for learnt, left_out in halves_of(people):
        assert not set(people[learnt]) & set(people[left_out])
        assert (learnt ^ left_out).all()
    (tmp_path / "same").write_text("b a\n\nc d\n")
    alike = _alike(tmp_path / "same", ["a", "b", "c", "d"])
    assert alike == {(0, 1), (2, 3)}
    drawn = encoding_model().draw(6, np.random.default_rng(5))
    own = calibrated(encoding_model(), (NONE, NONE), cohort=700, faces=300)
    assert len(judged(own, drawn, np.array([0, 0, 1, 1, 2, 3])).far) == 13
    assert len(judged(own, drawn, np.array([0, 0, 1, 1, 2, 3]), alike).far) == 13 - 5


def test_in_a_picture_the_face_in_the_middle_counts(tmp_path: Path) -> None:
    encodings = np.arange(3, dtype=np.float32)[:, None] * np.ones(128, dtype=np.float32)
    boxes = [(0, 40, 40, 0), (100, 150, 150, 100), (90, 160, 160, 90)]
    np.savez(
        tmp_path / "lfw-reference.npz",
        files=np.array(["b/1.jpg", "a/1.jpg", "b/2.jpg"]),
        image=np.array([0, 0, 1]),
        box=np.array(boxes),
        encoding=encodings,
    )
    found, people = central(Reference(tmp_path))
    assert found[:, 0].tolist() == [1, 2]
    assert people.tolist() == [1, 0]
