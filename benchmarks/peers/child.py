"""A peer in a process of its own: it may crash, hang or be compiled for other threads, and what
its faces take shows in the memory of the process."""

import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.peer import Peer, PeerIndex, Rows
from facematch import tether
from facematch.faces import Encodings

#: A query that takes longer than this is waited for no more.
_QUERY_SECONDS = 60.0
_STOP_SECONDS = 15.0
#: What the peers' arithmetic takes its number of threads from, when it is imported.
_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class PeerFailed(Exception):
    """A peer could not do what it was asked to; the text says why."""


class TooSlow(PeerFailed):
    """A peer took longer than it may."""


@dataclass(frozen=True)
class Built:
    """What holding the faces took."""

    seconds: float
    bytes: int


@dataclass(frozen=True)
class Answer:
    """The faces found, and how long that took."""

    rows: Rows
    seconds: float


class Child:
    """A started peer; use it as a context, which ends it."""

    def __init__(self, peer: Peer, folder: Path, file: Path, faces: int) -> None:
        """`folder`: one that the peer may fill; `file`: encodings as numpy saves them, of which
        the peer gets the first `faces`."""
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        arguments = (other, os.getpid(), peer, folder, file, faces)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        with _one_thread():
            self._process.start()
        other.close()

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with suppress(OSError):
            self._pipe.send(None)
        if kind is not None:
            self._process.terminate()
        self._process.join(_STOP_SECONDS)
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def build(self, seconds: float) -> Built:
        """Let it take in the faces, for so long at most. Raises PeerFailed, also TooSlow."""
        built: Built = self._receive(seconds, "to take in its faces")
        return built

    def within(self, query: Encodings, radius: float, setting: int) -> Answer:
        """See PeerIndex. Raises PeerFailed, also TooSlow."""
        try:
            self._pipe.send((query, radius, setting))
        except OSError as error:
            raise PeerFailed(self._end()) from error
        answer: Answer = self._receive(_QUERY_SECONDS, "for a query")
        return answer

    def _receive(self, seconds: float, what: str) -> Any:
        if not self._pipe.poll(seconds):
            raise TooSlow(f"took more than {seconds:g} s {what}")
        try:
            received = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise PeerFailed(self._end()) from error
        if isinstance(received, str):
            raise PeerFailed(received)
        return received

    def _end(self) -> str:
        self._process.join(_STOP_SECONDS)
        return f"its process ended with {self._process.exitcode}"


@contextmanager
def _one_thread() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _serve(pipe: Connection, parent: int, peer: Peer, folder: Path, file: Path, faces: int) -> None:
    """What the process does: sends Built, then an Answer for each query, or why it cannot."""
    tether.tie(parent)
    # Ctrl-C is the parent's; what the peer has started ends with it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    warnings.simplefilter("ignore")
    try:
        index = peer.open(folder)
        try:
            _answer(pipe, index, np.load(file, mmap_mode="r")[:faces])
        finally:
            index.close()
    except EOFError:
        pass
    except Exception as error:  # noqa: BLE001 - whatever a peer raises, it is the peer's
        pipe.send(" ".join(f"{type(error).__name__}: {error}".split()))


def _answer(pipe: Connection, index: PeerIndex, encodings: Encodings) -> None:
    before = _memory()
    start = time.perf_counter()
    index.build(encodings)
    seconds = time.perf_counter() - start
    taken = index.bytes
    pipe.send(Built(seconds, _memory() - before if taken is None else taken))
    while (asked := pipe.recv()) is not None:
        query, radius, setting = asked
        start = time.perf_counter()
        rows = index.within(query, radius, setting)
        pipe.send(Answer(rows, time.perf_counter() - start))


def _memory() -> int:
    """Bytes of this process that are no file's; what is free is given back before."""
    gc.collect()
    if hasattr(library := ctypes.CDLL(None), "malloc_trim"):
        library.malloc_trim(0)
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))
