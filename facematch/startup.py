"""How every process begins: settings, log, failpoint; and how it refuses to, in one line."""

import math
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import structlog

from facematch import failpoints, logs
from facematch.errors import Misconfigured, Unavailable
from facematch.settings import Settings, load

_PAUSE_MIN = 0.25
_PAUSE_MAX = 5.0

_Result = TypeVar("_Result")


def run(part: str, serve: Callable[[Settings], int]) -> int:
    """Set the process up from the environment and let it serve; the exit status.

    `part` names it in the log. 1 when it cannot work as it is set up (Misconfigured).
    """
    try:
        settings = load()
    except Misconfigured as error:
        sys.stderr.write(f"{part}: cannot start: {error}\n")
        return 1
    logs.configure(settings, part)
    try:
        failpoints.arm(settings.failpoint)
        return serve(settings)
    except Misconfigured as error:
        structlog.get_logger().error("cannot work as it is set up", reason=str(error))
        return 1


def usable_cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Processor cores that this process may use, or as many as its container's `quota` comes to."""
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    with suppress(OSError, ValueError):  # no such file, or "max"
        granted, period = map(int, quota.read_text().split())
        cores = min(cores, max(1, math.ceil(granted / period)))
    return cores


def usable_memory(limit: Path = Path("/sys/fs/cgroup/memory.max")) -> int:
    """Bytes of memory of this machine, or as many as its container's `limit` is."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # no such file, or "max"
        memory = min(memory, int(limit.read_text()))
    return memory


def wait_for_redis(attempt: Callable[[], _Result], stop: threading.Event) -> _Result | None:
    """What `attempt` gives once it raises Unavailable no more; None when `stop` is set first.

    Whatever else it raises comes through. Raises Misconfigured for data of a newer version.
    """
    pause = _PAUSE_MIN
    while not stop.is_set():
        try:
            return attempt()
        except Unavailable as error:
            if error.code == "newer_data":
                raise Misconfigured(str(error)) from error
            structlog.get_logger().warning("waiting for Redis", reason=str(error))
        stop.wait(pause)
        pause = min(pause * 2, _PAUSE_MAX)
    return None
