"""`python -m worker`: chooses the real parts, checks that they can work, consumes until SIGTERM."""

import signal
import sys
import threading

import structlog

from facematch import startup
from facematch.brokers import open_broker
from facematch.errors import Misconfigured
from facematch.redis_connection import Redis, connect
from facematch.redis_durability import check_durable
from facematch.redis_store import RedisStore
from facematch.settings import Settings
from facematch.sidecar import Sidecar
from facematch.store import Collection
from worker.consumer import consume
from worker.encoder import load_encoder
from worker.fetch import Fetcher, FetchLimits
from worker.pipeline import Limits, Parts, finish, process
from worker.sweeper import keep_sweeping

_log = structlog.get_logger()


def serve(settings: Settings) -> int:
    """Consume until SIGTERM or SIGINT; the job in hand is finished first.

    Raises Misconfigured, also when the collection is replaced by one it cannot work with.
    """
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    client = connect(settings.redis_url.get_secret_value())
    store = RedisStore(client, job_days=settings.job_days, log_keep=settings.log_keep)
    encoder = load_encoder(settings.encoder)
    collection = _join(client, store, encoder.model, settings, stop)
    if collection is None:
        client.close()
        _log.info("stopped")
        return 0
    threshold = collection.threshold
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

    def ready() -> None:
        # Made again if it is gone: somebody has emptied Redis.
        _check(store.create(encoder.model, threshold), encoder.model, threshold)
        neighbours.check()

    sweeper.start()
    _log.info("ready", model=encoder.model, threshold=threshold)
    try:
        consume(broker, lambda job: process(job, parts), ready, stop)
    finally:
        stop.set()
        broker.close()
        sweeper.join(timeout=5)
        neighbours.close()
        client.close()
    _log.info("stopped")
    return 0


def _join(
    client: Redis, store: RedisStore, model: str, settings: Settings, stop: threading.Event
) -> Collection | None:
    """Wait for Redis, and make the collection or join it; its threshold is the one that counts.

    None when stopped meanwhile. Raises Misconfigured.
    """

    def attempt() -> tuple[list[str], Collection]:
        weaknesses = check_durable(client, settings.allow_volatile)
        return weaknesses, store.create(model, settings.threshold)

    joined = startup.wait_for_redis(attempt, stop)
    if joined is None:
        return None
    weaknesses, collection = joined
    for weakness in weaknesses:
        _log.warning("Redis may lose what was acknowledged", reason=weakness)
    _check(collection, model, collection.threshold)
    if collection.threshold != settings.threshold:
        _log.warning(
            "the collection keeps the threshold it was made with",
            threshold=collection.threshold,
            set=settings.threshold,
        )
    return collection


def _check(collection: Collection, model: str, threshold: float) -> None:
    """Raise Misconfigured unless the collection is of this model and threshold."""
    if collection.model != model:
        raise Misconfigured(
            f"the collection has encodings of {collection.model}, this worker makes {model}"
        )
    if collection.threshold != threshold:
        raise Misconfigured(
            f"the collection was made anew with the threshold {collection.threshold:g}, and this"
            f" worker began with {threshold:g}: start it again"
        )


if __name__ == "__main__":
    sys.exit(startup.run("worker", serve))
