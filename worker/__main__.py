"""`python -m worker`: chooses the real parts, checks that they can work, consumes until SIGTERM."""

import signal
import sys
import threading

import structlog

from facematch import startup
from facematch.brokers import open_broker
from facematch.errors import Misconfigured, Unavailable
from facematch.redis_connection import connect
from facematch.redis_store import RedisStore, check_durable
from facematch.settings import Settings
from facematch.sidecar import Sidecar
from worker.consumer import consume
from worker.encoder import Encoder, load_encoder
from worker.fetch import Fetcher, FetchLimits
from worker.pipeline import Limits, Parts, finish, process
from worker.sweeper import keep_sweeping

_log = structlog.get_logger()


def serve(settings: Settings) -> int:
    """Consume until SIGTERM or SIGINT; the job in hand is finished first.

    Raises Misconfigured.
    """
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    client = connect(settings.redis_url.get_secret_value())
    store = RedisStore(client, job_days=settings.job_days, log_keep=settings.log_keep)
    _wait_for(store, stop)
    for wrong in check_durable(client, settings.allow_volatile):
        _log.warning("acknowledged work may be lost", detail=wrong)
    encoder = load_encoder(settings.encoder)
    threshold = _join(store, encoder, settings)
    broker = open_broker(settings.broker_url.get_secret_value())
    neighbours = Sidecar(settings.index_url)
    fetcher = Fetcher(
        FetchLimits(
            settings.max_bytes,
            settings.fetch_timeout,
            settings.fetch_redirects,
            settings.fetch_allowed,
        )
    )
    limits = Limits(settings.max_pixels, settings.max_faces, settings.max_attempts)
    parts = Parts(store, neighbours, encoder, fetcher.fetch, limits, threshold)
    sweeper = threading.Thread(
        target=keep_sweeping,
        args=(store, broker, lambda image: finish(image, parts)),
        kwargs={"seconds": settings.sweep_seconds, "age": settings.sweep_age, "stop": stop},
        daemon=True,
    )
    sweeper.start()
    _log.info("ready", model=encoder.model, threshold=threshold)
    try:
        consume(broker, lambda job: process(job, parts), neighbours.check, stop)
    finally:
        stop.set()
        broker.close()
        sweeper.join(timeout=5)
        neighbours.close()
        fetcher.close()
        client.close()
    _log.info("stopped")
    return 0


def _wait_for(store: RedisStore, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            store.check()
        except Unavailable as error:
            _log.warning("waiting for Redis", detail=str(error))
            stop.wait(1)
        else:
            return


def _join(store: RedisStore, encoder: Encoder, settings: Settings) -> float:
    """Make the collection or join it; its threshold is the one that counts."""
    collection = store.create(encoder.model, settings.threshold)
    if collection.model != encoder.model:
        raise Misconfigured(
            f"the collection has encodings of {collection.model}, this worker makes {encoder.model}"
        )
    if collection.threshold != settings.threshold:
        _log.warning(
            "the collection keeps the threshold it was made with",
            threshold=collection.threshold,
            set=settings.threshold,
        )
    return collection.threshold


if __name__ == "__main__":
    sys.exit(startup.run("worker", serve))
