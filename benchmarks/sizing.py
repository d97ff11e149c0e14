"""What `facematch plan` reckons with: bytes in Redis, and seconds of a core as a collection grows.

All of it is small; the model (`facematch.sizing`) makes a plan of it. What a whole picture takes
comes from an ingest; `benchmarks.sizing_file` puts it all together.
"""

import itertools
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks.filling import MODEL, fill
from benchmarks.pod import start_valkey
from benchmarks.report import Measure, Report
from benchmarks.turns import in_turns, singly
from facematch.encoding_model import encoding_model
from facematch.faces import DIMENSIONS, Box, Encodings, Face, FaceIds, image_hash
from facematch.job import new_job_id
from facematch.log import Tail
from facematch.redis_connection import Redis, connect
from facematch.redis_store import RedisStore
from facematch.store import LINK_CHUNK, Commit, Committed, Link, NewJob
from facematch.tree import Console, Tree
from facematch.wire import Candidates, Query
from index.engine import EVERYWHERE, Engine
from worker.matching import find_matches

_NAME = "Somebody_Somebody/Somebody_Somebody_0001.jpg"
_THRESHOLD = 0.6
_MANY = 4
#: Sizes of match sets: Redis keeps a set in one way up to 128, and in another beyond.
_SHORT_SETS, _LONG_SETS = (20, 100), (300, 900)
_FEW_MATCHES, _MANY_MATCHES = 10, 2000
_RADII = (0.5, 0.6)
_QUERIES = 20


def run(faces: int, short: bool) -> Report:
    """Measure, the index with up to so many drawn faces. `short`: few, and no figure means much."""
    images = 500 if short else 20_000
    faces = 20_000 if short else faces
    report = Report("sizing", {"faces": faces, "images": images, "short": short})
    with _store() as (client, store):
        _images(report, client, store, images)
        _sets(report, client, store, 1 if short else 4)
    with _store() as (client, store):
        _linking(report, client, store, 3 if short else 20)
    _queries(report, faces, 2 if short else 8)
    return report


@contextmanager
def _store() -> Iterator[tuple[Redis, RedisStore]]:
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
        tree = Tree(Path(folder), Console(nowhere, nowhere))
        try:
            with closing(connect(start_valkey(tree, Path(folder)))) as client:
                client.config_set("appendfsync", "no")
                yield client, RedisStore(client)
        finally:
            tree.stop()


def _images(report: Report, client: Redis, store: RedisStore, count: int) -> None:
    """Of images without a match, done, and of their jobs, which a worker has ended."""
    empty = _used(client)
    process: Any = client.info("memory")
    store.create(MODEL, _THRESHOLD)
    rng = np.random.default_rng(1)
    before = _busy(client)
    for _ in range(count):
        _finish(store, _add(store, rng.random((1, DIMENSIONS), dtype=np.float32)))
    busy = (_busy(client) - before) / count
    log = int(client.memory_usage(_key("log"), samples=0) or 0) / count
    one = _used(client)
    for _ in range(count):
        _finish(store, _add(store, rng.random((_MANY, DIMENSIONS), dtype=np.float32)))
    many = _used(client)
    jobs = list(client.scan_iter(_key("job:*"), count=1000))
    for key in jobs:
        client.delete(key)
    job = (many - _used(client)) / len(jobs)
    image = (one - empty) / count - job - log
    further = ((many - one) - (one - empty)) / count / (_MANY - 1)
    for name, value in (
        ("memory of a Redis with nothing in it", process["used_memory_rss"]),
        ("Redis bytes an image with one face and no match", image),
        ("Redis bytes a further face", further),
        ("Redis bytes a job", job),
        ("Redis bytes an entry of the log", log),
    ):
        report.measures.append(Measure(name, value, "bytes"))
    report.measures.append(Measure("Redis, a picture", busy * 1000, "ms"))


def _sets(report: Report, client: Redis, store: RedisStore, clusters: int) -> None:
    """Of match sets of several sizes, all images of a cluster matching each other."""
    rng = np.random.default_rng(2)
    mean = {}
    for size in (*_SHORT_SETS, *_LONG_SETS):
        bytes_ = []
        for _ in range(clusters):
            added = [_add(store, np.zeros((1, DIMENSIONS), np.float32)) for _ in range(size + 1)]
            for number, (image, place) in enumerate(added):
                others = [other.position for _, other in added[:number]]
                distances = rng.uniform(0.3, _THRESHOLD, number).tolist()
                _finish(store, (image, place), list(zip(others, distances, strict=True)))
            keys = [_key(f"matches:{place.position}") for _, place in added]
            bytes_ += [int(client.memory_usage(key, samples=0) or 0) for key in keys]
        mean[size] = fmean(bytes_)
    few, some = _SHORT_SETS
    short = (mean[some] - mean[few]) / (some - few)
    own = mean[few] - few * short
    long = fmean((mean[size] - own) / size for size in _LONG_SETS)
    for name, value in (
        ("Redis bytes a match set", own),
        ("Redis bytes a match, one way, in sets of up to 128", short),
        ("Redis bytes a match, one way, in larger sets", long),
    ):
        report.measures.append(Measure(name, value, "bytes"))


