"""Runs several jobs step by step, in any order a test chooses: the steps are the failpoints."""

import threading
from collections.abc import Callable

from facematch import failpoints


class Crash(BaseException):
    """The worker died here: nothing catches it, nothing is cleaned up."""


class SteppedWorker:
    """A worker thread that stops at every failpoint until it is told to go on."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.error: BaseException | None = None
        self.alive = True
        self._crash = False
        self._go = threading.Semaphore(0)
        self._stopped = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def step(self) -> None:
        """Let it run to the next failpoint, or to its end."""
        self._go.release()
        if not self._stopped.acquire(timeout=60):
            raise AssertionError("a worker neither ended nor reached a failpoint")

    def crash(self) -> None:
        """Let it die where it stands."""
        self._crash = True
        while self.alive:
            self.step()

    def finish(self) -> None:
        """Let it run to its end."""
        while self.alive:
            self.step()

    def _run(self, work: Callable[[], object]) -> None:
        _current.worker = self
        self._go.acquire()
        try:
            if not self._crash:
                work()
        except Crash:
            pass
        except BaseException as error:
            self.error = error
        self.alive = False
        self._stopped.release()

    def _pause(self) -> None:
        self._stopped.release()
        self._go.acquire()
        if self._crash:
            raise Crash


_current = threading.local()


def pause_at_failpoints(name: str) -> None:
    """The failpoint hook: stops stepped workers, and nobody else."""
    del name
    worker: SteppedWorker | None = getattr(_current, "worker", None)
    if worker is not None:
        worker._pause()


def install() -> None:
    """Stop stepped workers at failpoints from now on."""
    failpoints.set_hook(pause_at_failpoints)


def remove() -> None:
    """Undo `install`."""
    failpoints.set_hook(None)
