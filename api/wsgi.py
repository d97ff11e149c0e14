"""Checks that the api can work, and puts it together out of the real parts. For `python -m api`."""

import threading
from dataclasses import dataclass
from pathlib import Path

import structlog
from apiflask import APIFlask

from api.app import create_app
from api.ledger import Ledger
from api.publishing import Publisher
from api.replaying import Replayer
from api.waiting import Waiting
from facematch import startup
from facematch.brokers import open_queues
from facematch.collection_name import DEFAULT, served_name
from facematch.errors import Misconfigured
from facematch.redis_connection import connect
from facematch.redis_durability import check_durable
from facematch.redis_store import RedisStore
from facematch.settings import Settings

_log = structlog.get_logger()


@dataclass(frozen=True)
class Service:
    """The application and the threads that work for it."""

    app: APIFlask
    publisher: Publisher
    waiting: Waiting
    replayer: Replayer

    def start(self) -> None:
        """Start the threads."""
        self.publisher.start()
        self.replayer.start()
        self.waiting.start()

    def let_go(self) -> None:
        """Answer whoever waits, now."""
        self.waiting.stop()

    def stop(self) -> None:
        """End the threads; what is still to be published goes out if that is quick."""
        self.waiting.stop()
        self.replayer.stop()
        self.publisher.close()


def check(settings: Settings) -> None:
    """Wait for Redis, then raise Misconfigured if the api cannot work as it is set up."""
    if settings.api_waiters >= settings.api_threads:
        raise Misconfigured(
            f"{settings.api_waiters} requests may wait (FACEMATCH_API_WAITERS), and there are "
            f"{settings.api_threads} threads (FACEMATCH_API_THREADS): none would be left"
        )
    Ledger(Path(settings.ledger)).check()
    # It does not connect, and it refuses a URL that it cannot read.
    open_queues(settings.broker_url.get_secret_value())
    with connect(settings.redis_url.get_secret_value()) as client:
        weaknesses = startup.wait_for_redis(
            lambda: check_durable(client, settings.allow_volatile), threading.Event()
        )
        for weakness in weaknesses or ():
            _log.warning("Redis may lose what was acknowledged", reason=weakness)


def assemble(settings: Settings) -> Service:
    """The api with the real parts; nothing is started, and nothing connects before that."""
    client = connect(settings.redis_url.get_secret_value(), part="api")
    store = RedisStore(
        client, served_name(DEFAULT), job_days=settings.job_days, log_keep=settings.log_keep
    )
    publisher = Publisher(
        open_queues(settings.broker_url.get_secret_value()), patience=settings.sweep_age
    )
    ledger = Ledger(Path(settings.ledger))
    replayer = Replayer(store, ledger)
    waiting = Waiting(store, settings.api_waiters, on_connect=replayer.request)
    app = create_app(store, publisher, waiting, ledger, replayer, settings)
    return Service(app, publisher, waiting, replayer)
