"""Crops of several pictures are encoded in one go when they are there at the same time.

A network is faster on a batch. Nobody waits for a batch to fill: while one is computed, the next
one gathers.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from facematch.faces import DIMENSIONS, Encodings
from worker.stages import took

#: Encodings, and the share in the seconds that they took with all others of the batch.
_Result: TypeAlias = "Future[tuple[Encodings, float]]"
_Waiting: TypeAlias = tuple[NDArray[Any], _Result]


class Batcher:
    """Safe to use from several threads: each computes for all who wait when its turn comes."""

    def __init__(self, encode: Callable[[NDArray[Any]], Encodings]) -> None:
        """`encode`: see worker.encoder.Encoder."""
        self._encode = encode
        self._waiting: deque[_Waiting] = deque()
        self._turn = threading.Lock()

    def encode(self, crops: NDArray[Any]) -> Encodings:
        """The encodings (n, 128) of these crops (n, …). Raises what the encoder raises."""
        if not len(crops):
            return np.empty((0, DIMENSIONS), dtype=np.float32)
        result: _Result = Future()
        self._waiting.append((crops, result))
        with self._turn:
            if not result.done():
                self._encode_all_that_waits()
        encodings, seconds = result.result()
        took("encode", seconds)
        return encodings

    def _encode_all_that_waits(self) -> None:
        waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
        # A child that was taken over may send crops of any form: they must fail by themselves.
        by_form: dict[object, list[_Waiting]] = {}
        for crops, result in waiting:
            by_form.setdefault((crops.shape[1:], crops.dtype), []).append((crops, result))
        for alike in by_form.values():
            self._encode_together(alike)

    def _encode_together(self, waiting: Sequence[_Waiting]) -> None:
        ends = np.cumsum([len(crops) for crops, _ in waiting])
        start = time.perf_counter()
        try:
            encodings = self._encode(np.concatenate([crops for crops, _ in waiting]))
            parts = np.split(encodings.reshape(ends[-1], DIMENSIONS), ends[:-1])
        except Exception as error:  # noqa: BLE001  each raises it for itself
            for _, result in waiting:
                result.set_exception(error)
            return
        each = (time.perf_counter() - start) / int(ends[-1])
        for (_, result), part in zip(waiting, parts, strict=True):
            result.set_result((part, each * len(part)))
