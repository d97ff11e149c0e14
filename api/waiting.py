"""Waiting for jobs and images to change state: one listener for all requests, and no polling.

A request says what it waits for *before* it reads the state, so that no change falls between.
That the same image changes in another collection may wake it for nothing: it looks, and waits on.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import structlog

from facematch.errors import Unavailable

_LISTEN_SECONDS = 1.0
_PAUSE_MIN = 0.1
_PAUSE_MAX = 5.0

_Value = TypeVar("_Value")

_log = structlog.get_logger()


@dataclass(frozen=True)
class Awaited(Generic[_Value]):
    """A value, and the events that would change it: "job:<id>", "image:<hash>"."""

    value: _Value
    events: tuple[str, ...] = ()


class Listened(Protocol):
    """What tells of changes: see facematch.collections."""

    def listen(self, timeout: float) -> Iterator[str | None]:
        """See facematch.store.Front."""


def _nothing() -> None:
    pass


class Waiting:
    """Lets up to `places` requests wait at once. `on_connect` is called whenever the store is
    there for the first time or again."""

    def __init__(
        self, store: Listened, places: int, on_connect: Callable[[], None] = _nothing
    ) -> None:
        self._store = store
        self._places = threading.Semaphore(places)
        self.places = places
        self._waiting = 0
        self._on_connect = on_connect
        self._lock = threading.Lock()
        self._waiters: defaultdict[str, set[threading.Event]] = defaultdict(set)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)

    def start(self) -> None:
        """Start listening."""
        self._thread.start()

    def stop(self) -> None:
        """Let every waiting request go, now and from now on, and the listener soon."""
        self._stopped.set()
        self._wake_all()

    def until(
        self,
        read: Callable[[], Awaited[_Value]],
        seconds: float,
        known: Awaited[_Value] | None = None,
    ) -> _Value:
        """Call `read` until it has nothing to wait for, for up to `seconds`; its last value.

        `known`: what it would give at first, where that is known. Without a free place the first
        value is returned at once. Whatever `read` raises comes through.
        """
        first = known or read()
        if not first.events or seconds <= 0 or not self._places.acquire(blocking=False):
            return first.value
        with self._lock:
            self._waiting += 1
        try:
            return self._wait(read, first, time.monotonic() + seconds)
        finally:
            with self._lock:
                self._waiting -= 1
            self._places.release()

    @property
    def waiting(self) -> int:
        """How many requests wait now."""
        return self._waiting

    def _wait(
        self, read: Callable[[], Awaited[_Value]], found: Awaited[_Value], deadline: float
    ) -> _Value:
        woken = threading.Event()
        registered: set[str] = set()
        try:
            while found.events:
                if not registered.issuperset(found.events):
                    registered.update(found.events)
                    self._register(found.events, woken)
                elif self._stopped.is_set():
                    break
                elif not woken.wait(max(0.0, deadline - time.monotonic())):
                    # An event may have been lost: that shall cost time, and not the result.
                    return read().value
                woken.clear()
                found = read()
            return found.value
        finally:
            self._unregister(registered, woken)

    def _register(self, events: Iterable[str], woken: threading.Event) -> None:
        with self._lock:
            for event in events:
                self._waiters[event].add(woken)

    def _unregister(self, events: set[str], woken: threading.Event) -> None:
        with self._lock:
            for event in events:
                self._waiters[event].discard(woken)
                if not self._waiters[event]:
                    del self._waiters[event]

    def _wake(self, event: str) -> None:
        with self._lock:
            for woken in self._waiters.get(event, ()):
                woken.set()

    def _wake_all(self) -> None:
        with self._lock:
            for waiters in self._waiters.values():
                for woken in waiters:
                    woken.set()

    def _run(self) -> None:
        pause = _PAUSE_MIN
        while not self._stopped.is_set():
            try:
                if self._listen():
                    pause = _PAUSE_MIN
            except Exception:  # noqa: BLE001 - a dead listener would leave everybody waiting
                _log.exception("an error nobody planned for")
            self._wake_all()
            self._stopped.wait(pause)
            pause = min(pause * 2, _PAUSE_MAX)

    def _listen(self) -> bool:
        """Listen until stopped or the store is away; whether it was there at all."""
        connected = False
        try:
            for event in self._store.listen(_LISTEN_SECONDS):
                if self._stopped.is_set():
                    break
                if event is not None:
                    self._wake(event)
                elif not connected:
                    connected = True
                    _log.info("the store is there")
                    self._on_connect()
                    # What changed before this moment was not heard.
                    self._wake_all()
        except Unavailable as error:
            _log.warning("the store is away", detail=str(error))
        return connected
