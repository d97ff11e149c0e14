"""`python -m index`: one index sidecar. Chooses the store and the socket from the settings."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn

import numpy as np
import structlog

from facematch import startup
from facematch.collection_name import DEFAULT, edition_name
from facematch.errors import Misconfigured
from facematch.metrics_port import open_port
from facematch.redis_connection import connect
from facematch.redis_reencoding import RedisReencoding
from facematch.redis_store import RedisStore
from facematch.reencoding import Editions, Reencoding
from facematch.settings import Settings
from facematch.sidecar import socket_path
from index.budget import Budget
from index.collections import Collections
from index.engine import AnyEngine, Engine
from index.ivf import IvfEngine
from index.metrics import Metrics
from index.room import RESTS
from index.server import Server

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_STOP_SECONDS = 1.0
_SAMPLE_SECONDS = 5.0
_EDITIONS_SECONDS = 2.0
_NEWER_SECONDS = 10.0

_log = structlog.get_logger()


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT: 0 after one of them, 1 after an accident.

    Raises Misconfigured.
    """
    # Blocked in every thread and waited for in one: nothing is interrupted half-way.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    client = connect(settings.redis_url.get_secret_value(), part="index")
    limit = settings.index_memory or startup.usable_memory() * 4 // 5
    metrics = Metrics()
    approximate = settings.index_kind == "ivf"
    traces = startup.Tracing(settings, "index")

    def new_engine(budget: Budget) -> AnyEngine:
        return IvfEngine(budget, settings.index_probes) if approximate else Engine(budget)

    collections = Collections(
        lambda name: RedisStore(client, name), Budget(limit), metrics, new_engine
    )
    server = Server(collections, metrics, socket_path(settings.index_url.get_secret_value()))
    port = open_port(settings)
    if port is not None:
        port.serve(metrics.encode)
    if approximate:
        _thread(lambda: _sample(collections))
    return _serve(collections, server, RedisReencoding(client), traces)


def _keep_editions(collections: Collections, reencoding: Reencoding, stop: threading.Event) -> None:
    """Have the edition loaded that is served, and none that was given up or erased."""
    while there := _wait_for_editions(reencoding, stop):
        collections.keep([edition_name(DEFAULT, edition.number) for edition in there.all])
        collections.tidy()
        stop.wait(_EDITIONS_SECONDS)


def _wait_for_editions(reencoding: Reencoding, stop: threading.Event) -> Editions | None:
    while True:
        try:
            return startup.wait_for_redis(reencoding.editions, stop)
        except Misconfigured as error:
            # It answers nobody, and says so to whoever asks; who comes back to this version has it.
            _log.error("waiting for data of this version", reason=str(error))
            stop.wait(_NEWER_SECONDS)


def _sample(collections: Collections) -> None:
    rng, took = np.random.default_rng(), 0.0
    while True:
        time.sleep(max(_SAMPLE_SECONDS, RESTS * took))
        began = time.monotonic()
        try:
            collections.sample(rng)
        except Exception:  # noqa: BLE001 - an error here takes nothing from the answers
            _log.exception("cannot measure how much is found")
        took = time.monotonic() - began


def _serve(
    collections: Collections, server: Server, reencoding: Reencoding, traces: startup.Tracing
) -> int:
    traces.start()
    # Until Redis answers nobody knows more. Should this edition have been given up, it is dropped
    # as soon as the others are known.
    collections.start(DEFAULT)
    stop = threading.Event()
    keeping = _thread(lambda: _keep_editions(collections, reencoding, stop))
    serving = _thread(server.run)
    _log.info("serving")
    asked = False
    threads = (serving, keeping)
    while not asked and collections.alive() and all(one.is_alive() for one in threads):
        signalled = signal.sigtimedwait(_STOP_SIGNALS, 1.0)
        # After a pause of the whole process it may return something that is no signal of ours.
        asked = signalled is not None and signalled.si_signo in _STOP_SIGNALS
    stop.set()
    if serving.is_alive():
        server.stop()
    serving.join(_STOP_SECONDS + 0.5)
    collections.stop(_STOP_SECONDS)
    traces.close()
    if not asked:
        _log.error("a thread died; starting anew is all that helps")
        return 1
    _log.info("stopped")
    return 0


def _thread(run: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=run, daemon=True)
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
    _exit(startup.run("index", serve))
