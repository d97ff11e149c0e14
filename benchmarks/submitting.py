"""Submits many pictures to a service through its REST api, so many at once, and notes of each how
it ended and when."""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.sources import Picture
from facematch.client import MAX_WAIT, Client
from facematch.errors import FacematchError, Unavailable
from facematch.store import State

_TICK = 0.25
_EXAMPLES = 5
#: So many pictures for each that is under way may find no service, one after the other.
_PATIENCE = 2


@dataclass(frozen=True, slots=True)
class Ended:
    """A picture: when it ended, in seconds on the clock of `Submitting`; how long that was after it
    was sent; and how: `code` is "" unless it failed."""

    at: float
    seconds: float
    code: str = ""


@dataclass
class Failures:
    """How many pictures failed for a reason, and the first names."""

    count: int = 0
    names: list[str] = field(default_factory=list)


class Submitting:
    """The clock stands still between two calls of `run`."""

    def __init__(self, client: Client, concurrency: int) -> None:
        self._client, self._concurrency = client, concurrency
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._began = 0.0
        #: Seconds for which `run` ran.
        self.seconds = 0.0
        self.ended: list[Ended] = []
        self.failures: dict[str, Failures] = {}
        #: Pictures in a row that the service did not answer for.
        self._silent = 0
        self._lost: Unavailable | None = None

    @property
    def failed(self) -> int:
        """How many pictures failed."""
        return sum(each.count for each in self.failures.values())

    @property
    def codes(self) -> Counter[str]:
        """How many failed, by their codes."""
        return Counter({code: each.count for code, each in self.failures.items()})

    def run(self, pictures: Sequence[Picture], tick: Callable[[], None]) -> None:
        """Submit these and see each to its end; `tick` is called four times a second.

        An interrupt ends it once what is under way has ended, and is raised then. Raises
        Unavailable when the service does not answer any more.
        """
        self._began = time.perf_counter() - self.seconds
        numbers = itertools.count()
        threads = [
            threading.Thread(target=self._work, args=(pictures, numbers), daemon=True)
            for _ in range(min(self._concurrency, len(pictures)))
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(_TICK)
                    tick()
        except BaseException:
            self._stop.set()
            for thread in threads:
                thread.join(MAX_WAIT)
            raise
        finally:
            self.seconds = self.clock()
        if self._lost is not None:
            raise self._lost

    def clock(self) -> float:
        """Seconds of running so far."""
        return time.perf_counter() - self._began

    def _work(self, pictures: Sequence[Picture], numbers: "itertools.count[int]") -> None:
        while not self._stop.is_set():
            # One after the other without a lock: of CPython's own iterators, that is so.
            number = next(numbers)
            if number >= len(pictures):
                return
            self._see_through(pictures[number])

    def _see_through(self, picture: Picture) -> None:
        start, code = time.perf_counter(), ""
        try:
            body = b"" if picture.url else picture.read()
            start = time.perf_counter()
            if picture.url:
                job = self._client.submit_url(picture.url, wait=MAX_WAIT)
            else:
                job = self._client.submit(body, picture.name, wait=MAX_WAIT)
            while not job.ended:
                if self._stop.is_set():
                    return
                job = self._client.wait_for(job, MAX_WAIT)
            if job.state is not State.DONE:
                code = job.code or str(job.state)
            self._silent = 0
        except Unavailable as error:
            code = error.code
            self._silent += 1
            if self._silent > _PATIENCE * self._concurrency:
                self._lost = error
                self._stop.set()
        except FacematchError as error:
            code = error.code
        except OSError:
            code = "unreadable"
        now = time.perf_counter()
        with self._lock:
            self.ended.append(Ended(now - self._began, now - start, code))
            if code:
                failures = self.failures.setdefault(code, Failures())
                failures.count += 1
                if len(failures.names) < _EXAMPLES:
                    failures.names.append(picture.name)