class _Told:
    """An index that finds what it is told to."""

    def __init__(self, faces: FaceIds, tail: Tail) -> None:
        self._answer = Candidates(faces, tail)

    def within(self, query: Query) -> Candidates:
        """See facematch.neighbours.Neighbours."""
        del query
        return self._answer

    def check(self) -> None:
        """See Neighbours."""

    def close(self) -> None:
        """See Neighbours."""


def _linking(report: Report, client: Redis, store: RedisStore, rounds: int) -> None:
    """Comparing and writing the matches of an image that has few, and of one that has many."""
    store.create(MODEL, _THRESHOLD)
    rng = np.random.default_rng(3)
    near = rng.normal(0, 0.01, (_MANY_MATCHES + 2 * rounds, 1, DIMENSIONS)).astype(np.float32)
    for encoding in near[:_MANY_MATCHES]:
        _finish(store, _add(store, encoding))
    seconds: dict[int, list[tuple[float, float]]] = {_FEW_MATCHES: [], _MANY_MATCHES: []}
    for encoding, count in zip(near[_MANY_MATCHES:], itertools.cycle(seconds), strict=False):
        added = _add(store, encoding)
        found = np.arange(1, count + 1, dtype=np.int64) * 256
        told = _Told(found, store.collection().tail)
        own, theirs = time.process_time(), _busy(client)
        matches = find_matches(store, told, encoding, added[1].position, _THRESHOLD)
        _finish(store, added, matches.pairs)
        seconds[count].append((time.process_time() - own, _busy(client) - theirs))
        if len(matches.pairs) != count:
            raise RuntimeError(f"{len(matches.pairs)} of {count} matches found")
    more = _MANY_MATCHES - _FEW_MATCHES
    own, theirs = (
        (fmean(s[of] for s in seconds[_MANY_MATCHES]) - fmean(s[of] for s in seconds[_FEW_MATCHES]))
        / more
        for of in range(2)
    )
    for name, value in (
        ("Redis, a match both ways", theirs),
        ("worker and Redis, a match both ways", own + theirs),
    ):
        report.measures.append(Measure(name, value * 1e6, "µs"))


def _queries(report: Report, faces: int, rounds: int) -> None:
    """One query with up to so many faces, as a start, a part for each face there, and one for each
    that is found: what fits the times best, relative to each."""
    rng = np.random.default_rng(4)
    encodings, queries = encoding_model().draw(faces, rng), encoding_model().draw(_QUERIES, rng)
    engine, filled, rows, times = Engine(), 0, [], []
    for size in (faces // 100, faces // 10, faces):
        fill(engine, encodings[filled:size], filled)
        filled = size
        for radius in _RADII:
            _, found = engine.search(queries, radius, EVERYWHERE)
            taken = in_turns({"": singly(_search(engine, radius), queries)}, rounds)[""] / _QUERIES
            rows.append([1.0, size, len(found) / _QUERIES])
            times.append(taken)
            name = f"one query, {radius:g}, {size:,} faces"
            report.measures.append(Measure(name, taken * 1000, "ms"))
    relative = np.array(rows) / np.array(times)[:, None]
    start, each, match = np.linalg.lstsq(relative, np.ones(len(times)), rcond=None)[0].tolist()
    for name, value, unit in (
        ("query of one face", start * 1e6, "µs"),
        ("query of one face, for each face there", each * 1e9, "ns"),
        ("query of one face, for each face found", match * 1e9, "ns"),
    ):
        report.measures.append(Measure(name, value, unit))


def _search(engine: Engine, radius: float) -> Callable[[Encodings], object]:
    return lambda query: engine.within(query, radius, EVERYWHERE)


def _add(store: RedisStore, encodings: Encodings) -> tuple[str, Committed]:
    """An upload that a worker has looked at: the image and its place."""
    job, image = new_job_id(), image_hash(secrets.token_bytes(16))
    store.accept(NewJob(job, _NAME, "", image, b"bytes"), 1 << 30)
    store.begin(job)
    faces = [Face(Box(66, 183, 182, 66), encoding) for encoding in encodings]
    nonce = secrets.token_hex(8)
    return image, store.commit(Commit(job, image, nonce, MODEL, faces, 250, 250, len(faces)))


def _finish(
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


def _busy(client: Redis) -> float:
    """Seconds that the server's own thread has been at work."""
    used: Any = client.info("cpu")
    return float(used["used_cpu_user_main_thread"]) + float(used["used_cpu_sys_main_thread"])
