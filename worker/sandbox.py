"""Pictures are looked at, and URLs fetched, in children that they cannot harm the worker from.

`Sandbox` is the worker's end; `worker.nursery` is the process from which the children are forked,
`worker.frames` what is said. A child that crashes, hangs or wants too much memory costs its own
task; the next one finds a fresh child.
"""

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection
from typing import NoReturn

import structlog

from facematch.errors import Rejected, Unavailable
from worker.batching import Batcher
from worker.encoder import Encoder
from worker.frames import (
    Broken,
    ChildSettings,
    Exhausted,
    Fetch,
    Fetched,
    Fork,
    Look,
    Outcome,
    Refused,
    Request,
    Task,
    Wait,
    decode_outcome,
    encode_request,
    encode_task,
)
from worker.looking import Crashed, Looked, Seen, looked

#: All that a child inherits of the environment. Nothing in it is secret.
_INHERITED = (
    "PATH",
    "PYTHONPATH",
    "HOME",
    "XDG_CACHE_HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "SSL_CERT_FILE",
)
#: One thread each: there are as many children as there is to compute with.
_OWN = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
#: Seconds by the clock for each second of processor time: a busy machine is no picture's fault.
_CLOCK_TIMES = 5.0
_START_SECONDS = 60.0
#: A child counts its own seconds, and knows better what it was doing when they were over.
_GRACE_SECONDS = 2.0
_MESSAGE_BYTES = 4096
#: Of what a child may answer; a hundred faces are seven.
_ANSWER_BYTES = 256 * 1024 * 1024

_log = structlog.get_logger()


class Sandbox:
    """Safe to use from several threads."""

    def __init__(self, settings: ChildSettings, *, lookers: int, fetchers: int) -> None:
        """Starts the nursery, and does not wait for it. `lookers`, `fetchers`: how many children
        there are at the most for either; each is started when it is needed.
        """
        self._nursery = _Nursery(settings)
        self._lookers = _Children(self._nursery, lookers)
        self._fetchers = _Children(self._nursery, fetchers)
        self._look_seconds = _CLOCK_TIMES * settings.cpu_seconds
        self._fetch_seconds = settings.fetch.timeout + _GRACE_SECONDS

    def look(self, data: bytes) -> Seen:
        """The faces of a picture, not yet encoded.

        Raises Rejected as `worker.decode` does, Crashed: decoder_crashed, out_of_memory,
        timed_out; Unavailable("sandbox_unavailable") when no child can be had. What needs more
        memory than pictures have that are looked at at the same time is looked at alone.
        """
        try:
            outcome = self._lookers.ask(Look(data), self._look_seconds)
        except Crashed as crashed:
            if crashed.code != "out_of_memory":
                raise
            outcome = self._lookers.ask_alone(Look(data, alone=True), self._look_seconds)
        if not isinstance(outcome, Seen):
            raise Crashed("decoder_crashed", "a child answered with something else")
        return outcome

    def fetch(self, url: str) -> bytes:
        """The bytes behind a URL. Raises Rejected as `worker.fetch` does, else as `look` does."""
        outcome = self._fetchers.ask(Fetch(url), self._fetch_seconds)
        if not isinstance(outcome, Fetched):
            raise Crashed("decoder_crashed", "a child answered with something else")
        return outcome.data

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *error: object) -> None:
        """End the nursery, and with it all children."""
        self._nursery.close()


class SandboxedLooker:
    """See worker.looking.Looker: finds faces in the sandbox, and encodes them in this process."""

    def __init__(self, sandbox: Sandbox, encoder: Encoder) -> None:
        self._sandbox = sandbox
        self._batcher = Batcher(encoder.encode)

    def look(self, data: bytes) -> Looked:
        """See Looker."""
        seen = self._sandbox.look(data)
        return looked(seen, self._batcher.encode(seen.crops))


