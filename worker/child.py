"""The worker's end of its nursery, and of each child that is forked from it.

Used by `worker.sandbox`. A child may have been taken over by a picture: whatever it does, asking
it ends within its time.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import NoReturn

import structlog

from facematch.errors import Unavailable
from worker.frames import (
    MESSAGE_BYTES,
    ChildSettings,
    Fork,
    Outcome,
    Request,
    Task,
    Wait,
    decode_answer,
    decode_outcome,
    encode_request,
    encode_task,
)
from worker.looking import Crashed

#: All that a child inherits of the environment. Nothing in it is secret.
_INHERITED = ("PATH", "PYTHONPATH", "HOME", "XDG_CACHE_HOME", "LANG", "LC_ALL", "TZ")
#: One thread each: there are as many children as there is to compute with.
_OWN = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
#: The nursery loads the models in this time, also on a machine that is busy with other things.
_START_SECONDS = 60.0
#: Of what a child may answer; a hundred faces are seven.
_ANSWER_BYTES = 256 * 1024 * 1024

_log = structlog.get_logger()


class Child:
    """One task at a time."""

    def __init__(
        self, nursery: "Nursery", process: "subprocess.Popen[bytes]", pid: int, ours: socket.socket
    ) -> None:
        """`process`: of the nursery that forked it, which may not be the present one for long."""
        self._nursery = nursery
        self._process = process
        self._pid = pid
        self._socket = ours
        self._connection = Connection(os.dup(ours.fileno()))
        self._ended = False
        self._overdue = False

    def ask(self, task: Task, seconds: float) -> Outcome:
        """Raises Crashed, Unavailable; the child is to be discarded then."""
        timer = threading.Timer(seconds, self._expire)
        timer.start()
        try:
            self._connection.send_bytes(encode_task(task))
            outcome = decode_outcome(self._connection.recv_bytes(_ANSWER_BYTES))
        except (EOFError, OSError, ValueError) as error:
            self._explain(error)
        finally:
            timer.cancel()
        if self._overdue:  # between its answer and here
            raise Crashed("timed_out")
        return outcome

    def discard(self) -> None:
        """It is not to be used again."""
        self._kill()
        self._connection.close()
        self._socket.close()
        self._wait()

    def _expire(self) -> None:
        self._overdue = True
        self._kill()
        # A process that the child has started may hold the other end open.
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _kill(self) -> None:
        # Its process id is its own until its nursery has been told to wait for it, or has ended.
        if not self._ended and self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)

    def _wait(self) -> int | None:
        if self._ended:
            return None
        self._ended = True
        return self._nursery.wait(self._pid, self._process)

    def _explain(self, error: Exception) -> NoReturn:
        if isinstance(error, ValueError):
            raise Crashed("decoder_crashed", "a child answered with nonsense") from error
        # One that is about to end ends as it would have; one that only went silent must not be
        # waited for.
        self._kill()
        status = self._wait()
        _log.warning("a child ended over a picture", status=status, overdue=self._overdue)
        if self._overdue or status == -signal.SIGXCPU:
            raise Crashed("timed_out") from error
        if status is None:  # all children end with their nursery: no fault of the picture
            raise Unavailable("sandbox_unavailable", "the nursery ended") from error
        if status == -signal.SIGKILL:  # so does the system when memory runs out
            raise Crashed("out_of_memory") from error
        raise Crashed("decoder_crashed") from error


class Nursery:
    """The process that forks; started again if it is gone."""

    def __init__(self, settings: ChildSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._ready = False
        self._closed = False
        self._start()

    def check(self) -> None:
        """Wait until it can fork. Raises Unavailable("sandbox_unavailable") when it has ended;
        it is started again then."""
        with self._lock:
            self._be_ready()

    def child(self) -> Child:
        """A fresh child. Raises Unavailable("sandbox_unavailable")."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                with self._lock:
                    pid = self._ask(Fork(), theirs)
                    return Child(self, self._process, pid, ours)
            except BaseException:
                ours.close()
                raise

    def wait(self, pid: int, process: "subprocess.Popen[bytes]") -> int | None:
        """The exit status of a child that has ended, or is about to; None when it is unknown,
        because the nursery that forked it, `process`, has ended, and with it all its children."""
        with self._lock:
            if process is not self._process:
                return None
            try:
                return self._ask(Wait(pid))
            except Unavailable:
                return None

    def close(self) -> None:
        """End it."""
        with self._lock:
            self._closed = True
            self._control.close()
        self._process.kill()
        self._process.wait()

    def _start(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(_START_SECONDS)
        with theirs:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "worker.nursery"),
                    *(str(theirs.fileno()), self._settings.encode()),
                ],
                stdin=subprocess.DEVNULL,
                env=_environment(os.environ),
                pass_fds=[theirs.fileno()],
            )
        self._ready = False

    def _ask(self, request: Request, handed: socket.socket | None = None) -> int:
        self._be_ready()
        try:
            descriptors = [handed.fileno()] if handed else []
            socket.send_fds(self._control, [encode_request(request)], descriptors)
            return decode_answer(self._receive())
        except (OSError, EOFError) as error:
            self._start_again(error)

    def _be_ready(self) -> None:
        if self._closed:
            raise Unavailable("sandbox_unavailable", "it was closed")
        if self._process.poll() is not None:
            self._start_again(None)
        if not self._ready:
            try:
                self._receive()
            except (OSError, EOFError) as error:
                self._start_again(error)
            self._ready = True

    def _start_again(self, error: Exception | None) -> NoReturn:
        self._control.close()
        self._process.kill()
        status = self._process.wait()
        _log.error("the nursery ended and is started again", status=status)
        self._start()
        raise Unavailable("sandbox_unavailable", "the nursery ended") from error

    def _receive(self) -> bytes:
        message = self._control.recv(MESSAGE_BYTES)
        if not message:
            raise EOFError
        return message


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: environment[name] for name in _INHERITED if name in environment} | _OWN
