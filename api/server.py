"""gunicorn, run from Python: one process, threads, our log. Used by `python -m api`."""

import errno
import logging
import resource
import select
import signal
import socket
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import structlog
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import _DEFER, ThreadWorker

from api.app import ROUTE
from api.heads import AsProblem, Heads
from api.parting import bound_sending, linger, stop_listening
from api.wsgi import Service
from facematch.errors import Misconfigured
from facematch.settings import Settings

_OPEN_FILES = 8192
_GRACE_SECONDS = 20
_KEEPALIVE_SECONDS = 15
#: For so long a thread stays with the connection that it has answered, and so many of them may, or
#: wait for one to go, as a part of all: the others are there for who comes.
_STAY_MILLISECONDS = 50
_STAY_SHARE = 1 / 6
#: For so long a thread waits for the first byte of a new connection; then the one that watches all
#: does. gunicorn's own would do so for 5 s.
_FIRST_BYTE_SECONDS = 0.05
_MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108 - for gunicorn's heartbeat, as it recommends


def bind(host: str, port: int) -> socket.socket:
    """The socket to serve on, not listening yet; port 0 picks a free one. Raises Misconfigured."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise Misconfigured(f"cannot listen on {host} port {port}: {error.strerror}") from error
    return listener


class Server(BaseApplication):  # type: ignore[misc] # gunicorn has no types
    """Serves what `make` makes, in a process forked from this one."""

    def __init__(
        self, make: Callable[[], Service], listener: socket.socket, settings: Settings
    ) -> None:
        self._make = make
        # gunicorn makes a socket of its own of it, here and at each reload.
        self._descriptor = listener.detach()
        self._settings = settings
        self._service: Service | None = None
        super().__init__()

    def load_config(self) -> None:
        """See BaseApplication."""
        debug = self._settings.log_level == "debug"
        options = {
            "bind": f"fd://{self._descriptor}",
            "worker_class": _Worker,
            "workers": 1,
            "threads": self._settings.api_threads,
            "keepalive": _KEEPALIVE_SECONDS,
            "graceful_timeout": _GRACE_SECONDS,
            "limit_request_line": 8190,
            "control_socket_disable": True,
            # It would wait for ever for who takes nothing; files are small here.
            "sendfile": False,
            "logger_class": StructuredLog,
            # Below that it tells paths, which may have the name of a picture; see `access`.
            "loglevel": "info" if debug else "warning",
            "accesslog": "-" if debug else None,
            "when_ready": self._when_ready,
            "post_worker_init": self._post_worker_init,
            "worker_int": self._let_go,
            "worker_exit": self._worker_exit,
        }
        if _MEMORY_FOLDER.is_dir():
            options["worker_tmp_dir"] = str(_MEMORY_FOLDER)
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """See BaseApplication; called in the process that serves."""
        _allow_open_files()
        self._service = self._make()
        self._service.start()
        return self._service.app

    def _when_ready(self, arbiter: Any) -> None:
        host, port = arbiter.LISTENERS[0].getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        structlog.get_logger().info("listening", url=f"http://{shown}:{port}")

    def _post_worker_init(self, worker: object) -> None:
        """At a stop, let waiting requests go first: gunicorn waits for all requests to end."""
        stop = signal.getsignal(signal.SIGTERM)
        assert callable(stop)  # noqa: S101 - gunicorn has set it

        def let_go_and_stop(number: int, frame: FrameType | None) -> None:
            self._let_go(worker)
            stop(number, frame)

        signal.signal(signal.SIGTERM, let_go_and_stop)

    def _let_go(self, worker: object) -> None:
        del worker
        if self._service is not None:
            self._service.let_go()

    def _worker_exit(self, arbiter: object, worker: object) -> None:
        del arbiter, worker
        if self._service is not None:
            self._service.stop()


class _Worker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """gunicorn's worker with threads, whose threads stay with a connection for a moment.

    Otherwise each request goes to a thread, and each connection back to the one thread that watches
    all: three changes of thread for a request, and a third of the time of a short one.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._places = threading.Semaphore(max(1, int(self.cfg.threads * _STAY_SHARE)))
        self._heads = Heads(self.cfg.threads // 2)

    def init_process(self) -> None:
        """See Worker; it does not return before the worker ends."""
        self._heads.start()
        super().init_process()

    def handle(self, conn: Any) -> Any:
        """See ThreadWorker: True when the connection is to be kept, False when it is to end."""
        if not conn.initialized:
            bound_sending(conn.sock)
            if not conn.wait_for_data(_FIRST_BYTE_SECONDS):
                return _DEFER
        kept = self._handle_one(conn)
        while kept is True and self.alive and self._asks_again(conn):
            kept = self._handle_one(conn)
        if kept is False:
            self._part(conn)
        return kept

    def handle_request(self, req: Any, conn: Any) -> Any:
        """See ThreadWorker: the head is there."""
        self._heads.end(conn)
        try:
            return super().handle_request(req, conn)
        except BlockingIOError as error:  # of `bound_sending`
            raise BrokenPipeError(errno.EPIPE, "the client takes nothing of its answer") from error

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """See Worker."""
        super().handle_error(req, AsProblem(client), addr, exc)

    def _handle_one(self, conn: Any) -> Any:
        self._heads.begin(conn)
        try:
            return super().handle(conn)
        finally:
            self._heads.end(conn)

    def _part(self, conn: Any) -> None:
        # gunicorn waits for the client to go, in the one thread that hears of all others.
        if self._places.acquire(blocking=False):
            try:
                linger(conn.sock)
            finally:
                self._places.release()
        stop_listening(conn.sock)

    def _asks_again(self, conn: Any) -> bool:
        # What was read ahead is no event; ThreadWorker looks at it.
        if conn.parser.unreader.buf.getvalue() or not self._places.acquire(blocking=False):
            return False
        try:
            watched = select.poll()
            watched.register(conn.sock, select.POLLIN)
            return bool(watched.poll(_STAY_MILLISECONDS))
        finally:
            self._places.release()


class StructuredLog(Logger):  # type: ignore[misc] # gunicorn has no types
    """gunicorn's log, as lines of ours."""

    def setup(self, cfg: Any) -> None:
        """See Logger."""
        super().setup(cfg)
        for log in (self.error_log, self.access_log):
            log.handlers = [_Forward()]

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> None:
        """See Logger."""
        if self.access_log_enabled:
            structlog.get_logger().debug(
                "request",
                method=req.method,
                route=environ.get(ROUTE),
                status=resp.status_code,
                bytes=resp.sent,
                seconds=round(request_time.total_seconds(), 4),
                client=environ.get("REMOTE_ADDR"),
            )


class _Forward(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().log(
            record.levelno, record.getMessage(), exc_info=record.exc_info, source="gunicorn"
        )


def _allow_open_files() -> None:
    """A thousand clients and the connections to Redis are more than the usual soft limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
