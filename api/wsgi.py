"""Checks that the api can work, and puts it together out of the real parts. For `python -m api`."""

import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import structlog
from apiflask import APIFlask
from pydantic import SecretStr

from api.app import create_app
from api.ledger import Ledger
from api.metrics import Metrics, gauges_of
from api.publishing import Publisher
from api.replaying import Replayer
from api.status_routes import Operation
from api.status_schemas import IndexStatus
from api.vitals import LOOK_SECONDS, Watch
from api.waiting import Waiting
from facematch import startup
from facematch.brokers import open_queues
from facematch.collection_name import DEFAULT, edition_name, served_name
from facematch.errors import Misconfigured, Unavailable
from facematch.indexes import is_milvus
from facematch.metrics_port import MetricsPort
from facematch.redis_connection import connect
from facematch.redis_durability import check_durable
from facematch.redis_failed_jobs import RedisFailedJobs
from facematch.redis_people import RedisPeople
from facematch.redis_schema import RedisSchema
from facematch.redis_store import RedisStore
from facematch.redis_vitals import RedisVitals
from facematch.settings import Settings
from facematch.sidecar import Sidecar

_log = structlog.get_logger()


@dataclass(frozen=True)
class Telling:
    """Where metrics are told, and what they are."""

    port: MetricsPort
    metrics: Metrics
    watch: Watch

    def start(self) -> None:
        """Start the threads."""
        self.watch.start()
        self.port.serve(self.metrics.registry.encode)

    def stop(self) -> None:
        """End them."""
        self.port.close()
        self.watch.stop()


@dataclass(frozen=True)
class Service:
    """The application and the threads that work for it."""

    app: APIFlask
    publisher: Publisher
    waiting: Waiting
    replayer: Replayer
    traces: startup.Tracing
    telling: Telling | None = None

    def start(self) -> None:
        """Start the threads."""
        self.traces.start()
        self.publisher.start()
        self.replayer.start()
        self.waiting.start()
        if self.telling is not None:
            self.telling.start()

    def let_go(self) -> None:
        """Answer whoever waits, now."""
        self.waiting.stop()

    def stop(self) -> None:
        """End the threads; what is still to be published goes out if that is quick."""
        if self.telling is not None:
            self.telling.stop()
        self.waiting.stop()
        self.replayer.stop()
        self.publisher.close()
        self.traces.close()


def check(settings: Settings) -> None:
    """Wait for Redis, then raise Misconfigured if the api cannot work as it is set up."""
    if settings.api_waiters >= settings.api_threads:
        raise Misconfigured(
            f"{settings.api_waiters} requests may wait (FACEMATCH_API_WAITERS), and there are "
            f"{settings.api_threads} threads (FACEMATCH_API_THREADS): none would be left"
        )
    startup.Tracing(settings, "api")
    Ledger(Path(settings.ledger)).check()
    # It does not connect, and it refuses a URL that it cannot read.
    open_queues(settings.broker_url.get_secret_value())
    with connect(settings.redis_url.get_secret_value()) as client:

        def attempt() -> list[str]:
            RedisSchema(client).check()
            return check_durable(client, settings.allow_volatile)

        weaknesses = startup.wait_for_redis(attempt, threading.Event())
        for weakness in weaknesses or ():
            _log.warning("Redis may lose what was acknowledged", reason=weakness)


def assemble(settings: Settings, port: MetricsPort | None = None) -> Service:
    """The api with the real parts; nothing is started, and nothing connects before that. `port`:
    where it tells its metrics, if anywhere."""
    client = connect(settings.redis_url.get_secret_value(), part="api")
    store = RedisStore(
        client, served_name(DEFAULT), job_days=settings.job_days, log_keep=settings.log_keep
    )
    people = RedisPeople(client, served_name(DEFAULT))
    queues = open_queues(settings.broker_url.get_secret_value())
    publisher = Publisher(queues, patience=settings.sweep_age)
    ledger = Ledger(Path(settings.ledger))
    replayer = Replayer(store, ledger)
    waiting = Waiting(store, settings.api_waiters, on_connect=replayer.request)
    metrics = Metrics()
    vitals = RedisVitals(client).read
    operation = Operation(vitals, RedisFailedJobs(client), index_asker(settings.index_url))
    parts = store, publisher, waiting, ledger, replayer, people, settings, metrics
    app = create_app(*parts, operation)
    traces = startup.Tracing(settings, "api")
    if port is None:
        return Service(app, publisher, waiting, replayer, traces)
    watch = Watch(vitals, queues, settings.backlog_bytes, LOOK_SECONDS)
    metrics.registry.watch(watch.gauges)
    metrics.registry.watch(
        gauges_of(
            lambda: waiting.waiting,
            waiting.places,
            lambda: publisher.queued,
            lambda: replayer.replayed,
        )
    )
    return Service(app, publisher, waiting, replayer, traces, Telling(port, metrics, watch))


def index_asker(index_url: SecretStr) -> Callable[[int], IndexStatus | None]:
    """Asks the index beside this process for the edition with a number, as `facematch serve` has
    it; in a cluster the indexes are with the workers, and a Milvus is not asked."""
    url = index_url.get_secret_value()

    def ask(edition: int) -> IndexStatus | None:
        if is_milvus(url):
            return None
        try:
            with closing(Sidecar(url, edition_name(DEFAULT, edition), timeout=1)) as index:
                told = index.status()
        except (Unavailable, Misconfigured):
            return None
        return IndexStatus(
            ready=told.ready,
            position=told.position,
            faces=told.faces,
            detail=told.reason or None,
        )

    return ask
