"""A reindex to another encoder in Redis or Valkey: see `facematch.redis_store` for its keys."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from facematch.collection_name import DEFAULT, edition_name, key_prefix, served_name
from facematch.errors import Conflict, Unavailable
from facematch.job import new_job_id
from facematch.redis_connection import Redis, translated
from facematch.redis_records import editions as decode
from facematch.redis_records import standing
from facematch.redis_scripts import Scripted
from facematch.redis_store import policy_arguments
from facematch.reencoding import Carried, Carry, Editions, Lag, Standing, no_such_edition
from facematch.reindexing import wrong_phase
from facematch.store import DEFAULT_BOUNDS, Bounds

_PORTION = 1000
#: As many of those accepted, which takes 10 ms; more count as if they were all behind.
_JOBS_LOOKED_AT = 5000
#: Keys that are of no edition, and what those begin with of which there are many.
_SHARED = frozenset({"editions", "editions:dropped", "submissions", "fsck", "happened", "webhooks"})
_SHARED_KINDS = ("bases:", "batch:", "claim:", "webhook:")


@dataclass
class _Forgetting:
    """How far an edition is gone through to forget it, and whether nothing was found so far."""

    number: bytes | str
    cursor: int = 0
    clean: bool = True


class RedisReencoding(Scripted):
    """See facematch.reencoding.Reencoding. Its `drop_some` is for one thread."""

    def __init__(self, client: Redis, collection: str = DEFAULT) -> None:
        """Raises ValueError for what is no name of a collection."""
        super().__init__(client, served_name(collection))
        self._collection = collection
        self._forgetting: _Forgetting | None = None

    @translated()
    def editions(self) -> Editions:
        """See Reencoding."""
        return decode(self._run("editions"))

    @translated()
    def note(self, number: int, encoder: str, detector: str) -> None:
        """See Reencoding."""
        settings = [f"encoder.{number}", encoder, f"detector.{number}", detector]
        self._redis.hset(f"{self._base}editions", items=settings)

    @translated()
    def begin(
        self,
        model: str,
        threshold: float,
        encoder: str,
        detector: str,
        bounds: Bounds = DEFAULT_BOUNDS,
    ) -> Editions:
        """See Reencoding."""
        policy = policy_arguments(threshold, bounds)
        told = self._run("edition_begin", new_job_id(), model, *policy, encoder, detector)
        if told is None:
            raise Unavailable("store_unavailable", "the collection was not created yet")
        if told == b"old_data":
            raise Conflict("old_data")
        if told == b"exists":
            raise Conflict("reindex_exists")
        if told == b"same_model":
            raise Conflict("same_model")
        return decode(told)

    def images(self) -> Iterator[list[str]]:
        """See Reencoding."""
        served = self.editions().served.number
        prefix = key_prefix(edition_name(self._collection, served)) + "image:"
        cursor = 0
        while True:
            with translated():
                cursor, keys = self._redis.scan(cursor, match=f"{prefix}*", count=_PORTION)
            yield [cast(bytes, key).decode().removeprefix(prefix) for key in keys]
            if cursor == 0:
                return

    @translated()
    def standing(self, number: int, images: Sequence[str]) -> list[Standing]:
        """See Reencoding."""
        told = self._told(self._run("edition_standing", number, *images))
        return [standing(image, *values) for image, values in zip(images, told, strict=True)]

    @translated()
    def carry(self, number: int, carry: Carry, backlog: int) -> Carried:
        """See Reencoding."""
        told = self._told(
            self._run(
                "edition_carry",
                *(number, carry.image, carry.job, carry.name, carry.url, carry.data),
                *(new_job_id(), backlog, carry.code),
            )
        )
        if told == b"backlog_full":
            raise Unavailable("backlog_full")
        return Carried(told.decode())

    @translated()
    def lag(self, number: int) -> Lag:
        """See Reencoding."""
        return Lag(*map(int, self._told(self._run("edition_lag", number, _JOBS_LOOKED_AT))))

    @translated()
    def built(self, number: int) -> None:
        """See Reencoding."""
        self._set(number, "built")

    @translated()
    def switch(self, number: int) -> None:
        """See Reencoding."""
        self._set(number, "switched")

    @translated()
    def rollback(self, number: int) -> None:
        """See Reencoding."""
        self._set(number, "rolled back")

    @translated()
    def cancel(self, number: int) -> None:
        """See Reencoding."""
        self._set(number, "cancelled")

    @translated()
    def drop(self, number: int) -> None:
        """See Reencoding."""
        self._set(number, "dropped")

    @translated()
    def drop_some(self, also: Callable[[int], object] = lambda number: None) -> bool:
        """See Reencoding."""
        dropped = self._redis.smembers(f"{self._base}editions:dropped")
        if not dropped:
            return True
        number = min(dropped)
        if self._forgetting is None or number != self._forgetting.number:
            self._forgetting = _Forgetting(number)
        now = self._forgetting
        prefix = key_prefix(edition_name(self._collection, int(number)))
        # The keys of all other editions begin with those of the first.
        pattern = f"{prefix}*" if int(number) else f"{prefix}[^~]*"
        now.cursor, keys = self._redis.scan(now.cursor, match=pattern, count=_PORTION)
        if own := [key for key in keys if not self._is_shared(key)]:
            now.clean = False
            self._redis.unlink(*own)
        if now.cursor:
            return False
        self._forgetting = None
        # Once through without finding any: somebody else may have been at it, or a key been made.
        if now.clean:
            also(int(number))
            self._redis.srem(f"{self._base}editions:dropped", number)
        return now.clean and len(dropped) == 1

    def _is_shared(self, key: object) -> bool:
        name = cast(bytes, key).decode().removeprefix(self._base)
        return name in _SHARED or name.startswith(_SHARED_KINDS)

    def _set(self, number: int, wanted: str) -> None:
        told = self._told(self._run("edition_set", number, wanted))
        if told != b"ok":
            raise wrong_phase(told.decode(), wanted)

    def _told(self, told: Any) -> Any:
        if told is None:
            raise no_such_edition()
        return told
