"""`python -m index`: one index sidecar. Chooses the store and the socket from the settings."""

import contextvars
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

import structlog
from pydantic import ValidationError

from facematch import failpoints, logs
from facematch.errors import Misconfigured
from facematch.redis_connection import connect
from facematch.redis_store import RedisStore
from facematch.settings import PREFIX, Settings
from facematch.sidecar import socket_path
from index.follower import Follower
from index.server import Server

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_STOP_SECONDS = 1.0

_log = structlog.get_logger()


def main() -> int:
    """Serve until SIGTERM or SIGINT; 0 after one of them, 1 when it cannot work."""
    try:
        settings = Settings()
    except ValidationError as error:
        for found in error.errors():
            name = PREFIX + "_".join(str(part) for part in found["loc"]).upper()
            sys.stderr.write(f"{name}: {found['msg']}\n")
        return 1
    logs.configure(settings, "index")
    try:
        failpoints.arm(settings.failpoint)
        store = RedisStore(connect(settings.redis_url.get_secret_value()))
        follower = Follower(store)
        server = Server(follower, socket_path(settings.index_url))
    except (Misconfigured, ValueError) as error:
        _log.error("refusing to start", reason=str(error))
        return 1
    return _serve(follower, server)


def _serve(follower: Follower, server: Server) -> int:
    # Blocked in every thread and waited for here: nothing is interrupted half-way.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    stop = threading.Event()
    following = _thread(follower.run, stop)
    serving = _thread(server.run)
    _log.info("serving")
    asked = None
    while asked is None and following.is_alive() and serving.is_alive():
        asked = signal.sigtimedwait(_STOP_SIGNALS, 1.0)
    stop.set()
    if serving.is_alive():
        server.stop()
    serving.join(_STOP_SECONDS + 0.5)
    following.join(_STOP_SECONDS)
    if asked is None:
        _log.error("a thread died; starting anew is all that helps")
        return 1
    _log.info("stopped")
    return 0


def _thread(run: Callable[..., None], *args: object) -> threading.Thread:
    # In a copy of this context, which has what every log line of this process says.
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(run, *args), daemon=True)
    thread.start()
    return thread


def _exit(code: int) -> NoReturn:
    if threading.active_count() > 1:
        # A search in progress cannot be interrupted, and the interpreter's own way out would
        # abort on it.
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    _exit(main())
