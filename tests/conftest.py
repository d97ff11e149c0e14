"""Real servers as fixtures. Each test gets them running and empty.

Without the server's program a test is skipped with a line that says how to get it; where CI is
set in the environment it fails instead.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import settings
from milvus_server import MilvusServer
from missing import missing
from rabbit_server import RabbitServer
from servers import RedisServer, valkey_binary
from unprivileged import url_of

from benchmarks.servers import ServerMissingError, redis_binary
from facematch.job import DEAD_LETTERS, QUEUE

if TYPE_CHECKING:
    from worker.hog.detector import FrontalFaceDetector

ROOT = Path(__file__).parents[1]
#: What takes longest is begun first, so that no process of a run is left alone with it in the end.
_FIRST = (
    *("chaos/", "system/test_benchmarks.py", "system/test_clustered_service.py", "system/"),
    *("unit/test_worker_nasty.py", "unit/test_worker_interleavings.py"),
    *("unit/test_facematch_feeder_interleavings.py", "unit/test_worker_editions.py"),
    *("unit/test_worker_preparing.py", "unit/test_worker_hog.py", "unit/test_index_kernels.py"),
    *("unit/test_worker_encoder.py", "unit/test_worker_mmod.py", "unit/test_worker_sandbox.py"),
    *("unit/test_benchmarks_all.py", "unit/test_worker_start.py", "unit/test_worker_looking.py"),
)

_Made = TypeVar("_Made")
_FIGURE = "figure"


def _or_skip(make: Callable[[], _Made]) -> _Made:
    try:
        return make()
    except ServerMissingError as error:
        missing(str(error))


# A machine that others use stands still at times; in CI, hypothesis has no deadline by itself.
settings.register_profile("patient", deadline=None)
if "CI" not in os.environ:
    settings.load_profile("patient")


def pytest_configure() -> None:
    """A shell starts what it puts into the background with SIGINT ignored, and the processes
    that tests interrupt would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests in the order of _FIRST, and otherwise as they were."""

    def place(item: pytest.Item) -> int:
        name = item.path.relative_to(ROOT / "tests").as_posix()
        return next((at for at, first in enumerate(_FIRST) if name.startswith(first)), len(_FIRST))

    items.sort(key=place)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures that tests have noted."""
    told = [
        str(figure)
        for report in terminalreporter.getreports("passed")
        if report.when == "call"
        for name, figure in report.user_properties
        if name == _FIGURE
    ]
    if told:
        terminalreporter.section("figures")
        for figure in told:
            terminalreporter.line(figure)


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Notes a figure, which is printed at the end of the run if the test passes."""
    return partial(record_property, _FIGURE)


@pytest.fixture(scope="session")
def frontal() -> "FrontalFaceDetector":
    """The compiled face detector; compiled first where the user's cache does not have it."""
    # Imported here because that makes a folder in the user's cache.
    from worker.hog.detector import load_detector

    subprocess.run([sys.executable, "-m", "worker.hog"], cwd=ROOT, check=True)
    return load_detector()


@pytest.fixture(scope="session")
def redis_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis for the whole run; use `redis_server` in tests."""
    binary = _or_skip(redis_binary)
    server = RedisServer(binary, tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def valkey_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Valkey for the whole run; use `valkey_server` in tests."""
    binary = _or_skip(valkey_binary)
    server = RedisServer(binary, tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def rabbitmq_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitServer]:
    """A RabbitMQ for the whole run; use `rabbitmq_server` in tests."""
    server = _or_skip(lambda: RabbitServer(tmp_path_factory.mktemp("rabbitmq")))
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="session")
def milvus_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    """A Milvus for the whole run; use `milvus_server` in tests."""
    server = _or_skip(lambda: MilvusServer(tmp_path_factory.mktemp("milvus")))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_server(redis_process: RedisServer) -> RedisServer:
    """Redis, running and empty. A test may stop, kill, pause and restart it."""
    redis_process.start()
    redis_process.flush()
    return redis_process


@pytest.fixture
def valkey_server(valkey_process: RedisServer) -> RedisServer:
    """Valkey, running and empty. A test may stop, kill, pause and restart it."""
    valkey_process.start()
    valkey_process.flush()
    return valkey_process


@pytest.fixture
def rabbitmq_server(rabbitmq_process: RabbitServer) -> RabbitServer:
    """RabbitMQ, running and without our queues. A test may stop, kill and restart it."""
    rabbitmq_process.start()
    rabbitmq_process.delete_queues(QUEUE, DEAD_LETTERS)
    return rabbitmq_process


@pytest.fixture
def milvus_server(milvus_process: MilvusServer) -> MilvusServer:
    """Milvus, running and empty. A test may stop, kill, pause and restart it."""
    milvus_process.start()
    milvus_process.empty()
    return milvus_process


@pytest.fixture
def milvus_url(milvus_server: MilvusServer) -> str:
    """The URL of an empty Milvus."""
    return milvus_server.url


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The URL of an empty Redis, over TCP."""
    return redis_server.url


@pytest.fixture
def functions_url(redis_server: RedisServer) -> str:
    """The URL of an empty Redis that takes no scripts, and has functions."""
    return url_of(redis_server.port, "facematch")


@pytest.fixture
def valkey_url(valkey_server: RedisServer) -> str:
    """The URL of an empty Valkey, over a unix socket."""
    return valkey_server.unix_url


@pytest.fixture
def rabbitmq_url(rabbitmq_server: RabbitServer) -> str:
    """The URL of a RabbitMQ without our queues."""
    return rabbitmq_server.url
