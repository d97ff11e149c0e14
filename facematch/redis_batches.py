"""Batches in Redis or Valkey: the only home of their keys, beside `facematch.redis_store`.

Of a collection as a whole, under its prefix:

    batch:<id>         hash    total; number of an item → "<job>", or "<code> <name>" of one that
                               was refused; it expires as jobs do that have ended
    claim:<key>        string  "<fingerprint> <job or batch>" of a submission sent with a key, by
                               the digest of that; it expires after a day
"""

from collections.abc import Sequence

from facematch.batches import CLAIM_SECONDS, Batch, Item, ItemState
from facematch.collection_name import DEFAULT, served_name
from facematch.errors import Conflict, NotFound
from facematch.redis_connection import Redis, translated
from facematch.redis_scripts import Scripted


class RedisBatches(Scripted):
    """See facematch.batches.Batches. Safe to share between threads."""

    def __init__(self, client: Redis, collection: str = DEFAULT, *, job_days: float = 7.0) -> None:
        """Raises ValueError for what is no name of a collection."""
        super().__init__(client, served_name(collection))
        self._ttl = int(job_days * 86_400)

    @translated()
    def keep(self, batch: str, items: Sequence[Item]) -> None:
        """See Batches."""
        kept = [item.job or f"{item.code} {item.name}" for item in items]
        self._run("batch_keep", batch, self._ttl, *kept)

    @translated()
    def batch(self, batch: str, start: int, count: int) -> Batch:
        """See Batches."""
        told = self._run("batch", batch, start, count, self._ttl)
        if told is None:
            raise NotFound("not_found", f"no batch {batch}")
        total, counts, *items = told
        names, numbers = counts[::2], counts[1::2]
        return Batch(
            batch,
            int(total),
            {name.decode(): int(number) for name, number in zip(names, numbers, strict=True)},
            tuple(
                ItemState(int(number), *(value.decode() for value in more))
                for number, *more in items
            ),
        )

    @translated()
    def claim(self, key: str, fingerprint: str, name: str) -> str:
        """See Batches."""
        told = self._run("claim", key, fingerprint, name, int(CLAIM_SECONDS))
        if told is None:
            raise Conflict("key_reused")
        return str(told.decode())
