"""One process of the embedded service: started, its output pumped and kept, stopped.

Used by facematch.embedded. Every process has a session of its own, so that Ctrl-C on the
terminal reaches only the parent, and is tied to the parent by facematch.tether.
"""

import contextlib
import logging
import logging.handlers
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from facematch import tether

LOG_BYTES = 4 * 1024 * 1024
LOG_FILES = 3


@dataclass(frozen=True)
class Part:
    """What to run. `command[0]` is the path of a program; `environment` is all of it.

    The output of a quiet part goes to its log file alone. `keep` are file descriptors that
    the process inherits. Of one that `may_end` whoever watches it decides whether that is a
    failure; of all others it is.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    quiet: bool = False
    keep: Sequence[int] = ()
    may_end: bool = False


class Process:
    """A started part. Start it from the main thread: the tie is to the thread that starts it."""

    def __init__(
        self,
        part: Part,
        logs: Path,
        show: Callable[[str, str], None],
        ended: Callable[["Process"], None],
    ) -> None:
        """`show` gets the part's name and each line of output; `ended` is called, from another
        thread, when the process has ended and all its output is written.

        Raises OSError when its log file cannot be written.
        """
        self.name = part.name
        self.may_end = part.may_end
        self.log_file = logs / f"{part.name}.log"
        self.last_line = ""
        self._show = None if part.quiet else show
        self._ended = ended
        self._gone = threading.Event()
        self._reaping = threading.Lock()
        self._reaped = False
        self._log = _LogFile(
            self.log_file, maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8"
        )
        self._popen = subprocess.Popen(
            [sys.executable, "-IS", tether.__file__, str(os.getpid()), *part.command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=part.environment,
            start_new_session=True,
            pass_fds=part.keep,
        )
        self._pump_thread = threading.Thread(target=self._pump, daemon=True)
        self._pump_thread.start()
        threading.Thread(target=self._wait, daemon=True).start()

    @property
    def running(self) -> bool:
        """Whether it has not ended yet, or its last output is still being written."""
        return not self._gone.is_set()

    def terminate(self) -> None:
        """Ask it to stop."""
        self._signal(os.kill, signal.SIGTERM)

    def kill(self) -> None:
        """Make it stop, with whatever it started."""
        self._signal(os.killpg, signal.SIGKILL)

    def join(self, timeout: float) -> bool:
        """Wait until it has ended, at most `timeout` seconds; whether it has."""
        return self._gone.wait(timeout)

    @property
    def exit_code(self) -> int:
        """That, once it has ended; -N when signal N has ended it."""
        return int(self._popen.returncode)

    def how_it_ended(self) -> str:
        """Its exit code or signal, in words, once it has ended."""
        code = self.exit_code
        if code >= 0:
            return f"ended with exit code {code}"
        try:
            return f"was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"was ended by signal {-code}"

    def _signal(self, send: Callable[[int, int], None], number: signal.Signals) -> None:
        # Once the process is reaped, its id may be that of another.
        with self._reaping:
            if not self._reaped:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    send(self._popen.pid, number)

    def _wait(self) -> None:
        if hasattr(os, "waitid"):
            os.waitid(os.P_PID, self._popen.pid, os.WEXITED | os.WNOWAIT)
            self.kill()  # what it may have started and left behind
        else:
            self._popen.wait()
        with self._reaping:
            self._popen.wait()
            self._reaped = True
        self._pump_thread.join(timeout=2)
        self._gone.set()
        self._ended(self)

    def _pump(self) -> None:
        assert self._popen.stdout is not None  # noqa: S101
        log = logging.Logger(self.name)
        log.addHandler(self._log)
        with contextlib.closing(self._log), self._popen.stdout as lines:
            for data in lines:
                line = data.decode(errors="replace").rstrip()
                if line:
                    self.last_line = line
                    log.info("%s", line)
                    if self._show is not None:
                        self._show(self.name, line)


class _LogFile(logging.handlers.RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:
        """On a full disk the console still has the lines; a traceback for each would drown them."""
