"""Crops of several threads are encoded together, and each thread gets its own back."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from waiting import eventually

from worker.batching import Batcher


class Slow:
    """An encoder that waits for a permit, and notes the sizes of its batches."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.permits = threading.Semaphore(0)
        self.error: Exception | None = None

    def encode(self, crops: np.ndarray) -> np.ndarray:
        self.sizes.append(len(crops))
        self.permits.acquire()
        if self.error:
            raise self.error
        return crops.astype(np.float32)


def crops(value: int, count: int) -> np.ndarray:
    return np.full((count, 128), value, dtype=np.uint8)


def test_what_gathers_while_one_is_computed_goes_together_and_comes_back_apart() -> None:
    slow = Slow()
    batcher = Batcher(slow.encode)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(batcher.encode, crops(1, 1))
        eventually(lambda: slow.sizes == [1])
        later = [pool.submit(batcher.encode, crops(value, value)) for value in range(2, 6)]
        eventually(lambda: len(batcher._waiting) == 4)
        slow.permits.release(2)
        assert (first.result(10) == 1).all()
        for value, result in zip(range(2, 6), later, strict=True):
            assert (result.result(10) == crops(value, value)).all()
    assert slow.sizes == [1, 2 + 3 + 4 + 5]


def test_no_crops_need_no_encoder() -> None:
    found = Batcher(Slow().encode).encode(np.empty((0, 150, 150, 3), dtype=np.uint8))
    assert (found.shape, found.dtype) == ((0, 128), np.float32)


def test_an_error_reaches_all_who_were_in_the_batch_and_nobody_after() -> None:
    slow = Slow()
    batcher = Batcher(slow.encode)
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(batcher.encode, crops(1, 1))
        eventually(lambda: slow.sizes == [1])
        both = [pool.submit(batcher.encode, crops(value, 1)) for value in (2, 3)]
        eventually(lambda: len(batcher._waiting) == 2)
        slow.permits.release(1)
        assert (first.result(10) == 1).all()
        slow.error = RuntimeError("no memory")
        slow.permits.release(1)
        for each in both:
            with pytest.raises(RuntimeError, match="no memory"):
                each.result(10)
    slow.error = None
    slow.permits.release(1)
    assert (batcher.encode(crops(2, 1)) == 2).all()


def test_crops_of_another_form_fail_by_themselves() -> None:
    slow = Slow()
    plain = slow.encode

    def encode(some: np.ndarray) -> np.ndarray:
        found = plain(some)
        if some.shape[1:] != (128,):
            raise ValueError("what is that?")
        return found

    batcher = Batcher(encode)
    slow.permits.release(10)
    with batcher._turn, ThreadPoolExecutor(8) as pool:
        odd = pool.submit(batcher.encode, np.zeros((2, 7), dtype=np.uint8))
        even = pool.submit(batcher.encode, crops(3, 2))
        eventually(lambda: len(batcher._waiting) == 2)
        batcher._turn.release()
        try:
            assert (even.result(10) == 3).all()
            assert isinstance(odd.exception(10), ValueError)
        finally:
            batcher._turn.acquire()