class _Children:
    """Up to so many children, the last used first, so that no more are started than needed."""

    def __init__(self, nursery: "_Nursery", count: int) -> None:
        self._nursery = nursery
        self._count = count
        self._one_alone = threading.Lock()
        self._free: queue.LifoQueue[_Child | None] = queue.LifoQueue()
        for _ in range(count):
            self._free.put(None)

    def ask(self, task: Task, seconds: float) -> Outcome:
        with self._borrowed() as child:
            outcome = child.ask(task, seconds)
            match outcome:
                case Exhausted():
                    raise Crashed("out_of_memory")
                case Broken(where):
                    _log.error("a picture met an error of ours", where=where)
                    raise Crashed("decoder_crashed", "an error nobody planned for")
        if isinstance(outcome, Refused):
            raise Rejected(outcome.code, outcome.detail)
        return outcome

    def ask_alone(self, task: Task, seconds: float) -> Outcome:
        """While no other child has a task."""
        with self._one_alone, ExitStack() as idle:
            for _ in range(self._count - 1):
                idle.callback(self._free.put, self._free.get())
            return self.ask(task, seconds)

    @contextmanager
    def _borrowed(self) -> Iterator["_Child"]:
        child = self._free.get()
        try:
            child = child or self._nursery.child()
            yield child
        except BaseException:
            if child is not None:
                child.discard()
            child = None
            raise
        finally:
            self._free.put(child)


class _Child:
    """One task at a time."""

    def __init__(self, nursery: "_Nursery", pid: int, connection: Connection) -> None:
        self._nursery = nursery
        self._pid = pid
        self._connection = connection
        self._ended = False
        self._overdue = False

    def ask(self, task: Task, seconds: float) -> Outcome:
        """Raises Crashed."""
        timer = threading.Timer(seconds, self._expire)
        timer.start()
        try:
            self._connection.send_bytes(encode_task(task))
            return decode_outcome(self._connection.recv_bytes(_ANSWER_BYTES))
        except (EOFError, OSError, ValueError) as error:
            self._explain(error)
        finally:
            timer.cancel()

    def discard(self) -> None:
        """It is not to be used again."""
        self._kill()
        self._connection.close()
        self._wait()

    def _expire(self) -> None:
        self._overdue = True
        self._kill()

    def _kill(self) -> None:
        # Its process id is its own until the nursery has been told to wait for it.
        if not self._ended:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)

    def _wait(self) -> int | None:
        if self._ended:
            return None
        self._ended = True
        return self._nursery.wait(self._pid)

    def _explain(self, error: Exception) -> NoReturn:
        if isinstance(error, ValueError):
            raise Crashed("decoder_crashed", "a child answered with nonsense") from error
        status = self._wait()
        _log.warning("a child ended over a picture", status=status, overdue=self._overdue)
        if self._overdue or status == -signal.SIGXCPU:
            raise Crashed("timed_out") from error
        if status is None:  # all children end with the nursery: no fault of the picture
            raise Unavailable("sandbox_unavailable", "the nursery ended") from error
        if status == -signal.SIGKILL:  # so does the system when memory runs out
            raise Crashed("out_of_memory") from error
        raise Crashed("decoder_crashed") from error


class _Nursery:
    """The process that forks; started again if it is gone."""

    def __init__(self, settings: ChildSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._ready = False
        self._closed = False
        self._start()

    def child(self) -> _Child:
        """A fresh child. Raises Unavailable("sandbox_unavailable")."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            pid = self._request(Fork(), theirs)
            return _Child(self, pid, Connection(ours.detach()))

    def wait(self, pid: int) -> int | None:
        """The exit status of a child that has ended, or is about to; None when unknown."""
        try:
            return self._request(Wait(pid))
        except Unavailable:
            return None  # the nursery has ended too, and with it all its children

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

    def _request(self, request: Request, handed: socket.socket | None = None) -> int:
        with self._lock:
            if self._closed:
                raise Unavailable("sandbox_unavailable", "it was closed")
            try:
                if not self._ready:
                    self._receive()
                    self._ready = True
                descriptors = [handed.fileno()] if handed else []
                socket.send_fds(self._control, [encode_request(request)], descriptors)
                return int(self._receive())
            except (OSError, EOFError) as error:
                self._control.close()
                self._process.kill()
                status = self._process.wait()
                _log.error("the nursery ended and is started again", status=status)
                self._start()
                raise Unavailable("sandbox_unavailable", "the nursery ended") from error

    def _receive(self) -> bytes:
        message = self._control.recv(_MESSAGE_BYTES)
        if not message:
            raise EOFError
        return message


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: environment[name] for name in _INHERITED if name in environment} | _OWN
