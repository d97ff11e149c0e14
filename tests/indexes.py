"""Running an index for tests, in threads or as the process it is, and asking it."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
from histories import MODEL, THRESHOLD, Switch, add, running
from planted import people
from waiting import eventually

from facematch.collection_name import DEFAULT
from facematch.errors import Unavailable
from facematch.faces import Encodings, positions_of
from facematch.feeder import Feeder
from facematch.memory_store import MemoryStore
from facematch.milvus import Milvus
from facematch.neighbours import Candidates, Neighbours, Pairs, Query
from facematch.sidecar import Sidecar
from facematch.store import Store
from index.budget import Budget
from index.collections import Collections
from index.follower import Follower
from index.metrics import Metrics
from index.server import Server

_Answer = TypeVar("_Answer", Candidates, Pairs)

FOREVER = 2**62
FACE = people(np.random.default_rng(0), 1)


def server_of(store: Store, path: Path) -> tuple[Collections, Server]:
    """A sidecar whose store has this one collection, the default one; not running."""

    def open_store(name: str) -> Store:
        return store if name == DEFAULT else MemoryStore()

    metrics = Metrics()
    collections = Collections(open_store, Budget(), metrics)
    return collections, Server(collections, metrics, str(path))


@contextmanager
def serving(store: Store, path: Path) -> Iterator[Server]:
    """A sidecar of this store at this socket, in threads of this process."""
    collections, server = server_of(store, path)
    thread = threading.Thread(target=server.run)
    thread.start()
    collections.start(DEFAULT)
    try:
        yield server
    finally:
        server.stop()
        thread.join(10)
        collections.stop(10)
        assert not thread.is_alive()


@contextmanager
def feeding(store: Store, url: str) -> Iterator[Milvus]:
    """The generations in the Milvus at this URL, fed from this store by a thread."""
    milvus = Milvus(url, timeout=10)
    with running(Feeder(store, milvus).run):
        yield milvus
    milvus.close()


@contextmanager
def asking(path: Path, timeout: float = 10.0, collection: str = DEFAULT) -> Iterator[Sidecar]:
    """A client of the sidecar at this socket."""
    sidecar = Sidecar(f"unix:{path}", collection, timeout)
    try:
        yield sidecar
    finally:
        sidecar.close()


def ask(
    neighbours: Neighbours,
    store: Store,
    encodings: Encodings = FACE,
    radius: float = THRESHOLD,
    before: int = FOREVER,
) -> Candidates:
    """The answer once it reflects the end of the log, which it must do soon."""
    return _settled(lambda: neighbours.within(Query(encodings, radius, before)), store)


def ask_pairs(
    neighbours: Neighbours,
    store: Store,
    encodings: Encodings = FACE,
    radius: float = THRESHOLD,
    before: int = FOREVER,
) -> Pairs:
    """The same for pairs."""
    return _settled(lambda: neighbours.pairs(Query(encodings, radius, before)), store)


def listed(pairs: Pairs) -> list[tuple[int, int]]:
    """Numbers and ids, ascending."""
    return sorted(zip(pairs.numbers.tolist(), pairs.faces.tolist(), strict=True))


def _settled(answer: Callable[[], _Answer], store: Store) -> _Answer:
    answers: list[_Answer] = []

    def settled() -> bool:
        try:
            answers.append(answer())
        except Unavailable as error:
            if error.code != "index_loading":
                raise
            return False
        return answers[-1].tail == store.collection().tail

    eventually(settled, "an answer that reflects the end of the log")
    return answers[-1]


def positions(neighbours: Neighbours, store: Store, encodings: Encodings = FACE) -> list[int]:
    """The positions of the candidates, once they reflect the end of the log."""
    return positions_of(ask(neighbours, store, encodings).faces)


def get(path: Path, target: str) -> tuple[int, bytes]:
    """GET over the socket, as a probe does it."""
    return _request(path, "GET", target, None)


def post(path: Path, target: str, body: bytes) -> tuple[int, bytes]:
    """POST over the socket."""
    return _request(path, "POST", target, body)


def announce(path: Path, target: str, size: int) -> int:
    """The status of a POST that only says how large its body will be."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        connection.sendall(
            f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode()
        )
        return int(connection.makefile("rb").readline().split()[1])


def _request(path: Path, method: str, target: str, body: bytes | None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("index")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(10)
    connection.sock.connect(str(path))
    try:
        connection.request(method, target, body)
        with connection.getresponse() as response:
            return response.status, response.read()
    finally:
        connection.close()


@contextmanager
def impostor(path: Path, reply: bytes) -> Iterator[None]:
    """A server that says the same to everybody and hangs up."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        while True:
            try:
                caller, _ = listener.accept()
            except OSError:
                return
            with caller:
                caller.recv(65536)
                caller.sendall(reply)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


class Process:
    """`python -m index` itself."""

    def __init__(self, folder: Path, redis_url: str, **settings: str) -> None:
        self.socket = folder / "index.sock"
        self._log = folder / "index.log"
        self._environment = {
            **os.environ,
            "FACEMATCH_REDIS_URL": redis_url,
            "FACEMATCH_INDEX_URL": f"unix:{self.socket}",
            **{f"FACEMATCH_{name.upper()}": value for name, value in settings.items()},
        }
        self.popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; does not wait for it."""
        with self._log.open("ab") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "index"],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.popen is not None
        self.popen.send_signal(number)

    def end(self, number: signal.Signals, seconds: float) -> int:
        """Send the signal; the exit code, which must come in so many seconds."""
        self.send(number)
        return self.exit_code(seconds)

    def exit_code(self, seconds: float) -> int:
        """Wait for its end."""
        assert self.popen is not None
        return self.popen.wait(seconds)

    @property
    def log(self) -> str:
        """All it has written so far."""
        return self._log.read_text()


@contextmanager
def process(folder: Path, redis_url: str, **settings: str) -> Iterator[Process]:
    """`python -m index`, started; it does not outlive the block."""
    started = Process(folder, redis_url, **settings)
    started.start()
    try:
        yield started
    finally:
        assert started.popen is not None
        started.popen.kill()
        started.popen.wait(10)


def up(sidecar: Sidecar) -> None:
    """Wait until the process listens."""

    def answers() -> bool:
        try:
            sidecar.status()
        except Unavailable:
            return False
        return True

    eventually(answers, "the process listens", seconds=30)


def new_store(*names: str, like: MemoryStore | None = None, log_keep: int = 100_000) -> MemoryStore:
    """A store with an image of FACE under each name; `like`: of the same creation."""
    store = MemoryStore(log_keep=log_keep)
    if like is not None:
        store._pinned = like._pinned
    store.create(MODEL, THRESHOLD)
    for name in names:
        add(store, name, FACE)
    return store


def switchable(store: MemoryStore) -> tuple[Switch, Store]:
    """The same thing twice: as what a test works, and as what a follower takes."""
    switch = Switch(store)
    return switch, cast(Store, switch)


def found(follower: Follower, encodings: Encodings = FACE) -> list[int]:
    """The positions of the candidates for FACE."""
    return positions_of(follower.within(Query(encodings, THRESHOLD, FOREVER)).faces)


def reflects(follower: Follower, store: MemoryStore) -> bool:
    """Whether it is ready at the end of the store's log."""
    status, tail = follower.status(), store.collection().tail
    return status.ready and (status.position, status.chain) == (tail.position, tail.chain)


def caught_up(follower: Follower, store: MemoryStore) -> None:
    """Wait until it is ready at the end of the store's log."""
    eventually(lambda: reflects(follower, store), f"{follower.status()} at the end of the log")
