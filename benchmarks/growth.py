"""How the time to match one new image grows with the images there are: for `benchmarks.ingest`.

A real Valkey and a real index, filled with drawn images that are not matched; then a real worker
gets further ones, one at a time, and says in its log how long each took from its place in the log
to being done.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from benchmarks.drawn_encoder import ENCODER, MODEL, drawn_faces, drawn_picture
from benchmarks.filling import FillingStore, fill_store
from benchmarks.job_log import JobLog
from benchmarks.pod import start_index, start_valkey
from benchmarks.report import Measure, Report
from benchmarks.services import ONE_THREAD, environment, python, tree_in
from facematch import progress
from facematch.broker import Broker
from facematch.brokers import open_broker
from facematch.faces import image_hash
from facematch.job import Message, new_job_id
from facematch.redis_connection import Redis, connect
from facematch.redis_store import RedisStore
from facematch.sidecar import Sidecar
from facematch.store import NewJob, Store

THRESHOLD = 0.45
SIZES = (1000, 10_000, 100_000, 1_000_000)
_NEW, _FEW = 100, 20
_PORTION = 10_000
#: Numbers of the faces of new images; those that are filled in begin with 0.
_FIRST_NEW = 1 << 40
_BACKLOG = 1 << 30
_SECONDS = 120.0
#: So that the worker leaves alone what was filled in.
_NEVER = str(10**6)


def measure_growth(report: Report, sizes: Sequence[int], judged: bool) -> None:
    """Add to the report what an image takes with so many there, and whether that grows too much."""
    log = JobLog()
    with tempfile.TemporaryDirectory() as name, tree_in(Path(name), log.hear) as tree:
        url, index = start_valkey(tree, Path(name)), Path(name) / "index.sock"
        with (
            closing(connect(url)) as client,
            closing(open_broker(url)) as broker,
            closing(Sidecar(f"unix:{index}")) as sidecar,
        ):
            store = RedisStore(client)
            store.create(MODEL, THRESHOLD)
            start_index(tree, url, index)
            own = environment(
                redis_url=url,
                broker_url=url,
                index_url=f"unix:{index}",
                encoder=ENCODER,
                slots="1",
                sweep_seconds=_NEVER,
            )
            tree.start(python("worker", "worker", own | ONE_THREAD))
            work = _Work(store, broker, log)
            work.one_by_one(_FEW)  # until everything is loaded
            taken = []
            for before, size in zip((0, *sizes), sizes, strict=False):
                _fill(client, before, size)
                _catch_up(store, sidecar)
                work.one_by_one(_FEW)
                seconds = work.one_by_one(_NEW)
                taken.append(float(np.median(seconds)))
                _note(report, size, seconds)
    name = f"growth of the time to match one new image from {sizes[0]:,} to {sizes[-1]:,} images"
    measure = Measure(name, taken[-1] / taken[0], "×")
    if judged:
        report.at_most(measure, 12, 6)
    else:
        report.measures.append(measure)


def _note(report: Report, size: int, seconds: Sequence[float]) -> None:
    name = f"from its place in the log to done, {size:,} images"
    report.measures.append(Measure(name, float(np.median(seconds)) * 1000, "ms"))
    slow = float(np.percentile(seconds, 99)) * 1000
    report.details.append(Measure(f"{name}, p99", slow, "ms"))


class _Work:
    """Gives new images to the worker."""

    def __init__(self, store: Store, broker: Broker, log: JobLog) -> None:
        self._store, self._broker, self._log = store, broker, log
        self._given = 0

    def one_by_one(self, count: int) -> Sequence[float]:
        """Seconds that each took from its place in the log to being done.

        Raises TimeoutError when the worker does not say that one ended."""
        for _ in range(count):
            data, job = drawn_picture(_FIRST_NEW + self._given), new_job_id()
            self._store.accept(NewJob(job, f"{job}.png", "", image_hash(data), data), _BACKLOG)
            self._broker.publish(Message(job))
            self._given += 1
            until = time.monotonic() + _SECONDS
            while self._log.jobs < self._given:
                if time.monotonic() > until:
                    raise TimeoutError(f"no worker ends a job: {self._log.other}")
                time.sleep(0.001)
        return self._log.taken("finish")[-count:]


def _fill(client: Redis, before: int, count: int) -> None:
    """Have `count` drawn images where there are `before`. Meanwhile Redis does not wait for the
    disk, and does not write its file anew."""
    settings = {"appendfsync": "no", "auto-aof-rewrite-percentage": "0"}
    usual = {name: str(client.config_get(name)[name]) for name in settings}
    for name, value in settings.items():
        client.config_set(name, value)
    store = FillingStore(client)
    with closing(progress.on(sys.stderr, "images filled in")) as shown:
        for start in range(before, count, _PORTION):
            numbers = np.arange(start, min(start + _PORTION, count))
            fill_store(store, drawn_faces(numbers), MODEL, start)
            shown.update(int(numbers[-1]) + 1 - before, count - before)
    for name, value in usual.items():
        client.config_set(name, value)


def _catch_up(store: Store, sidecar: Sidecar) -> None:
    """Wait until the index reflects the end of the log, for as long as it gets on."""
    reached, until = -1, time.monotonic() + _SECONDS
    while (status := sidecar.status()).position < store.collection().tail.position:
        if status.position > reached:
            reached, until = status.position, time.monotonic() + _SECONDS
        if time.monotonic() > until:
            raise TimeoutError(f"the index stays at {reached}: {status.reason}")
        time.sleep(0.05)
