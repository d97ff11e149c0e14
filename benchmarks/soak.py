"""An index at work for minutes, while images come and go: `python -m benchmarks index --soak`.

A sidecar as a process of its own, on a real Valkey. As many images are erased as are added, the
oldest first, so that it always holds as many faces; two clients ask it over its socket meanwhile.
All are paced, to leave the processors idle for a part of the time: a queue is not what is measured.
"""

import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.filling import MODEL, add_image
from benchmarks.pod import start_index, start_valkey
from benchmarks.processes import busy_seconds, listener, resident
from benchmarks.report import Measure, Report
from benchmarks.truth import brute_force, by_query
from facematch import progress
from facematch.encoding_model import encoding_model
from facematch.faces import FACES_PER_POSITION, Encodings, FaceIds, image_hash
from facematch.log import Tail
from facematch.redis_connection import connect
from facematch.redis_store import RedisStore
from facematch.sidecar import Sidecar
from facematch.startup import usable_cores
from facematch.store import Store
from facematch.tree import Console, Tree
from facematch.wire import Query
from index.engine import EVERYWHERE

THRESHOLD = 0.6
_ASKERS = 2
#: Of an image.
_FACES = 4
#: A second: queries of each asker; images added, and as many erased: so many that in ten minutes a
#: chunk of the index is replaced, and what it took given back.
_QUERIES, _CHANGES = 20, 30
#: Of the answers one in so many is compared with brute force.
_CHECKED = 20
_LOOK_SECONDS = 2.0
_MEBI = 1 << 20


def run(faces: int, seconds: int, short: bool) -> Report:
    """Soak an index of so many faces. `short`: only what is answered counts."""
    planned = {"changes per second": _CHANGES, "queries per second": _ASKERS * _QUERIES}
    report = Report("index", {"soak": seconds, "faces": faces, **planned, "short": short})
    rng = np.random.default_rng(1)
    images = faces // _FACES
    encodings = encoding_model().draw((images + seconds * _CHANGES) * _FACES, rng)
    queries = encoding_model().draw(1000, rng)
    with tempfile.TemporaryDirectory() as folder:
        tree = Tree(Path(folder), Console(sys.stdout, sys.stderr))
        try:
            url = start_valkey(tree, Path(folder))
            with closing(connect(url)) as client:
                work = _Images(RedisStore(client), encodings)
                client.config_set("appendfsync", "no")
                work.fill(images)
                client.config_set("appendfsync", "always")
                socket = Path(folder) / "index.sock"
                start_index(tree, url, socket)
                soak = _Soak(work, queries, socket)
                soak.run(seconds)
        finally:
            tree.stop()
    _tell(report, soak, seconds)
    if short:
        report.checks.clear()
    _check(report, soak)
    return report


class _Images:
    """Images with _FACES faces each, added to a store one after the other and erased in that order.
    By their numbers: the places in the log at which they came and, if they did, went."""

    def __init__(self, store: Store, encodings: Encodings) -> None:
        self.store, self.encodings = store, encodings
        store.create(MODEL, THRESHOLD)
        self.count = len(encodings) // _FACES
        self.came = np.full(self.count, EVERYWHERE)
        self.went = np.full(self.count, EVERYWHERE)
        self.added = self.erased = 0

    def fill(self, count: int) -> None:
        """Add so many."""
        for _ in tqdm(range(count), "storing", unit=" images", disable=not sys.stderr.isatty()):
            self.add()

    def add(self) -> None:
        """Add the next one, as a worker does."""
        number = self.added
        encodings = self.encodings[number * _FACES : (number + 1) * _FACES]
        self.came[number] = add_image(self.store, _hash(number), encodings)
        self.added += 1

    def erase(self) -> None:
        """Erase the oldest one, as the api does."""
        erased = self.store.erase(_hash(self.erased))
        while not self.store.unlink(erased.position):
            pass
        # Nobody else writes: the entry is the last one.
        self.went[self.erased] = self.store.collection().tail.position
        self.erased += 1

    def there(self, numbers: NDArray[np.int64], place: Tail) -> FaceIds:
        """The ids of those of these faces that were there at a place in the log."""
        image, face = np.divmod(numbers, _FACES)
        alive = (self.came[image] <= place.position) & (place.position < self.went[image])
        ids: FaceIds = self.came[image[alive]] * FACES_PER_POSITION + face[alive]
        return ids


def _hash(number: int) -> str:
    return image_hash(str(number).encode())


@dataclass
class _Answer:
    query: int
    faces: FaceIds
    place: Tail


