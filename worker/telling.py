"""Tells the workers of the other edition, which follows the one that is served, what has ended."""

import contextlib
import threading
import time

from facematch.broker import Queues
from facematch.errors import Unavailable
from facematch.job import Message
from facematch.reencoding import Editions, Reencoding

#: For so long the editions are believed to be as they were. What is missed is for the sweeper.
_KNOWN_SECONDS = 1.0


class Telling:
    """Of a worker of the edition with this number. Safe to share between threads."""

    def __init__(self, reencoding: Reencoding, queues: Queues, number: int) -> None:
        self._reencoding, self._queues, self._number = reencoding, queues, number
        self._lock = threading.Lock()
        self._editions: Editions | None = None
        self._until = 0.0

    def editions(self) -> Editions:
        """Those there are, or were a moment ago. Raises Unavailable."""
        with self._lock:
            if self._editions is None or time.monotonic() > self._until:
                self._editions = self._reencoding.editions()
                self._until = time.monotonic() + _KNOWN_SECONDS
            return self._editions

    def ended(self, job: str) -> None:
        """A job has ended here, or is left to the sweeper. Raises nothing."""
        with contextlib.suppress(Unavailable):
            there = self.editions()
            if there.other is not None and there.served.number == self._number:
                self._queues.of(there.other.number).publish(Message(job))
