"""Vitals of a collection in Redis or Valkey: see `facematch.redis_store` for its keys."""

from collections.abc import Mapping
from typing import Any

from facematch import redis_server
from facematch.collection_name import DEFAULT, served_name
from facematch.redis_collections import RedisCollections
from facematch.redis_connection import Redis, translated
from facematch.redis_scripts import Scripted
from facematch.reindexing import Phase
from facematch.vitals import JOBS_LOOKED_AT, Checked, EditionVitals, Others, Vitals

#: Of other collections than the default one: those in which something was done within so many
#: seconds, and no more than so many of them.
_LATELY_SECONDS, _MOST_BUSY = 600.0, 100


class RedisVitals(Scripted):
    """See facematch.vitals. Safe to share between threads."""

    def __init__(self, client: Redis, collection: str = DEFAULT) -> None:
        """Raises ValueError for what is no name of a collection."""
        super().__init__(client, served_name(collection))

    @translated()
    def read(self) -> Vitals:
        """How it is now. Raises Unavailable("store_unavailable")."""
        views, checked, now, ahead, uploads = self._run("vitals", JOBS_LOOKED_AT)
        return Vitals(
            tuple(_edition(*view) for view in views),
            redis_server.server(self._redis),
            float(ahead),
            _checked(checked, float(now)),
            uploads,
        )

    @translated()
    def note_checked(self, findings: Mapping[str, int]) -> None:
        """That `fsck` of all has ended, now, with so many findings by invariant. Raises
        Unavailable("store_unavailable")."""
        self._run("vitals_checked", *(part for found in findings.items() for part in found))


class RedisOthers:
    """Those of the other collections. Safe to share between threads."""

    def __init__(self, client: Redis) -> None:
        self._redis = client
        self._collections = RedisCollections(client)

    @translated()
    def read(self) -> Others:
        """How they are now. Raises Unavailable("store_unavailable")."""
        names = self._collections.touched(_LATELY_SECONDS)[1:][-_MOST_BUSY:]
        with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                RedisVitals(self._redis, name)._run("vitals", JOBS_LOOKED_AT, client=pipe)
            told = pipe.execute(raise_on_error=False)
        busy = {
            name: _edition(*views[0][0])
            for name, views in zip(names, told, strict=True)
            if not isinstance(views, Exception)  # erased meanwhile
        }
        return Others(self._collections.count(), len(self._collections.dropping()), busy)


def _edition(
    edition: bytes,
    jobs: int,
    in_hand: int,
    oldest_job: bytes,
    left_lying: bytes,
    images: int,
    pending: int,
    oldest_pending: bytes,
    position: int,
    entries: int,
    erasures: int,
    upload_bytes: int,
    phase: bytes | None,
    ranges: int,
    ranges_left: int,
) -> EditionVitals:
    return EditionVitals(
        int(edition),
        jobs=jobs,
        in_hand=in_hand,
        oldest_job=float(oldest_job),
        left_lying=float(left_lying),
        images=images,
        pending=pending,
        oldest_pending=float(oldest_pending),
        position=position,
        entries=entries,
        erasures=erasures,
        upload_bytes=upload_bytes,
        phase=Phase(phase.decode()) if phase else None,
        ranges=ranges,
        ranges_left=ranges_left,
    )


def _checked(values: list[Any], now: float) -> Checked | None:
    if not values:
        return None
    told = dict(zip((name.decode() for name in values[::2]), values[1::2], strict=True))
    at = float(told.pop("at"))
    return Checked({name: int(count) for name, count in told.items()}, max(0.0, now - at))
