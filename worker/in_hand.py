"""What this worker has in hand, and that the store goes on knowing it, however long work takes.

Without that, the sweeper takes a job for left lying and publishes it again while somebody still
looks at its picture, or waits to; each copy would count as an attempt.
"""

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import structlog

from facematch.collection_name import DEFAULT
from facematch.errors import NotFound, Unavailable
from facematch.store import WORK_SECONDS

_log = structlog.get_logger()


class InHand:
    """Safe to use from several threads."""

    def __init__(self, hold: Callable[[str, Sequence[str]], None]) -> None:
        """`hold`: see Store; of the collection of this name."""
        self._hold = hold
        self._jobs: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)

    @contextmanager
    def having(self, job: str, collection: str = DEFAULT) -> Iterator[None]:
        """The job is in hand while the context lasts."""
        with self._lock:
            self._jobs[collection, job] += 1
        try:
            yield
        finally:
            with self._lock:
                self._jobs[collection, job] -= 1
                self._changed.notify_all()

    @property
    def count(self) -> int:
        """How many there are."""
        with self._lock:
            return sum(1 for times in self._jobs.values() if times)

    def wait_for_none(self, seconds: float) -> None:
        """Until no job is in hand, but no longer than so many seconds."""
        with self._lock:
            self._changed.wait_for(lambda: not any(self._jobs.values()), seconds)

    def keep(self, stop: threading.Event, seconds: float = WORK_SECONDS / 3) -> None:
        """Say so every so many seconds until `stop` is set; for a thread of its own."""
        while not stop.wait(seconds):
            with self._lock:
                self._jobs = +self._jobs
                jobs: defaultdict[str, list[str]] = defaultdict(list)
                for collection, job in self._jobs:
                    jobs[collection].append(job)
            for collection, its_own in jobs.items():
                try:
                    self._hold(collection, its_own)
                except (NotFound, Unavailable) as error:
                    _log.warning("cannot hold what is in hand", code=error.code, detail=str(error))
