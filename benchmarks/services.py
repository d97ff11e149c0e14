"""Whole services to be measured, as real processes in a fresh folder: embedded as `facematch serve`
starts it, or clustered, with Redis, RabbitMQ, the api, and workers with an index each."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.pod import ROOT
from benchmarks.processes import children_of, command_of
from benchmarks.servers import RabbitMQ, free_port, listens, redis_binary, redis_command
from facematch.brokers import open_broker
from facematch.client import Client
from facematch.data_folder import running_service
from facematch.errors import FacematchError, Unavailable
from facematch.processes import Part
from facematch.redis_connection import connect, translated
from facematch.sidecar import Sidecar
from facematch.startup import usable_cores
from facematch.tree import Console, Tree

_START_SECONDS = 120.0
#: For a worker, as facematch.embedded starts it.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
#: What a process runs, by a word of its command line.
_PARTS = {
    "api": "api",
    "worker": "worker",
    "index": "index",
    "redis-server": "store",
    "valkey-server": "store",
    "rabbitmq-server": "queue",
    "beam.smp": "queue",
}

Listen = Callable[[str], None]


class _Listener(Console):
    """Hands on what parts write, line by line."""

    def __init__(self, listen: Listen) -> None:
        super().__init__(sys.stdout, sys.stderr)
        self._listen = listen

    def output_of(self, name: str, line: str) -> None:
        """See Console."""
        del name
        self._listen(line)


@dataclass(frozen=True)
class Service:
    """One that runs. `parent`: the process whose children its parts are."""

    url: str
    redis_url: str
    broker_url: str
    index_urls: tuple[str, ...]
    parent: int

    def parts(self) -> dict[str, list[int]]:
        """The processes, by what they run: api, worker, index, store, queue. Each with all that
        it has started is `tree_of` it."""
        found: dict[str, list[int]] = {}
        for pid in children_of(self.parent):
            words = {word.rpartition("/")[2] for word in command_of(pid)}
            for word in words & _PARTS.keys():
                found.setdefault(_PARTS[word], []).append(pid)
        return found


@contextmanager
def tree_in(folder: Path, listen: Listen | None = None) -> Iterator[Tree]:
    """A tree of processes with their logs in `folder`, whose lines `listen` gets, or else the
    console; whatever runs ends with the context."""
    logs = folder / "logs"
    logs.mkdir(exist_ok=True)
    tree = Tree(logs, _Listener(listen) if listen else Console(sys.stdout, sys.stderr))
    try:
        yield tree
    finally:
        tree.stop()


@contextmanager
def embedded(folder: Path, workers: int, listen: Listen, **settings: str) -> Iterator[Service]:
    """`facematch serve`, with these settings of FACEMATCH_…; `listen` is given its log's lines.

    Call it from the main thread. Raises facematch.tree.Failed.
    """
    data = folder / "data"
    command = [
        *(sys.executable, "-P", "-m", "facematch", "serve"),
        *("--host", "127.0.0.1", "--port", "0", "--data", str(data), "--workers", str(workers)),
    ]
    with tree_in(folder, listen) as tree:
        tree.start(Part("serve", command, environment(**settings)))

        def problem() -> str:
            return "" if running_service(data) is not None else "it is starting"

        tree.wait_for("the service", problem, _START_SECONDS)
        found = running_service(data)
        assert found is not None
        yield Service(
            found.url, found.redis_url, found.redis_url, (found.index_url,), parent=found.pid
        )


@contextmanager
def clustered(folder: Path, workers: int, listen: Listen, **settings: str) -> Iterator[Service]:
    """The parts of the clustered service; see `embedded`. Raises ServerMissingError, too."""
    (folder / "rabbitmq").mkdir()
    (folder / "redis").mkdir()
    port, rabbit, api_port = free_port(), RabbitMQ(folder / "rabbitmq"), free_port()
    redis_url, url = f"redis://127.0.0.1:{port}/0", f"http://127.0.0.1:{api_port}"
    command = redis_command(redis_binary(), folder / "redis", port, folder / "redis.sock")
    with tree_in(folder, listen) as tree:
        tree.start(
            Part("redis", command, dict(os.environ), quiet=True),
            Part("epmd", rabbit.epmd(), rabbit.environment(), quiet=True),
        )
        tree.wait_for("Redis", lambda: redis_problem(redis_url), _START_SECONDS)
        tree.wait_for("epmd", lambda: "" if listens(rabbit.epmd_port) else "down", _START_SECONDS)
        tree.start(Part("rabbitmq", rabbit.node(), rabbit.environment(), quiet=True))
        tree.wait_for("RabbitMQ", lambda: "" if listens(rabbit.port) else "down", _START_SECONDS)
        with closing(open_broker(rabbit.url)) as broker:
            tree.wait_for("RabbitMQ", lambda: problem_of(broker.depth), _START_SECONDS)
        indexes = tuple(f"unix:{folder / f'index-{n}.sock'}" for n in range(1, workers + 1))
        ours = environment(
            redis_url=redis_url,
            broker_url=rabbit.url,
            host="127.0.0.1",
            port=str(api_port),
            ledger=str(folder / "ledger"),
            **({"slots": str(max(1, usable_cores() // workers))} | settings),
        )
        own = [ours | {"FACEMATCH_INDEX_URL": index} for index in indexes]
        tree.start(*(python(f"index-{n}", "index", own[n]) for n in range(workers)))
        # It makes the collection, without which no index is ready.
        tree.start(*(python(f"worker-{n}", "worker", own[n] | ONE_THREAD) for n in range(workers)))
        tree.start(python("api", "api", own[0]))
        for index in indexes:
            _wait_for_index(tree, index)
        with Client(url, attempts=1) as client:
            tree.wait_for("the api", lambda: problem_of(client.ready), _START_SECONDS)
        yield Service(url, redis_url, rabbit.url, indexes, parent=os.getpid())


def _wait_for_index(tree: Tree, url: str) -> None:
    with closing(Sidecar(url)) as sidecar:
        tree.wait_for("an index", lambda: problem_of(sidecar.check), _START_SECONDS)


def environment(**settings: str) -> dict[str, str]:
    """That of a process of ours, with these settings."""
    ours = {f"FACEMATCH_{name.upper()}": value for name, value in settings.items()}
    return os.environ | {"PYTHONPATH": str(ROOT), "FACEMATCH_LOGS": "json"} | ours


def python(
    name: str, module: str, own: dict[str, str], *arguments: str, quiet: bool = False
) -> Part:
    """A process of Python's that runs a module."""
    return Part(name, [sys.executable, "-P", "-m", module, *arguments], own, quiet)


def problem_of(question: Callable[[], object]) -> str:
    """What an answer lacks yet; "" once there is one."""
    try:
        question()
    except FacematchError as error:
        return str(error)
    return ""


def redis_problem(url: str) -> str:
    """Why a Redis does not answer; "" once it does."""
    with closing(connect(url)) as client:
        try:
            with translated():
                client.ping()
        except Unavailable as error:
            return str(error)
    return ""
