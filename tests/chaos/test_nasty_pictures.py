"""Nasty and mutated pictures through the whole service, with the real encoder.

Every job ends with a stable code, no worker dies, and its memory stays in bounds. CHAOS_SECONDS
makes it longer, CHAOS_SEED repeats a run.
"""

import itertools
import os
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
import requests
from cluster import Cluster
from drawn import FORMATS, encoded, quarters
from histories import running
from mutations import mutations
from nasty import BUILDERS, ENDLESS, expected_end
from PIL import Image
from rabbit_server import RabbitServer
from servers import RedisServer

from worker.golden_drawing import golden_picture

SECONDS = float(os.environ.get("CHAOS_SECONDS", "15"))
LONG = "CHAOS_SECONDS" in os.environ
SEED = int(os.environ.get("CHAOS_SEED") or time.time())
#: As many as keep a worker with two slots busy.
CLIENTS = 6
MEMORY = 1 << 30
#: How looking at a picture may end; that a child crashed would be new, and worth to know.
ENDS = {
    *("done", "empty", "not_an_image", "truncated_image", "too_many_pixels", "bad_image"),
    *("timed_out", "out_of_memory"),
}
#: Pictures as good as any, but with more pixels than their form allows in the memory there is.
HUNGRY = {
    "fine-png-64000000-x-1",
    "fine-webp-16383-x-3900",
    "fine-avif-8000-x-8000-translucent",
    "fine-heif-8000-x-8000-translucent",
}

pytestmark = [pytest.mark.timeout(SECONDS + 1200), pytest.mark.long]


def may_end(name: str, end: str) -> bool:
    """Whether the job of the file with this name may end so."""
    expected = expected_end(name)
    if expected == "picture":
        return end == "done" or (end in ("out_of_memory", "too_many_pixels") and name in HUNGRY)
    return expected in (None, end)


def outcome(url: str, data: bytes) -> str:
    """Submit a picture and wait for its end: "done", or the code it failed or was refused with."""
    answer = requests.post(f"{url}/v1/images", data=data, params={"wait": 30}, timeout=60)
    told = answer.json()
    while told.get("state") in ("accepted", "indexed"):
        answer = requests.get(f"{url}/v1/jobs/{told['job']}", params={"wait": 30}, timeout=60)
        told = answer.json()
    end = str(told.get("code") or told["state"])
    assert end in ENDS, f"{answer.status_code}: {answer.text}"
    return end


def outcomes(url: str, pictures: Iterable[bytes]) -> list[str]:
    """In the order of the pictures, which are taken only when a client has time for them."""
    numbered, lock = enumerate(pictures), threading.Lock()
    found: dict[int, str] = {}

    def client() -> None:
        while True:
            with lock:
                number, data = next(numbered, (-1, b""))
            if number < 0:
                return
            found[number] = outcome(url, data)

    with ThreadPoolExecutor(CLIENTS) as pool:
        for done in [pool.submit(client) for _ in range(CLIENTS)]:
            done.result()
    return [found[number] for number in sorted(found)]


class Watch:
    """The most memory, in bytes, that a process and those below it have had at once."""

    def __init__(self) -> None:
        self.together = 0


@contextmanager
def watched(pid: int) -> Iterator[Watch]:
    watch = Watch()
    process = psutil.Process(pid)

    def look(stop: threading.Event) -> None:
        while not stop.wait(0.05):
            used = []
            with suppress(psutil.NoSuchProcess):
                for one in (process, *process.children(recursive=True)):
                    with suppress(psutil.NoSuchProcess, FileNotFoundError):
                        used.append(one.memory_full_info().pss)
            watch.together = max(watch.together, sum(used))

    with running(look):
        yield watch


def until(seconds: float, pictures: Iterable[bytes]) -> Iterator[bytes]:
    end = time.monotonic() + seconds
    return itertools.takewhile(lambda _: time.monotonic() < end, pictures)


def test_every_nasty_picture_ends_with_a_code_and_the_worker_goes_on(
    redis_server: RedisServer, rabbitmq_server: RabbitServer, tmp_path: Path
) -> None:
    print(f"CHAOS_SEED={SEED}")
    # All take some ten minutes, those without end half a minute each: a long run has the time.
    names = list(BUILDERS) if LONG else [name for name in BUILDERS if name not in ENDLESS][::6]
    corpus = {name: BUILDERS[name]() for name in names}
    # One sample with a face is enough: all its mutations match each other.
    face = encoded(Image.fromarray(golden_picture()), "JPEG")
    samples = [face, *(encoded(quarters().resize((480, 320)), form) for form in FORMATS)]
    with Cluster(
        tmp_path, redis_server.url, rabbitmq_server.url, workers=1, slots="2", encoder="onnx"
    ) as cluster:
        worker = cluster.pid("worker-1")
        with watched(worker) as watch:
            ends = dict(zip(corpus, outcomes(cluster.url, corpus.values()), strict=True))
            print(f"{len(ends)} nasty pictures: {Counter(ends.values())}")
            wrong = {name: end for name, end in ends.items() if not may_end(name, end)}
            assert wrong == {}
            assert len(ends) >= 100
            mutated = until(SECONDS, mutations(SEED, samples))
            ends_of_mutated = Counter(outcomes(cluster.url, mutated))
            print(f"{ends_of_mutated.total()} mutated pictures: {ends_of_mutated}")
            assert len(ends_of_mutated) > 3
        print(f"memory: at most {watch.together >> 20} MiB")
        assert 0 < watch.together < MEMORY
        assert cluster.pid("worker-1") == worker
        assert cluster.alive("worker-1")
        assert outcome(cluster.url, samples[0]) == "done"
        cluster.fsck()
