"""A store, an index and the broker for one worker to be measured with: real ones, in a folder."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from facematch import valkey
from facematch.broker import Broker
from facematch.brokers import open_broker
from facematch.errors import Unavailable
from facematch.faces import image_hash
from facematch.job import Message, new_job_id
from facematch.processes import Part
from facematch.redis_connection import connect
from facematch.redis_store import RedisStore
from facematch.sidecar import Sidecar
from facematch.store import Job, NewJob, State
from facematch.tree import Console, Tree
from worker.dlib_weights import MODEL

ROOT = Path(__file__).parents[1]
_START_SECONDS = 60.0
_JOB_SECONDS = 120.0
_BACKLOG = 1 << 40
_ENDED = (State.DONE, State.FAILED)


class Pod:
    """Everything that a worker needs, running; use `pod`."""

    def __init__(self, environment: dict[str, str], store: RedisStore, broker: Broker) -> None:
        self._environment = environment
        self._store = store
        self._broker = broker

    @contextmanager
    def worker(self, **settings: str) -> Iterator[int]:
        """A worker, while the context lasts; its process id. It is not waited for."""
        environment = self._environment | {
            f"FACEMATCH_{name.upper()}": value for name, value in settings.items()
        }
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "worker"], env=environment, stderr=subprocess.DEVNULL
        )
        try:
            yield process.pid
        finally:
            process.terminate()
            process.wait(60)

    def submit(self, pictures: Sequence[bytes]) -> list[str]:
        """Give these pictures to whatever worker there is; their jobs."""
        jobs = []
        for data in pictures:
            job = new_job_id()
            self._store.accept(NewJob(job, f"{job}.jpg", "", image_hash(data), data), _BACKLOG)
            self._broker.publish(Message(job))
            jobs.append(job)
        return jobs

    def wait(self, jobs: Sequence[str]) -> list[Job]:
        """The jobs, once all have ended. Raises TimeoutError when one takes too long."""
        ended = []
        for job in jobs:
            until = time.monotonic() + _JOB_SECONDS
            while (found := self._store.job(job)).state not in _ENDED:
                if time.monotonic() > until:
                    raise TimeoutError(f"job {job} is {found.state}: does the worker live?")
                time.sleep(0.002)
            ended.append(found)
        return ended


def start_valkey(tree: Tree, folder: Path) -> str:
    """Start a Valkey with its data in a fresh folder, and wait until it answers; its URL."""
    socket, data = folder / "valkey.sock", folder / "valkey"
    data.mkdir(parents=True)
    tree.start(Part("valkey", valkey.command(data, socket), dict(os.environ), quiet=True))
    url = valkey.url(socket)
    tree.wait_for("Valkey", lambda: valkey.problem(url), _START_SECONDS)
    return url


def start_index(tree: Tree, url: str, socket: Path) -> None:
    """Start an index of the store at this URL, and wait until it is ready."""
    command = [sys.executable, "-P", "-m", "index"]
    tree.start(Part("index", command, _environment(url, socket), quiet=True))
    with closing(Sidecar(f"unix:{socket}")) as index:
        tree.wait_for("the index", lambda: _problem(index), _START_SECONDS)


def _environment(url: str, index: Path) -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "FACEMATCH_REDIS_URL": url,
        "FACEMATCH_BROKER_URL": url,
        "FACEMATCH_INDEX_URL": f"unix:{index}",
    }


@contextmanager
def pod(folder: Path) -> Iterator[Pod]:
    """Start the parts in a fresh folder; they end with the context."""
    tree = Tree(folder, Console(sys.stdout, sys.stderr))
    try:
        url, index = start_valkey(tree, folder), folder / "index.sock"
        client = connect(url)
        store, broker = RedisStore(client), open_broker(url)
        store.create(MODEL, 0.6)
        start_index(tree, url, index)
        yield Pod(_environment(url, index), store, broker)
        broker.close()
        client.close()
    finally:
        tree.stop()


def _problem(index: Sidecar) -> str:
    try:
        index.check()
    except Unavailable as error:
        return str(error)
    return ""
