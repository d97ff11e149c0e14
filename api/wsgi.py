"""Checks that the api can work, and puts it together out of the real parts. For `python -m api`."""

import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import structlog
from apiflask import APIFlask
from pydantic import SecretStr

from api.app import AppParts, create_app
from api.auditing import Audit
from api.collection_of import Parts
from api.guard import Guard
from api.ledger import Ledger
from api.limiting import SHARED, Limits
from api.listening import Audiences
from api.metrics import Metrics, gauges_of
from api.publishing import Publisher
from api.replaying import Replayer
from api.retention import Retention
from api.status_routes import Operation
from api.status_schemas import IndexStatus
from api.vitals import LOOK_SECONDS, Watch
from api.waiting import Waiting
from facematch import startup
from facematch.brokers import open_queues
from facematch.collection_name import edition_name, served_name
from facematch.errors import Misconfigured, Unavailable
from facematch.guarding import check_guarded
from facematch.indexes import is_milvus
from facematch.metrics_port import MetricsPort
from facematch.redis_batches import RedisBatches
from facematch.redis_collections import RedisCollections
from facematch.redis_connection import Redis, connect
from facematch.redis_durability import check_durable
from facematch.redis_events import RedisEvents
from facematch.redis_failed_jobs import RedisFailedJobs
from facematch.redis_keys import LIMITS_PREFIX, RedisKeys
from facematch.redis_people import RedisPeople
from facematch.redis_privacy import RedisPrivacy
from facematch.redis_schema import RedisSchema
from facematch.redis_store import RedisStore
from facematch.redis_vitals import RedisOthers, RedisVitals
from facematch.redis_webhooks import RedisWebhooks
from facematch.search_workers import open_searcher
from facematch.settings import Settings
from facematch.sidecar import Sidecar

_CREATE = "facematch keys create NAME, or python -m worker keys create NAME where workers are"

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
    audiences: Audiences
    traces: startup.Tracing
    telling: Telling | None = None
    retention: Retention | None = None

    def start(self) -> None:
        """Start the threads."""
        self.traces.start()
        self.publisher.start()
        self.replayer.start()
        if self.retention is not None:
            self.retention.start()
        self.waiting.start()
        if self.telling is not None:
            self.telling.start()

    def let_go(self) -> None:
        """Answer whoever waits, now."""
        self.waiting.stop()
        self.audiences.stop()

    def stop(self) -> None:
        """End the threads; what is still to be published goes out if that is quick."""
        if self.telling is not None:
            self.telling.stop()
        self.let_go()
        self.replayer.stop()
        if self.retention is not None:
            self.retention.stop()
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
    if (audit := _audit(settings)) is not None:
        audit.check()
    # These do not connect, and refuse a URL that they cannot read.
    open_queues(settings.broker_url.get_secret_value())
    open_searcher(settings.search_url, settings.api_searches)
    with connect(settings.redis_url.get_secret_value()) as client:

        def attempt() -> list[str]:
            RedisSchema(client).check()
            check_guarded(settings.host, RedisKeys(client), settings, _CREATE)
            return check_durable(client, settings.allow_volatile)

        weaknesses = startup.wait_for_redis(attempt, threading.Event())
        for weakness in weaknesses or ():
            _log.warning("Redis may lose what was acknowledged", reason=weakness)


def assemble(settings: Settings, port: MetricsPort | None = None) -> Service:
    """The api with the real parts; nothing is started, and nothing connects before that. `port`:
    where it tells its metrics, if anywhere."""
    client = connect(settings.redis_url.get_secret_value(), part="api")
    stores = Parts(
        lambda name: RedisStore(
            client, served_name(name), job_days=settings.job_days, log_keep=settings.log_keep
        )
    )
    people = Parts(lambda name: RedisPeople(client, served_name(name)))
    collections = RedisCollections(client)
    queues = open_queues(settings.broker_url.get_secret_value())
    publisher = Publisher(queues, patience=settings.sweep_age)
    ledger = Ledger(Path(settings.ledger))
    privacy = RedisPrivacy(client)
    retention = Retention(privacy, stores.of, ledger)
    replayer = Replayer(stores.of, collections, ledger)
    waiting = Waiting(collections, settings.api_waiters, on_connect=replayer.request)
    metrics = Metrics()
    events = Parts(lambda name: RedisEvents(client, name))
    audiences = Audiences(events.of, settings.api_listeners)
    # Some threads are left for everybody else.
    left = max(1, settings.api_threads - settings.api_waiters - 1)
    searcher = open_searcher(settings.search_url, min(settings.api_searches, left))
    app = create_app(
        AppParts(
            store=stores.here,
            people=people.here,
            ledger=Parts(ledger.of).here,
            batches=Parts(lambda name: RedisBatches(client, name, job_days=settings.job_days)).here,
            events=events.here,
            listeners=audiences.here,
            operation=Parts(
                lambda name: Operation(
                    RedisVitals(client, name).read,
                    RedisFailedJobs(client, name),
                    index_asker(settings.index_url, name),
                )
            ).here,
            webhooks=Parts(lambda name: RedisWebhooks(client, name)).here,
            collections=collections,
            publisher=publisher,
            waiting=waiting,
            replayer=replayer,
            guard=_guard(client, settings),
            searcher=searcher,
            metrics=metrics,
            privacy=privacy,
            audit=_audit(settings),
        ),
        settings,
    )
    traces = startup.Tracing(settings, "api")
    if port is None:
        return Service(app, publisher, waiting, replayer, audiences, traces, None, retention)
    vitals = RedisVitals(client).read, RedisOthers(client).read
    watch = Watch(*vitals, queues, settings.backlog_bytes, LOOK_SECONDS)
    metrics.registry.watch(watch.gauges)
    metrics.registry.watch(
        gauges_of(
            lambda: waiting.waiting,
            waiting.places,
            lambda: publisher.queued,
            lambda: replayer.replayed,
        )
    )
    telling = Telling(port, metrics, watch)
    return Service(app, publisher, waiting, replayer, audiences, traces, telling, retention)


def _audit(settings: Settings) -> Audit | None:
    return Audit(Path(settings.audit), settings.audit_days) if settings.audit else None


def _guard(client: Redis, settings: Settings) -> Guard:
    limits = Limits(
        settings.key_rate,
        settings.key_quota,
        f"{SHARED}://",  # which is not looked at: the connections are those there are
        connection_pool=client.connection_pool,
        key_prefix=LIMITS_PREFIX,
    )
    return Guard(RedisKeys(client), limits, asks=not settings.guarded_elsewhere)


def index_asker(index_url: SecretStr, collection: str) -> Callable[[int], IndexStatus | None]:
    """Asks the index beside this process for the edition with a number, as `facematch serve` has
    it; in a cluster the indexes are with the workers, and a Milvus is not asked."""
    url = index_url.get_secret_value()

    def ask(edition: int) -> IndexStatus | None:
        if is_milvus(url):
            return None
        try:
            with closing(Sidecar(url, edition_name(collection, edition), timeout=1)) as index:
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
