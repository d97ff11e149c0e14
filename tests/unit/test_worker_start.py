"""`python -m worker`: how it waits for Redis, and when it refuses to work."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from planted import PlantedEncoder
from waiting import eventually

from facematch.errors import Unavailable
from facematch.redis_connection import connect
from facematch.redis_store import RedisStore
from facematch.startup import wait_for_redis

ROOT = Path(__file__).parents[2]


class Worker:
    """A worker process with a planted encoder and without an index."""

    def __init__(self, folder: Path, **settings: str) -> None:
        settings = {
            "encoder": "planted:PlantedEncoder",
            "index_url": f"unix:{folder}/no-index",
            "allow_volatile": "true",
            **settings,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "worker"],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
                **{f"FACEMATCH_{name.upper()}": value for name, value in settings.items()},
            },
            cwd=folder,
            stderr=subprocess.PIPE,
            text=True,
        )

    def says(self, text: str) -> dict[str, str]:
        """The next line of its log with this text."""
        assert self.process.stderr is not None
        lines = []
        for line in self.process.stderr:
            lines.append(line)
            if text in line:
                return dict(json.loads(line))
        raise AssertionError(f"it did not say {text!r}, but: {lines}")

    def end(self) -> tuple[int, str]:
        """Its status, and what is left of its log."""
        _, rest = self.process.communicate(timeout=20)
        return self.process.returncode, rest


@contextmanager
def working(folder: Path, **settings: str) -> Iterator[Worker]:
    worker = Worker(folder, **settings)
    try:
        yield worker
    finally:
        worker.process.kill()
        worker.process.communicate()


def test_a_worker_that_waits_for_redis_says_so_and_stops_when_it_is_told_to(
    tmp_path: Path,
) -> None:
    with working(tmp_path, redis_url="redis://127.0.0.1:1/0", broker_url="unix:///none") as worker:
        assert worker.says("waiting for Redis")["level"] == "warning"
        worker.process.terminate()
        code, rest = worker.end()
    assert (code, "Traceback" in rest) == (0, False)


def test_a_worker_refuses_a_collection_of_another_model(tmp_path: Path, redis_url: str) -> None:
    with connect(redis_url) as client:
        RedisStore(client).create("another", 0.6)
        with working(tmp_path, redis_url=redis_url, broker_url=redis_url) as worker:
            said = worker.says("cannot work as it is set up")
            code, rest = worker.end()
    assert "encodings of another" in said["reason"]
    assert (code, rest) == (1, "")


def test_a_worker_ends_when_its_collection_is_replaced(tmp_path: Path, redis_url: str) -> None:
    with (
        connect(redis_url) as client,
        working(tmp_path, redis_url=redis_url, broker_url=redis_url) as worker,
    ):
        worker.says("index_unavailable")
        # As another worker makes it after a flush.
        client.hset("fm:{default}:meta", mapping={"model": "another"})
        said = worker.says("cannot work as it is set up")
        code, rest = worker.end()
    assert "encodings of another" in said["reason"]
    assert (code, rest) == (1, "")


def test_a_worker_refuses_a_url_of_no_index_in_one_line(tmp_path: Path, redis_url: str) -> None:
    urls = {"redis_url": redis_url, "broker_url": redis_url}
    with working(tmp_path, index_url="milvus+http://ann:secret@host:x", **urls) as worker:
        said = worker.says("cannot work as it is set up")
        assert worker.end() == (1, "")
    assert "milvus+http://host:19530" in said["reason"]
    assert "secret" not in str(said)


def test_a_worker_makes_its_collection_again_after_a_flush(tmp_path: Path, redis_url: str) -> None:
    with (
        connect(redis_url) as client,
        working(tmp_path, redis_url=redis_url, broker_url=redis_url) as worker,
    ):
        worker.says("index_unavailable")
        client.flushall()
        worker.says("index_unavailable")
        worker.says("index_unavailable")

        def there() -> bool:
            try:
                return RedisStore(client).collection().model == PlantedEncoder.model
            except Unavailable:
                return False

        eventually(there, "it is made again")
        worker.process.terminate()
        assert worker.end()[0] == 0


def test_waiting_ends_with_what_comes_at_last() -> None:
    answers = iter([Unavailable("store_unavailable"), Unavailable("store_unavailable"), "there"])

    def attempt() -> object:
        answer = next(answers)
        if isinstance(answer, Unavailable):
            raise answer
        return answer

    assert wait_for_redis(attempt, threading.Event()) == "there"


def test_waiting_ends_at_once_when_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facematch.startup._PAUSE_MIN", 60.0)
    stop = threading.Event()

    def attempt() -> None:
        raise Unavailable("store_unavailable")

    before = time.monotonic()
    threading.Timer(0.9, stop.set).start()
    assert wait_for_redis(attempt, stop) is None
    assert 0.85 < time.monotonic() - before < 30


def test_a_worker_refuses_a_redis_that_may_lose_what_it_took(
    tmp_path: Path, redis_url: str
) -> None:
    urls = {"redis_url": redis_url, "broker_url": redis_url}
    with connect(redis_url) as client:
        before = client.config_get("appendfsync")["appendfsync"]
        client.config_set("appendfsync", "everysec")
        try:
            with working(tmp_path, allow_volatile="false", **urls) as worker:
                said = worker.says("cannot work as it is set up")
                assert worker.end() == (1, "")
        finally:
            client.config_set("appendfsync", before)
    assert "appendfsync is everysec" in said["reason"]
