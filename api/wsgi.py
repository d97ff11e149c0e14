"""Checks that the api can work, and puts it together out of the real parts. For `python -m api`."""

import threading
from dataclasses import dataclass
from pathlib import Path

import structlog
from apiflask import APIFlask

from api.app import create_app
from api.ledger import Ledger
from api.listening import Listeners
from api.metrics import Metrics, gauges_of
from api.publishing import Publisher
from api.replaying import Replayer
from api.vitals import LOOK_SECONDS, Watch
from api.waiting import Waiting
from facematch import startup
from facematch.brokers import open_queues
from facematch.collection_name import DEFAULT, served_name
from facematch.errors import Misconfigured
from facematch.metrics_port import MetricsPort
from facematch.redis_batches import RedisBatches
from facematch.redis_connection import connect
from facematch.redis_durability import check_durable
from facematch.redis_events import RedisEvents
from facematch.redis_people import RedisPeople
from facematch.redis_schema import RedisSchema
from facematch.redis_store import RedisStore
from facematch.redis_vitals import RedisVitals
from facematch.redis_webhooks import RedisWebhooks
from facematch.settings import Settings

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
    listeners: Listeners
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
        self.listeners.stop()

    def stop(self) -> None:
        """End the threads; what is still to be published goes out if that is quick."""
        if self.telling is not None:
            self.telling.stop()
        self.let_go()
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
    listeners = Listeners(RedisEvents(client), settings.api_listeners)
    batches = RedisBatches(client, job_days=settings.job_days)
    metrics = Metrics()
    app = create_app(
        *(store, publisher, waiting, ledger, replayer, people, listeners, batches),
        *(RedisWebhooks(client), settings),
        metrics,
    )
    traces = startup.Tracing(settings, "api")
    if port is None:
        return Service(app, publisher, waiting, replayer, listeners, traces)
    watch = Watch(RedisVitals(client).read, queues, settings.backlog_bytes, LOOK_SECONDS)
    metrics.registry.watch(watch.gauges)
    metrics.registry.watch(
        gauges_of(
            lambda: waiting.waiting,
            waiting.places,
            lambda: publisher.queued,
            lambda: replayer.replayed,
        )
    )
    return Service(
        app, publisher, waiting, replayer, listeners, traces, Telling(port, metrics, watch)
    )
