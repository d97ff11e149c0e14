"""The process tree of the embedded service, whatever its parts are: start, watch, stop.

Used by facematch.embedded. Everything that happens, a process that ends or a signal to stop,
comes through one queue, so that waiting costs nothing and misses nothing.
"""

import contextlib
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TextIO

from facematch.processes import Part, Process

#: Seconds that a process has to end after it was asked to; the second when in a hurry.
STOP_SECONDS = 30.0
HURRIED_STOP_SECONDS = 1.0
#: Seconds between two lines about what is being waited for.
_PATIENCE_SECONDS = 5.0


class Failed(Exception):
    """A part ended or did not come up; the text is the line that says so."""


def failure(process: Process) -> Failed:
    """That this process has ended, and should not have."""
    last = f" Its last line: {process.last_line}" if process.last_line else ""
    return Failed(f"{process.name} {process.how_it_ended()}; see {process.log_file}.{last}")


class Stopped(Exception):
    """Somebody wants the tree to stop."""


_Look = Callable[[Sequence[Process]], None]


def _fail(ended: Sequence[Process]) -> None:
    for process in ended:
        raise failure(process)


class Console:
    """What the person at the terminal sees; lines of several threads, one at a time."""

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self._out, self._err = out, err
        self._lock = threading.Lock()
        self._muted = False

    def mute(self) -> None:
        """Show no more output of parts, so that the parent's line stays the last one."""
        with self._lock:
            self._muted = True

    def tell(self, line: str) -> None:
        """The result that somebody, or a script, waits for."""
        with self._lock:
            _write(line, self._out)

    def say(self, line: str) -> None:
        """Anything else from the parent."""
        with self._lock:
            _write(line, self._err)

    def output_of(self, name: str, line: str) -> None:
        """A line that a part wrote."""
        with self._lock:
            if not self._muted:
                _write(f"{name} | {line}", self._err)


def _write(line: str, stream: TextIO) -> None:
    # A terminal that is gone must not end the service.
    with contextlib.suppress(OSError, ValueError):
        stream.write(f"{line}\n")
        stream.flush()


class Tree:
    """Processes in the order of their start. Use it from the main thread."""

    def __init__(self, logs: Path, console: Console) -> None:
        self._logs = logs
        self._console = console
        self._events: queue.SimpleQueue[Process | signal.Signals] = queue.SimpleQueue()
        self._groups: list[list[Process]] = []
        self._ended: list[Process] = []

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """SIGINT, SIGTERM and SIGHUP become Stopped, raised only where the tree waits."""

        def note(number: int, frame: FrameType | None) -> None:
            del frame
            self._events.put(signal.Signals(number))

        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup leaves it
            numbers.append(signal.SIGHUP)
        before = {number: signal.signal(number, note) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def start(self, *parts: Part) -> None:
        """Start a group of parts that may be stopped at the same time. Raises Failed."""
        group: list[Process] = []
        self._groups.append(group)
        for part in parts:
            try:
                process = Process(part, self._logs, self._console.output_of, self._events.put)
            except OSError as error:
                raise Failed(f"{part.name} cannot be started: {error}") from error
            group.append(process)

    def wait_for(
        self, what: str, problem: Callable[[], str], seconds: float, look: _Look = _fail
    ) -> None:
        """Wait until `problem` returns "", for as long as what it returns keeps changing.

        Raises Failed after `seconds` without a change, and as `watch` does.
        """
        reason = ""
        changed = said = time.monotonic()
        while now_reason := problem():
            now = time.monotonic()
            if now_reason != reason:
                reason, changed = now_reason, now
            if now > changed + seconds:
                raise Failed(f"{what} is not ready: {reason}")
            if now > said + _PATIENCE_SECONDS:
                said = now
                self._console.say(f"facematch waits for {what}: {reason}")
            self._next(0.05)
            if self._ended:
                self._hand_over(look)

    def watch(self, look: _Look = _fail, seconds: float | None = None) -> None:
        """Raises Stopped at a signal, Failed when a process ends. Those that may end are given to
        `look`, which is called at once and then every `seconds`, or as soon as one has ended; what
        it raises comes through."""
        while True:
            self._hand_over(look)
            self._next(seconds)

    def _hand_over(self, look: _Look) -> None:
        ended, self._ended = self._ended, []
        look(ended)

    def stop(self) -> None:
        """Stop what runs, the last started first; a signal meanwhile makes it quick."""
        patience = STOP_SECONDS
        for group in reversed(self._groups):
            for process in group:
                process.terminate()
            asked = time.monotonic()
            while any(process.running for process in group):
                left = asked + patience - time.monotonic()
                if left <= 0:
                    self._kill(group)
                    break
                with contextlib.suppress(queue.Empty):
                    if isinstance(self._events.get(timeout=left), signal.Signals):
                        patience = HURRIED_STOP_SECONDS
        self._groups.clear()

    def _kill(self, group: list[Process]) -> None:
        for process in group:
            if process.running:
                self._console.say(f"facematch: {process.name} did not stop in time; killed")
                process.kill()
                process.join(HURRIED_STOP_SECONDS)

    def _next(self, timeout: float | None) -> None:
        """What has happened next, if that is within so many seconds."""
        try:
            event = self._events.get(timeout=timeout)
        except queue.Empty:
            return
        if isinstance(event, signal.Signals):
            raise Stopped
        if not event.may_end:
            raise failure(event)
        self._ended.append(event)