@dataclass
class _Soak:
    """All that goes on at once, and what is seen of it."""

    images: _Images
    queries: Encodings
    socket: Path
    seconds: list[float] = field(default_factory=list)
    answers: list[_Answer] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    behind: list[float] = field(default_factory=list)
    changes: int = 0
    forged: int = 0
    busy: float = 0.0

    def run(self, seconds: int) -> None:
        """Let everything go on for so long. Raises what went wrong, at once."""
        busy, began = busy_seconds(), time.monotonic()
        end, stop = began + seconds, threading.Event()

        def at_work(work: Callable[..., None], *args: object) -> None:
            try:
                work(end, stop, *args)
            except BaseException:
                stop.set()
                raise

        with ThreadPoolExecutor(2 + _ASKERS) as pool:
            works = [pool.submit(at_work, self._change), pool.submit(at_work, self._look, began)]
            works += [pool.submit(at_work, self._ask, number) for number in range(_ASKERS)]
            for work in works:
                work.result()
        self.busy = (busy_seconds() - busy) / (time.monotonic() - began) / usable_cores()
        # Not meanwhile: who asks the index shall not wait for the store's disk.
        self.forged = sum(not self._was_there(answer.place) for answer in self.answers)

    def _was_there(self, place: Tail) -> bool:
        return self.images.store.log(place.position, 0).start == place

    def _change(self, end: float, stop: threading.Event) -> None:
        due = time.monotonic()
        while _until(due, end, stop):
            due += 1 / _CHANGES
            if self.images.added == self.images.count:
                return
            self.images.add()
            self.images.erase()
            self.changes += 1

    def _ask(self, end: float, stop: threading.Event, number: int) -> None:
        rng = np.random.default_rng(number)
        # So that no two ask at the same moment, unless one is late.
        due = time.monotonic() + number / (_ASKERS * _QUERIES)
        with closing(Sidecar(f"unix:{self.socket}")) as sidecar:
            while _until(due, end, stop):
                row = int(rng.integers(len(self.queries)))
                answer = sidecar.within(Query(self.queries[row : row + 1], THRESHOLD, EVERYWHERE))
                # Since it was due: who waits for a slow answer must not ask less meanwhile.
                self.seconds.append(time.monotonic() - due)
                due += 1 / _QUERIES
                if len(self.seconds) % _CHECKED == 0:
                    self.answers.append(_Answer(row, answer.faces, answer.tail))

    def _look(self, end: float, stop: threading.Event, began: float) -> None:
        pid = listener(self.socket)
        with (
            closing(Sidecar(f"unix:{self.socket}")) as sidecar,
            closing(progress.on(sys.stderr, "seconds")) as shown,
        ):
            while (now := time.monotonic()) < end:
                self.memory.append(resident(pid))
                tail = self.images.store.collection().tail
                while sidecar.status().position < tail.position and not stop.is_set():
                    time.sleep(0.001)
                self.behind.append(time.monotonic() - now)
                shown.update(int(now - began), int(end - began))
                if stop.wait(min(_LOOK_SECONDS, (end - began) / 20)):
                    return


def _until(due: float, end: float, stop: threading.Event) -> bool:
    """Wait until something is due; False when everything shall end before."""
    return not stop.wait(max(0.0, min(due, end) - time.monotonic())) and time.monotonic() < end


def _tell(report: Report, soak: _Soak, seconds: int) -> None:
    def note(name: str, value: float, unit: str) -> None:
        report.measures.append(Measure(name, float(value), unit))

    taken = np.array(soak.seconds) * 1000
    median, late = np.percentile(taken, (50, 99))
    note("query, p50", median, "ms")
    note("query, p99", late, "ms")
    note("query, slowest", taken.max(), "ms")
    note("queries", len(taken) / seconds, "1/s")
    note("images added, and as many erased", soak.changes / seconds, "1/s")
    note("index behind the log, p50", np.median(soak.behind) * 1000, "ms")
    note("index behind the log, most", max(soak.behind) * 1000, "ms")
    note("processors busy, with everything on this machine", soak.busy * 100, "%")
    memory = np.array(soak.memory) / _MEBI
    quarter = len(memory) // 4
    second, last = memory[quarter : 2 * quarter], memory[-quarter:]
    half = memory[len(memory) // 2 :]
    rise = np.polyfit(np.arange(len(half)), half, 1)[0] * len(half)
    note("memory of the index at first", memory[0], "MiB")
    note("memory of the index in the end", memory[-1], "MiB")
    note("rise of a line through the second half", rise, "MiB")
    name = "most memory in the last quarter, over that in the second"
    report.at_most(Measure(name, float(last.max() / second.max()), ""), 1.05)
    report.at_most(Measure("p99 of queries, over p50", float(late / median), ""), 5)
    planned = seconds * np.array([_ASKERS * _QUERIES, _CHANGES])
    least = float((np.array([len(taken), soak.changes]) / planned).min())
    report.require("as many queries and changes as planned", least > 0.98, f"{least:.1%}")


def _check(report: Report, soak: _Soak) -> None:
    """The answers kept, against brute force over the faces that were there at their places."""
    images = soak.images
    pairs = brute_force(images.encodings, soak.queries, THRESHOLD)
    sizes = len(soak.queries), len(images.encodings)
    wanted, allowed = (by_query(found, *sizes) for found in pairs)
    missing = beyond = 0
    for answer in soak.answers:
        least = images.there(wanted[answer.query], answer.place)
        most = images.there(allowed[answer.query], answer.place)
        missing += len(np.setdiff1d(least, answer.faces))
        beyond += len(np.setdiff1d(answer.faces, most))
    detail = (
        f"of {len(soak.answers):,} answers {missing} faces missing, {beyond} too many;"
        f" {soak.forged} for places that the log never was at"
    )
    passed = bool(soak.answers) and missing == beyond == soak.forged == 0
    report.require("answers, by brute force as of the places they state", passed, detail)
