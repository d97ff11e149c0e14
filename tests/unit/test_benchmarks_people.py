"""B-cubed, and which faces of the reference are judged."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.people import Pictures, b_cubed
from benchmarks.pictures import Reference


def test_b_cubed_of_a_known_example() -> None:
    """Two groups and two people, of 3 and 2 faces each, one face in the wrong group."""
    people = np.array([0, 0, 1, 1, 0])
    precision, recall, both = b_cubed(list("aaabb"), people)
    assert precision == pytest.approx((2 / 3 + 2 / 3 + 1 / 3 + 1 / 2 + 1 / 2) / 5)
    assert recall == pytest.approx((2 / 3 + 2 / 3 + 1 / 2 + 1 / 2 + 1 / 3) / 5)
    assert both == pytest.approx(2 * precision * recall / (precision + recall))


def test_b_cubed_of_the_truth_is_one_and_nobody_counts_for_nothing() -> None:
    assert b_cubed(list("abbc"), np.array([5, 7, 7, -1])) == (1, 1, 1)
    assert b_cubed(list("abbb"), np.array([5, 7, 7, -1])) == (1, 1, 1)


def test_judged_is_the_face_nearest_the_middle(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "lfw-reference.npz",
        files=np.array(["A/A_1.jpg", "B/B_1.jpg", "B/B_2.jpg"]),
        image=np.array([0, 0, 2], dtype=np.int32),
        box=np.array([[0, 50, 50, 0], [100, 160, 160, 100], [0, 20, 20, 0]], dtype=np.int16),
        encoding=np.zeros((3, 128), dtype=np.float32),
    )
    pictures = Pictures.of(Reference(tmp_path))
    assert pictures.people.tolist() == [-1, 0, 1]
    assert [half.people.tolist() for half in pictures.halves] == [[-1, 0], [1]]
