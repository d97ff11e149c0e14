"""Who is near: the same on every processor, and as sums of whole numbers say."""

from pathlib import Path

import numpy as np
import pytest

from facematch.compiled import compile_fast
from facematch.vector_code import MULTIPLIERS, best_multiplier, near_of_block, prefetch

PAIRS = 3
HERE = [name for name in MULTIPLIERS if name == "plain" or best_multiplier() != "plain"]


@pytest.mark.parametrize("multiplier", HERE)
@pytest.mark.parametrize("extreme", [False, True])
@pytest.mark.parametrize("least", [-(2**30), -(2**18), 0, 2**22, 2**30])
def test_who_is_near_and_how_far_above_the_threshold(
    multiplier: str, extreme: bool, least: int
) -> None:
    near_of_three = near_of_block(PAIRS, multiplier)

    @compile_fast(None)
    def run(codes, starts, weights, thresholds, found):  # type: ignore[no-untyped-def]
        count = 0
        for block in range(len(codes)):
            count = near_of_three(
                *(codes, block, starts, weights, thresholds, len(weights), found, count)
            )
        return count

    rng = np.random.default_rng(1)
    codes = rng.integers(-128, 128, (5, PAIRS, 16, 2), dtype=np.int8)
    weights = rng.integers(-32767, 32768, (6, PAIRS, 2), dtype=np.int16)
    if extreme:
        codes, weights = np.full_like(codes, -128), np.full_like(weights, -32767)
    starts = rng.integers(-(2**20), 2**20, (5, 16), dtype=np.int32)
    thresholds = least + rng.integers(-(2**18), 2**18, 6, dtype=np.int32)
    products = np.einsum("bplc,qpc->bql", codes.astype(np.int64), weights.astype(np.int64))
    above = starts[:, None] + products - thresholds[:, None]
    expected = [
        (query, block * 16 + lane, above[block, query, lane])
        for block, query, lane in np.argwhere(above >= 0)
    ]
    found = np.full((3, 5 * 6 * 16 + 32), -1, np.int32)
    count = run(codes, starts, weights, thresholds, found)
    assert [tuple(column) for column in found[:, :count].T] == expected
    assert (found[:, count + 16 :] == -1).all()


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
