"""Crops of several pictures are encoded in one go when they are there at the same time.

A network is faster on a batch. Nobody waits for a batch to fill: while one is computed, the next
one gathers.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facematch.faces import DIMENSIONS, Encodings


class Batcher:
    """Safe to use from several threads: each computes for all who wait when its turn comes."""

    def __init__(self, encode: Callable[[NDArray[Any]], Encodings]) -> None:
        """`encode`: see worker.encoder.Encoder."""
        self._encode = encode
        self._waiting: deque[tuple[NDArray[Any], Future[Encodings]]] = deque()
        self._turn = threading.Lock()

    def encode(self, crops: NDArray[Any]) -> Encodings:
        """The encodings (n, 128) of these crops (n, …). Raises what the encoder raises."""
        if not len(crops):
            return np.empty((0, DIMENSIONS), dtype=np.float32)
        result: Future[Encodings] = Future()
        self._waiting.append((crops, result))
        with self._turn:
            if not result.done():
                self._encode_all_that_waits()
        return result.result()

    def _encode_all_that_waits(self) -> None:
        waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
        ends = np.cumsum([len(crops) for crops, _ in waiting])
        try:
            encodings = self._encode(np.concatenate([crops for crops, _ in waiting]))
        except BaseException as error:  # noqa: BLE001  each raises it for itself
            for _, result in waiting:
                result.set_exception(error)
            return
        for (_, result), part in zip(waiting, np.split(encodings, ends[:-1]), strict=True):
            result.set_result(part)
