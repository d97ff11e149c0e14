"""What a worker takes: the time until it works, and its memory. For `benchmarks.encode`."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np

from benchmarks.pod import ROOT, Pod, pod
from benchmarks.processes import memory_of
from benchmarks.report import Measure, Report
from facematch.progress import on
from facematch.store import State

_MEBI = 1 << 20
_SLOTS = 2
#: Pictures between two looks at the memory.
_PORTION = 100

#: face_recognition looking at every picture it is told of, and then saying so.
_THEIRS = """
import sys
from pathlib import Path
from benchmarks.looking import UNLIMITED
from worker.dlib_encoder import DlibEncoder
from worker.looking import DirectLooker
looker = DirectLooker(DlibEncoder(), UNLIMITED)
for name in sys.argv[1:]:
    looker.look(Path(name).read_bytes())
print("done", flush=True)
sys.stdin.read()
"""


def measure_footprint(
    report: Report, picture: bytes, pictures: Sequence[bytes], short: bool
) -> None:
    """Add to the report how fast a worker starts, and what it holds after many pictures."""
    with tempfile.TemporaryDirectory() as folder, pod(Path(folder)) as service:
        _cold_start(report, service, picture, 1 if short else 5)
        _memory(report, service, pictures, 100 if short else 10_000)


def _cold_start(report: Report, service: Pod, picture: bytes, starts: int) -> None:
    """From nothing to the first job done, models in the cache."""
    seconds = []
    for number in range(starts):
        jobs = service.submit([_variant(picture, number)])
        start = time.perf_counter()
        with service.worker(slots=str(_SLOTS)):
            service.wait(jobs)
            seconds.append(time.perf_counter() - start)
    name = "cold start of a worker to its first job done"
    report.at_most(Measure(name, float(np.median(seconds)), "s"), 2.5)


def _memory(report: Report, service: Pod, pictures: Sequence[bytes], count: int) -> None:
    """Of a worker after the first tenth of so many pictures, and after all."""
    used, failed = [], 0
    with service.worker(slots=str(_SLOTS)) as pid, closing(on(sys.stderr, "pictures")) as shown:
        for done in range(0, count, _PORTION):
            portion = [
                _variant(pictures[number % len(pictures)], 1000 + number)
                for number in range(done, done + _PORTION)
            ]
            jobs = service.wait(service.submit(portion))
            failed += sum(job.state is not State.DONE for job in jobs)
            used.append(memory_of(pid) / _MEBI)
            shown.update(done + _PORTION, count)
    report.require("every picture is done", not failed, f"{failed} of {count:,} failed")
    # One process of theirs looks at one picture at a time.
    theirs, name = _memory_of_theirs(pictures) / _MEBI, "memory of a worker with two slots"
    measure = Measure(name, used[-1], "MiB", "two of face_recognition", theirs)
    report.at_most(measure, 700, 450)
    early = used[(len(used) - 1) // 10]
    name = f"memory after {count:,} pictures, over that after a tenth"
    report.at_most(Measure(name, used[-1] / early, ""), 1.05)


def _variant(picture: bytes, number: int) -> bytes:
    """The same picture as another image: what follows the end of a JPEG is not looked at."""
    return picture + number.to_bytes(4, "little")


def _memory_of_theirs(pictures: Sequence[bytes]) -> int:
    """Bytes that face_recognition takes in as many processes as a worker has slots."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        names = [f"{folder}/{number}.jpg" for number in range(len(pictures))]
        for name, data in zip(names, pictures, strict=True):
            Path(name).write_bytes(data)
        processes = []
        for _ in range(_SLOTS):
            command = [sys.executable, "-c", _THEIRS, *names]
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
            )
            processes.append(running.enter_context(process))
            running.callback(process.kill)
        for process in processes:
            assert process.stdout is not None
            if process.stdout.readline() != "done\n":
                raise RuntimeError("face_recognition did not look at the pictures")
        return sum(memory_of(process.pid) for process in processes)
