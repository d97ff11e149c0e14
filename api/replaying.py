"""Plays the erasure ledger back to the store: at start, and whenever the store was away.

A store that was away may have come back without its last writes, or from a backup.
"""

import threading
from collections.abc import Callable

import structlog
from tenacity import Retrying, retry_if_exception_type, stop_when_event_set, wait_exponential
from tenacity.nap import sleep_using_event

from api.ledger import Ledger, replay
from facematch.collections import Collections
from facematch.errors import Unavailable
from facematch.store import Front

_log = structlog.get_logger()


class Replayer:
    """One thread; `request` makes it replay."""

    def __init__(
        self, store_of: Callable[[str], Front], collections: Collections, ledger: Ledger
    ) -> None:
        """`store_of`: the store of a collection, which need not exist."""
        self._store_of = store_of
        self._collections = collections
        self._ledger = ledger
        self._asked = 0
        self._done = 0
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="replayer", daemon=True)

    @property
    def replayed(self) -> bool:
        """Whether the store has heard of every erasure since it was last away."""
        with self._changed:
            return self._done > 0 and self._done == self._asked

    def start(self) -> None:
        """Start the thread; it does nothing until asked."""
        self._thread.start()

    def request(self) -> None:
        """Replay, soon; `replayed` is False until that is done."""
        with self._changed:
            self._asked += 1
            self._changed.notify()

    def stop(self) -> None:
        """Let the thread end."""
        with self._changed:
            self._stopped.set()
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._due)
                asked = self._asked
            if self._stopped.is_set():
                return
            self._replay()
            with self._changed:
                self._done = asked

    def _due(self) -> bool:
        return self._stopped.is_set() or self._done != self._asked

    def _replay(self) -> None:
        patient = Retrying(
            retry=retry_if_exception_type(Unavailable),
            wait=wait_exponential(0.2, max=5),
            stop=stop_when_event_set(self._stopped),
            sleep=sleep_using_event(self._stopped),
            retry_error_callback=lambda state: None,
        )
        count = patient(replay, self._store_of, self._collections, self._ledger)
        if count is not None:
            _log.info("ledger replayed", erasures=count)
