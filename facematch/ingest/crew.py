"""The threads of `facematch ingest`: each sees one entry after the other through, and keeps at it
when the service goes away.
"""

import queue
import threading
import time
from dataclasses import dataclass

from tenacity import (
    Retrying,
    retry_if_exception_type,
    stop_when_event_set,
    wait_exponential,
    wait_random,
)
from tenacity.nap import sleep_using_event

from facematch.client import Client
from facematch.errors import FacematchError, Unavailable
from facematch.ingest.journal import Done
from facematch.ingest.picture import Outcome, failed, see_through
from facematch.ingest.source import Entry

#: Times that one entry may find no service while the service says that it is ready.
_STRIKES = 3

_backoff = wait_exponential(0.5, max=5.0) + wait_random(0, 0.5)


@dataclass
class Task:
    """An entry to see through, and what an earlier run remembers of it."""

    entry: Entry
    before: Done | None
    again: bool = False
    strikes: int = 0


class Contact:
    """Whether the service answers, as all threads see it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lost: tuple[float, Unavailable] | None = None

    def found(self) -> None:
        """It answered."""
        with self._lock:
            self._lost = None

    def lost(self, error: Unavailable) -> None:
        """It did not."""
        with self._lock:
            if self._lost is None:
                self._lost = (time.monotonic(), error)

    def trouble(self) -> tuple[float, Unavailable] | None:
        """For how many seconds nothing was answered, and the first error."""
        with self._lock:
            if self._lost is None:
                return None
            since, error = self._lost
            return time.monotonic() - since, error


class Crew:
    """Threads that see entries through. They are left behind when they do not end in time."""

    def __init__(self, client: Client, size: int) -> None:
        self.contact = Contact()
        self.results: queue.SimpleQueue[Outcome | Exception | None] = queue.SimpleQueue()
        self._client = client
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, name=f"ingest-{number}", daemon=True)
            for number in range(size)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def put(self, task: Task) -> None:
        """A result for it will come: None if it did not end because of `stop`, or the exception
        that nobody planned for."""
        self._tasks.put(task)

    def stop(self) -> None:
        """Let what is under way end, within one long poll, and begin nothing."""
        self._stopped.set()
        for _ in self._threads:
            self._tasks.put(None)

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                self.results.put(self._until_it_ended(task))
            except Exception as error:  # noqa: BLE001 - raised where the results are taken
                self.results.put(error)

    def _until_it_ended(self, task: Task) -> Outcome | None:
        tries = Retrying(
            retry=retry_if_exception_type(Unavailable),
            wait=_backoff,
            stop=stop_when_event_set(self._stopped),
            sleep=sleep_using_event(self._stopped),
            retry_error_callback=lambda _: None,
        )
        return tries(self._try, task)

    def _try(self, task: Task) -> Outcome | None:
        if self._stopped.is_set():
            return None
        again, task.again = task.again, True
        try:
            outcome = see_through(self._client, task.entry, task.before, self._answered, again)
        except Unavailable as error:
            self.contact.lost(error)
            if error.code != "service_unavailable" or not self._is_ready():
                raise
            # The service is there, but not for this picture: perhaps it is far too large.
            task.strikes += 1
            if task.strikes < _STRIKES:
                raise
            return failed(task.entry, error.code, str(error))
        self.contact.found()
        return outcome

    def _answered(self) -> bool:
        self.contact.found()
        return not self._stopped.is_set()

    def _is_ready(self) -> bool:
        try:
            self._client.ready()
        except FacematchError:
            return False
        self.contact.found()
        return True
