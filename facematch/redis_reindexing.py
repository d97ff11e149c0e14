"""A reindex in Redis or Valkey: see `facematch.redis_store` for its keys."""

from facematch.collection_name import DEFAULT
from facematch.errors import Conflict, Unavailable
from facematch.job import new_job_id
from facematch.redis_connection import Redis, translated
from facematch.redis_records import reindex as decode
from facematch.redis_scripts import Scripted
from facematch.redis_store import policy_arguments
from facematch.reindexing import (
    MOST_RANGES,
    SPAN,
    Phase,
    Range,
    RangeLink,
    Reindex,
    check_wanted,
    wrong_phase,
)
from facematch.store import DEFAULT_BOUNDS, Bounds, Linked

_DROPPED_AT_ONCE = 1000


class RedisReindexing(Scripted):
    """See facematch.reindexing.Reindexing. Safe to share between threads."""

    def __init__(self, client: Redis, name: str = DEFAULT) -> None:
        """`name`: that of an edition of a collection. Raises ValueError for any other."""
        super().__init__(client, name)

    @translated()
    def begin(
        self,
        threshold: float,
        share: float = 1.0,
        span: int = SPAN,
        bounds: Bounds = DEFAULT_BOUNDS,
    ) -> Reindex:
        """See Reindexing."""
        check_wanted(threshold, share)
        policy, *most = policy_arguments(threshold, bounds)
        told = self._run(
            "reindex_begin", new_job_id(), policy, repr(share), span, MOST_RANGES, *most
        )
        if told == b"exists":
            raise Conflict("reindex_exists")
        if told in (b"old_data", b"no_rates"):
            raise Conflict(told.decode())
        if told is None:
            raise Unavailable("store_unavailable", "the collection was not created yet")
        return decode(told)

    @translated()
    def current(self) -> Reindex | None:
        """See Reindexing."""
        told = self._run("reindex")
        return decode(told) if told else None

    @translated()
    def due_ranges(self, limit: int, age: float) -> list[int]:
        """See Reindexing."""
        return [int(first) for first in self._run("reindex_due", age, limit)]

    @translated()
    def take(self, reindex: str, first: int) -> Range | None:
        """See Reindexing."""
        told = self._run("reindex_take", reindex, first)
        if told is None:
            return None
        threshold, last, share, scored, false = told
        return Range(
            *(reindex, float(threshold), first, int(last), float(share)),
            scored=bool(scored),
            max_false_matches=float(false) if false else None,
        )

    @translated()
    def hold(self, reindex: str, first: int) -> None:
        """See Reindexing."""
        self._run("reindex_hold", reindex, first)

    @translated()
    def link(self, link: RangeLink) -> Linked:
        """See Reindexing."""
        told = self._run(
            "reindex_link",
            *(link.reindex, link.first, link.seen.position, link.seen.chain),
            *(link.token, link.offset, len(link.pairs), int(link.last), int(link.exact)),
            *(link.pairs.encode(), link.calibration),
        )
        return Linked(told.decode())

    @translated()
    def pause(self, reindex: str) -> None:
        """See Reindexing."""
        self._set(reindex, Phase.PAUSED)

    @translated()
    def resume(self, reindex: str, share: float | None = None) -> None:
        """See Reindexing."""
        self._set(reindex, Phase.BUILDING, "" if share is None else repr(share))

    @translated()
    def switch(self, reindex: str) -> None:
        """See Reindexing."""
        self._set(reindex, Phase.SWITCHED)

    @translated()
    def rollback(self, reindex: str) -> None:
        """See Reindexing."""
        self._set(reindex, Phase.BUILT)

    @translated()
    def cancel(self, reindex: str) -> None:
        """See Reindexing."""
        self._told(self._run("reindex_end", reindex, ""), "cancelled")

    @translated()
    def drop(self, reindex: str) -> None:
        """See Reindexing."""
        self._told(self._run("reindex_end", reindex, Phase.SWITCHED), "dropped")

    @translated()
    def drop_some(self) -> bool:
        """See Reindexing."""
        return bool(self._run("drop_some", _DROPPED_AT_ONCE))

    def _set(self, reindex: str, phase: Phase, share: str = "") -> None:
        self._told(self._run("reindex_set", reindex, phase, share), phase)

    def _told(self, told: bytes | None, wanted: str) -> None:
        if told is None:
            raise Conflict("no_reindex")
        if told != b"ok":
            raise wrong_phase(told.decode(), wanted)
