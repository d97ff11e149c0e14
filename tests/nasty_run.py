"""Decodes files in children, each its own: what a file does there, and what it takes.

Used by tests/unit/test_worker_nasty.py. `run` starts this module as a program, which imports the
decoder once and forks a child for every file; a crash, a hang or hunger fails that file only.
"""

import json
import math
import os
import resource
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from facematch.errors import Rejected
from worker.decode import decode

MAX_PIXELS = 64_000_000
MEBIBYTE = 1 << 20

_ROOT = Path(__file__).parents[1]
_AT_ONCE = 2


@dataclass(frozen=True)
class Outcome:
    """What became of a file: "picture", a code, or else how it went wrong.

    What it took: seconds of processor time, and MiB at the most.
    """

    end: str
    seconds: float
    mebibytes: float


def run(
    files: Mapping[str, bytes], folder: Path, *, seconds: float = 20.0, headroom: int = 1536
) -> dict[str, Outcome]:
    """Decode files by name, two at a time.

    Each may take so many seconds of processor time, twice as many by the clock, and so many MiB
    more than the process has from which it is forked.
    """
    names = dict(enumerate(files))
    for number, name in names.items():
        (folder / f"{number}.file").write_bytes(files[name])
    done = subprocess.run(
        [sys.executable, __file__, str(folder), str(len(names)), str(seconds), str(headroom)],
        env={**os.environ, "PYTHONPATH": f"{_ROOT}{os.pathsep}{_ROOT / 'tests'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # libtiff writes there
        check=True,
    )
    lines = map(json.loads, done.stdout.splitlines())
    return {names[number]: Outcome(*outcome) for number, *outcome in lines}


def _decode(number: int, folder: Path, seconds: float, headroom: int) -> str:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + headroom * MEBIBYTE
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    limit = math.ceil(seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))  # SIGXCPU, then SIGKILL
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        picture = decode((folder / f"{number}.file").read_bytes(), MAX_PIXELS)
        height, width = picture.pixels.shape[:2]
        if picture.pixels.shape != (height, width, 3) or not width * height:
            return f"pixels of shape {picture.pixels.shape}"
    except Rejected as error:
        return error.code
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return "picture"


def _child(number: int, folder: Path, seconds: float, headroom: int) -> None:
    """What a child does: its end is in a file then."""
    try:
        (folder / f"{number}.end").write_text(_decode(number, folder, seconds, headroom))
    finally:
        os._exit(0)


def _ended(number: int, folder: Path, status: int, overdue: bool) -> str:
    killer = signal.Signals(os.WTERMSIG(status)) if os.WIFSIGNALED(status) else None
    if overdue or killer is signal.SIGXCPU:
        return "no end in time"
    if killer:
        return f"killed by {killer.name}"
    end = folder / f"{number}.end"
    return end.read_text() if end.exists() else "no end"


def main(folder: Path, count: int, seconds: float, headroom: int) -> None:
    """Print a line for every file: its number, end, seconds and MiB."""
    waiting = deque(range(count))
    running: dict[int, tuple[int, float]] = {}
    overdue: set[int] = set()
    while waiting or running:
        while waiting and len(running) < _AT_ONCE:
            number = waiting.popleft()
            pid = os.fork()
            if not pid:
                _child(number, folder, seconds, headroom)
            running[pid] = number, time.monotonic() + 2 * seconds
        pid, status, usage = os.wait4(-1, os.WNOHANG)
        if pid:
            number, _ = running.pop(pid)
            end = _ended(number, folder, status, pid in overdue)
            processor = round(usage.ru_utime + usage.ru_stime, 3)
            print(json.dumps([number, end, processor, round(usage.ru_maxrss / 1024, 1)]))
            continue
        for pid, (_, until) in running.items():
            if time.monotonic() > until:
                overdue.add(pid)
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)


if __name__ == "__main__":
    # What it is made of is loaded here, and not by each child.
    try:
        decode(b"\x00", MAX_PIXELS)
    except Rejected:
        main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
