"""What the commands work with that look at a service as a whole: its store, and its workers."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from facematch.broker import Broker
from facematch.brokers import open_broker
from facematch.collection_name import DEFAULT, edition_name
from facematch.commands.stores import urls
from facematch.errors import Unavailable
from facematch.redis_connection import Redis, connect
from facematch.redis_reencoding import RedisReencoding
from facematch.redis_reindexing import RedisReindexing
from facematch.redis_store import RedisStore
from facematch.settings import load


@dataclass(frozen=True)
class Parts:
    """`reindexing`: of the edition that is served. `broker_url`, `index_url`: None where no service
    runs."""

    client: Redis
    reencoding: RedisReencoding
    reindexing: RedisReindexing
    broker_url: str | None
    index_url: str | None

    def store(self, number: int) -> RedisStore:
        """That of an edition."""
        return RedisStore(self.client, edition_name(DEFAULT, number))

    @contextlib.contextmanager
    def broker(self, queue: str) -> Iterator[Broker]:
        """That of a queue. Raises Unavailable("service_unavailable") where no service runs."""
        if self.broker_url is None:
            raise Unavailable("service_unavailable", "that is done by a service's workers")
        with contextlib.closing(open_broker(self.broker_url, queue=queue)) as broker:
            yield broker


@contextlib.contextmanager
def parts_of(data: Path | None) -> Iterator[Parts]:
    """Of the store that facematch.commands.stores.urls says. Raises Misconfigured, Unavailable."""
    with urls(data) as (redis_url, index_url), connect(redis_url) as client:
        broker_url = None
        if index_url is not None:
            # Embedded, the store's server has the queues too.
            settings = load()
            ours = data is None and "redis_url" in settings.model_fields_set
            broker_url = settings.broker_url.get_secret_value() if ours else redis_url
        reencoding = RedisReencoding(client)
        served = edition_name(DEFAULT, reencoding.editions().served.number)
        yield Parts(client, reencoding, RedisReindexing(client, served), broker_url, index_url)
