"""What images, faces and jobs take in Valkey and in Redis: for `benchmarks.sizing`."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.filling import MODEL
from benchmarks.report import Measure, Report
from facematch import valkey
from facematch.faces import DIMENSIONS, Box, Encodings, Face, image_hash
from facematch.job import new_job_id
from facematch.processes import Part
from facematch.redis_connection import Redis, connect
from facematch.redis_store import RedisStore
from facematch.store import LINK_CHUNK, Commit, Committed, Link, NewJob
from facematch.tree import Console, Tree

THRESHOLD = 0.6
_OTHER = "redis-server"
_START_SECONDS = 60.0
_NAME = "Somebody_Somebody/Somebody_Somebody_0001.jpg"
_MANY = 4


def compare_bytes(report: Report, images: int) -> None:
    """Add to the report what everything takes in the Valkey of the embedded service, and in the
    redis-server that is installed, if one is."""
    with server() as client:
        ours = _bytes(client, images)
    program, name = shutil.which(_OTHER), ""
    theirs: Mapping[str, float] = {}
    if program is None:
        print(f"{_OTHER}: not installed, skipped", flush=True)
    else:
        with server(program) as client:
            told: Any = client.info("server")
            name = f"Redis {told['redis_version']}"
            theirs = _bytes(client, images)
    for what, value in ours.items():
        report.measures.append(Measure(what, value, "bytes", name, theirs.get(what)))


@contextmanager
def server(program: str = "") -> Iterator[Redis]:
    """An empty Valkey, or this program, that does not wait for the disk."""
    with tempfile.TemporaryDirectory() as name, open(os.devnull, "w") as nowhere:
        folder = Path(name)
        tree = Tree(folder, Console(nowhere, nowhere))
        command = valkey.command(folder, folder / "socket")
        url = valkey.url(folder / "socket")
        part = Part("store", [program or command[0], *command[1:]], dict(os.environ), quiet=True)
        try:
            tree.start(part)
            tree.wait_for("the store", lambda: valkey.problem(url), _START_SECONDS)
            with closing(connect(url)) as client:
                client.config_set("appendfsync", "no")
                yield client
        finally:
            tree.stop()


def _bytes(client: Redis, images: int) -> Mapping[str, float]:
    store = RedisStore(client)
    empty: Any = client.info("memory")
    store.create(MODEL, THRESHOLD)
    return {
        "memory of a Redis with nothing in it": empty["used_memory_rss"],
        **_of_images(client, store, images),
    }


def _of_images(client: Redis, store: RedisStore, count: int) -> Mapping[str, float]:
    """Of images without a match, done, and of their jobs, which a worker has ended."""
    rng = np.random.default_rng(1)
    empty = _used(client)
    for _ in range(count):
        finish(store, add(store, rng.random((1, DIMENSIONS), dtype=np.float32)))
    log = int(client.memory_usage(_key("log"), samples=0) or 0) / count
    one = _used(client)
    for _ in range(count):
        finish(store, add(store, rng.random((_MANY, DIMENSIONS), dtype=np.float32)))
    many = _used(client)
    jobs = list(client.scan_iter(_key("job:*"), count=1000))
    for key in jobs:
        client.delete(key)
    job = (many - _used(client)) / len(jobs)
    return {
        "Redis bytes an image with one face and no match": (one - empty) / count - job - log,
        "Redis bytes a further face": ((many - one) - (one - empty)) / count / (_MANY - 1),
        "Redis bytes a job": job,
        "Redis bytes an entry of the log": log,
    }


def add(store: RedisStore, encodings: Encodings) -> tuple[str, Committed]:
    """An upload that a worker has looked at: the image and its place."""
    job, image = new_job_id(), image_hash(secrets.token_bytes(16))
    store.accept(NewJob(job, _NAME, "", image, b"bytes"), 1 << 30)
    store.begin(job)
    faces = [Face(Box(66, 183, 182, 66), encoding) for encoding in encodings]
    nonce = secrets.token_hex(8)
    return image, store.commit(Commit(job, image, nonce, MODEL, faces, 250, 250, len(faces)))


def finish(
    store: RedisStore, added: tuple[str, Committed], pairs: Sequence[tuple[int, float]] = ()
) -> None:
    """Write the matches of an image, as a worker does."""
    image, place = added
    seen, token = store.collection().tail, secrets.token_hex(8)
    for offset in range(0, max(1, len(pairs)), LINK_CHUNK):
        last = offset + LINK_CHUNK >= len(pairs)
        chunk = pairs[offset : offset + LINK_CHUNK]
        store.link(Link(image, place, seen, token, offset, chunk, last))


def _key(name: str) -> str:
    return f"fm:{{default}}:{name}"


def _used(client: Redis) -> int:
    used: Any = client.info("memory")
    return int(used["used_memory"])


def busy(client: Redis) -> float:
    """Seconds that the server's own thread has been at work."""
    used: Any = client.info("cpu")
    return float(used["used_cpu_user_main_thread"]) + float(used["used_cpu_sys_main_thread"])
