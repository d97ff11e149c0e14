"""Sums of blocks: the same on every processor, and those of whole numbers."""

from pathlib import Path

import numpy as np
import pytest

from facematch.compiled import compile_fast
from facematch.vector_code import MULTIPLIERS, best_multiplier, block_sums, prefetch

PAIRS = 3
HERE = [name for name in MULTIPLIERS if name == "plain" or best_multiplier() != "plain"]


@pytest.mark.parametrize("multiplier", HERE)
@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("extreme", [False, True])
def test_the_sums_and_who_reaches_the_threshold(
    multiplier: str, extreme: bool, in_place: bool
) -> None:
    sums_of_three = block_sums(PAIRS, multiplier)

    @compile_fast(None)
    def run(codes, starts, weights, thresholds, order, before, totals, masks):  # type: ignore[no-untyped-def]
        for block in range(len(codes)):
            sums_of_three(
                *(codes, block, starts, weights, thresholds, order, len(order)),
                *(before[block], totals[block], masks[block]),
            )

    rng = np.random.default_rng(1)
    codes = rng.integers(-128, 128, (5, PAIRS, 16, 2), dtype=np.int8)
    weights = rng.integers(-32767, 32768, (6, PAIRS, 2), dtype=np.int16)
    if extreme:
        codes, weights = np.full_like(codes, -128), np.full_like(weights, -32767)
    starts = rng.integers(-(2**20), 2**20, (5, 16), dtype=np.int32)
    before = rng.integers(-(2**20), 2**20, (5, 6, 16), dtype=np.int32)
    thresholds = rng.integers(-(2**20), 2**20, 6, dtype=np.int32)
    order = np.array([4, 0, 5, 1])
    totals = before.copy() if in_place else np.zeros((5, 6, 16), np.int32)
    masks = np.zeros((5, 4), np.uint16)
    products = np.einsum("bplc,qpc->bql", codes.astype(np.int64), weights.astype(np.int64))
    expected = starts[:, None] + before + products
    run(codes, starts, weights, thresholds, order, totals if in_place else before, totals, masks)
    assert (totals[:, order] == expected[:, order]).all()
    left = [2, 3]
    assert (totals[:, left] == (before[:, left] if in_place else 0)).all()
    reached = expected[:, order] >= thresholds[order, None]
    assert (masks == (reached << np.arange(16)).sum(axis=2)).all()


def test_this_processor_has_one_of_them() -> None:
    assert best_multiplier() in MULTIPLIERS


def test_another_processor_that_is_compiled_for_has_the_plain_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("numba.config.CPU_NAME", "generic")
    assert best_multiplier() == "plain"


def test_fetching_ahead_changes_nothing_and_may_reach_beyond_the_end() -> None:
    @compile_fast(None)
    def run(array):  # type: ignore[no-untyped-def]
        for index in range(0, 10 * len(array), 64):
            prefetch(array, index)

    array = np.arange(100, dtype=np.int8)
    run(array)
    assert (array == np.arange(100)).all()
