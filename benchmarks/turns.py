"""Timing things in turns, so that a noisy machine disturbs all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping

from facematch.faces import Encodings


def in_turns(work: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Seconds that each takes: the median over the rounds, in each of which all take their turn.

    Each runs once before, unmeasured.
    """
    for do in work.values():
        do()
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, do in work.items():
            start = time.perf_counter()
            do()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def singly(search: Callable[[Encodings], object], queries: Encodings) -> Callable[[], None]:
    """What searches for these queries (q, 128), one after the other."""

    def all_of_them() -> None:
        for row in range(len(queries)):
            search(queries[row : row + 1])

    return all_of_them
