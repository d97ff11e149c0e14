"""Open-loop load: requests are due at a fixed rate, whether or not those before were answered.

A closed loop asks less while it waits for a slow answer, and so leaves out just what somebody who
comes at that moment sees (coordinated omission). Here every request has a time at which it is due,
and its latency counts from there, whenever it could be sent.
"""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

#: For so long after the last request was due, as a part of the whole time, late ones are still
#: sent. Whoever is later will not come to an end at this rate.
_OVERTIME = 0.5
_LEAST_OVERTIME = 1.0

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Latencies:
    """What became of requests at a rate (1/s): `seconds` from when each was due to its answer.

    Those that failed are not among them, and counted in `failures` by what was raised. For
    `unsent` ones nobody had time any more: they are among `seconds` with the time until they were
    given up, which is less than they would have taken.
    """

    rate: float
    seconds: Floats
    failures: Counter[str] = field(default_factory=Counter)
    unsent: int = 0
    #: From the first request being due to the last answer.
    lasted: float = 0.0

    def percentile(self, share: float) -> float:
        """Seconds within which so many per cent were answered; those that failed never were."""
        missing = self.failures.total()
        total = len(self.seconds) + missing
        if not total:
            return float("nan")
        # The nearest rank, so that it is a latency that was seen.
        rank = min(total - 1, max(0, int(np.ceil(share / 100 * total)) - 1))
        return float(np.sort(self.seconds)[rank]) if rank < len(self.seconds) else float("inf")

    @property
    def answered(self) -> float:
        """Answers a second, as long as it lasted."""
        count = len(self.seconds) - self.unsent
        return count / self.lasted if self.lasted else 0.0


def run(
    send: Callable[[int], None],
    rate: float,
    seconds: float,
    threads: int = 32,
    stop: threading.Event | None = None,
) -> Latencies:
    """Call `send` with 0, 1, 2 … at `rate` calls a second, for so many seconds, or until `stop` is
    set: what is due then is still sent.

    `send` waits for the answer; what it raises is a failure. Up to `threads` calls are under way
    at once: a request that finds none free is sent later than it was due, which counts. Raises
    ValueError for a rate or a time at which nothing is sent.
    """
    count = int(rate * seconds)
    if count < 1 or threads < 1:
        raise ValueError(f"nothing is sent at {rate} a second for {seconds} s by {threads} threads")
    loop = _Loop(send, rate, count, max(_LEAST_OVERTIME, _OVERTIME * seconds), stop)
    workers = [threading.Thread(target=loop.work, daemon=True) for _ in range(min(threads, count))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    ended = time.perf_counter()
    taken = loop.taken[~np.isnan(loop.taken)]
    lasted = ended - loop.began
    return Latencies(rate, taken, loop.failures, loop.unsent, lasted)


class _Loop:
    def __init__(
        self,
        send: Callable[[int], None],
        rate: float,
        count: int,
        overtime: float,
        stop: threading.Event | None,
    ) -> None:
        self._stop = stop or threading.Event()
        self._send, self._rate, self._count = send, rate, count
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self.taken = np.full(count, np.nan)
        self.failures: Counter[str] = Counter()
        self.unsent = 0
        # Not at once: threads take a moment to start.
        self.began = time.perf_counter() + 0.05
        self._until = self.began + count / rate + overtime

    def work(self) -> None:
        """For each thread."""
        while (number := next(self._numbers)) < self._count:
            due = self.began + number / self._rate
            early = due - time.perf_counter()
            if early > 0:
                if self._stop.wait(early):
                    return
            elif time.perf_counter() > self._until:
                self._give_up(number, due)
                continue
            try:
                self._send(number)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is no answer
                with self._lock:
                    self.failures[_named(error)] += 1
            else:
                self.taken[number] = time.perf_counter() - due

    def _give_up(self, number: int, due: float) -> None:
        self.taken[number] = time.perf_counter() - due
        with self._lock:
            self.unsent += 1


def _named(error: Exception) -> str:
    """Its code where it has one, so that a report says more than a kind of error."""
    return str(getattr(error, "code", "") or type(error).__name__)
