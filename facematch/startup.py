"""How every process begins: settings, log, failpoint; and how it refuses to, in one line."""

import math
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import structlog

from facematch import failpoints, logs, tracing
from facematch.credentials import check_credentials
from facematch.errors import Misconfigured, Unavailable
from facematch.settings import Settings, load

_PAUSE_MIN = 0.25
_PAUSE_MAX = 5.0
_NOT_INSTALLED = "OpenTelemetry is not installed: pip install 'facematch[otel]'"
_OTLP_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

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
        check_credentials(settings)
        failpoints.arm(settings.failpoint)
        return serve(settings)
    except Misconfigured as error:
        structlog.get_logger().error("cannot work as it is set up", reason=str(error))
        return 1


class Tracing:
    """Where the spans of this process go, if anywhere: from `start` to `close`, or as a context.

    It has a thread then: to be started behind a fork.
    """

    def __init__(self, settings: Settings, part: str) -> None:
        """Raises Misconfigured where traces are asked for and the extra `otel` is not there."""
        self._part = part
        self._endpoint = settings.otlp_endpoint.get_secret_value()
        elsewhere = any(os.environ.get(name) for name in _OTLP_ENDPOINTS)
        disabled = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
        self._wanted = bool(self._endpoint or elsewhere) and not disabled
        self._close: Callable[[], None] | None = None
        self._missing = self._wanted and not _has_opentelemetry()
        if self._missing and self._endpoint:
            raise Misconfigured(f"FACEMATCH_OTLP_ENDPOINT is set, and {_NOT_INSTALLED}")

    def start(self) -> None:
        """From now on there are spans."""
        if self._missing:
            # That variable may be set for everything that runs there.
            structlog.get_logger().warning(f"no traces: {_NOT_INSTALLED}")
        elif self._wanted:
            from facematch.otel import OtelTracer

            try:
                tracer = OtelTracer(self._part, self._endpoint)
            except ValueError as error:
                # Of a variable of OpenTelemetry's own, which is no reason to do no work.
                structlog.get_logger().warning("no traces", reason=str(error))
                return
            tracing.use(tracer)
            self._close = tracer.close
            structlog.get_logger().info("traces are sent")

    def close(self) -> None:
        """Send what is left, for a few seconds."""
        tracing.use(None)
        if self._close is not None:
            self._close()

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *error: object) -> None:
        self.close()


def _has_opentelemetry() -> bool:
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False


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
