"""What the commands work with that look at a service as a whole: its store, and its workers."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from facematch.broker import Broker
from facematch.brokers import open_broker
from facematch.collection_name import DEFAULT, edition_name
from facematch.commands.stores import served_edition, urls
from facematch.errors import Unavailable
from facematch.indexes import forget
from facematch.policy import PolicyChange
from facematch.redis_collections import RedisCollections
from facematch.redis_connection import Redis, connect
from facematch.redis_reencoding import RedisReencoding
from facematch.redis_reindexing import RedisReindexing
from facematch.redis_store import RedisStore
from facematch.settings import load


@dataclass(frozen=True)
class Wanted:
    """What a reindex shall do. `policy`: how that of the new match sets differs from that of those
    there are; `share`: the part of their time that workers give to it, None for all or as before;
    `most_change`: the share of unexpected changes that does not stop it; `check`: with fsck;
    `switch`: serve the new match sets when nothing is in the way."""

    policy: PolicyChange
    share: float | None
    most_change: float
    check: bool
    switch: bool


@dataclass(frozen=True)
class Parts:
    """Of a collection. `reindexing`: of the edition that is served. The URLs are None where no
    service runs that would do the work."""

    client: Redis
    reencoding: RedisReencoding
    reindexing: RedisReindexing
    index_url: str | None
    broker_url: str | None
    collection: str = DEFAULT

    def store(self, number: int) -> RedisStore:
        """That of an edition."""
        return RedisStore(self.client, edition_name(self.collection, number))

    def has_other_collections(self) -> bool:
        """Whether there are any but the default one. Raises Unavailable."""
        return len(RedisCollections(self.client).page(2)[0]) > 1

    def drop_some(self) -> bool:
        """Forget a portion of what was given up; whether nothing is left. Raises Unavailable."""
        return self.reindexing.drop_some() and self.reencoding.drop_some(self._forget_in_index)

    def _forget_in_index(self, number: int) -> None:
        if self.index_url is not None:
            forget(self.index_url, edition_name(self.collection, number))

    def require_service(self) -> None:
        """Raise Unavailable("service_unavailable") where no service runs."""
        if self.broker_url is None:
            raise Unavailable("service_unavailable", "a reindex is done by a service's workers")

    @contextlib.contextmanager
    def broker(self, queue: str) -> Iterator[Broker]:
        """That of a queue. Raises Unavailable("service_unavailable") where no service runs."""
        self.require_service()
        with contextlib.closing(open_broker(self.broker_url or "", queue=queue)) as broker:
            yield broker


@contextlib.contextmanager
def parts_of(data: Path | None, collection: str = DEFAULT) -> Iterator[Parts]:
    """Of a collection in the store that facematch.commands.stores.urls says. Raises NotFound,
    Misconfigured, Unavailable."""
    with urls(data) as (redis_url, index_url), connect(redis_url) as client:
        broker_url = None
        if index_url is not None:
            # Embedded, the store's server has the queues too.
            settings = load()
            ours = data is None and "redis_url" in settings.model_fields_set
            broker_url = settings.broker_url.get_secret_value() if ours else redis_url
        reencoding = RedisReencoding(client, collection)
        reindexing = RedisReindexing(client, served_edition(client, collection))
        yield Parts(client, reencoding, reindexing, index_url, broker_url, collection)
