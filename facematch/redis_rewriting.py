"""Has Redis or Valkey write its append-only file anew, without what was erased or overwritten.

An erasure takes the bytes of a face out of the store at once; the file has the commands that once
put them there until it is written anew. One key says when that was done last:

    fm:rewritten   string  microseconds since 1970, by Redis's clock, when the last rewrite that has
                           ended well began
"""

import time
from dataclasses import dataclass

from facematch.errors import Unavailable
from facematch.redis_connection import Redis, info_of, translated

_REWRITTEN, _LEASE = "fm:rewritten", "fm:rewriting"
_LEASE_SECONDS, _PAUSE = 600, 0.1


@dataclass(frozen=True)
class Kept:
    """What a server keeps on its disk. Times are seconds since 1970 by its clock; None: never.

    `appends`: whether it has an append-only file; `rewritten`: when the last rewrite of it began
    that is known; `snapshots`: whether it makes them by itself; `saved`: when the last one was
    made, or when it started.
    """

    now: float
    appends: bool
    rewritten: float | None
    snapshots: bool
    saved: float


class RedisRewriting:
    """Of one server. Safe to share between threads."""

    def __init__(self, client: Redis) -> None:
        self._redis = client

    @translated()
    def kept(self) -> Kept:
        """How it stands. Raises Unavailable."""
        seconds, microseconds = self._redis.time()
        rewritten = self._redis.get(_REWRITTEN)
        info, config = info_of(self._redis), self._redis.config_get("save", "appendonly")
        return Kept(
            now=seconds + microseconds / 1e6,
            appends=config.get("appendonly") == "yes",
            rewritten=int(rewritten) / 1e6 if rewritten else None,
            snapshots=bool(config.get("save")),
            saved=float(info.get("rdb_last_save_time", 0)),
        )

    @translated()
    def due(self, seconds: float, holder: str) -> bool:
        """Whether a rewrite is due, the last one being so long ago, and `holder` is to do it."""
        kept = self.kept()
        if not kept.appends or (kept.rewritten or 0) > kept.now - seconds:
            return False
        return bool(self._redis.set(_LEASE, holder, nx=True, ex=_LEASE_SECONDS))

    @translated()
    def rewrite(self, patience: float = _LEASE_SECONDS) -> None:
        """Have the file written anew, and wait until it is.

        Raises Unavailable, also when it does not end well or in `patience` seconds.
        """
        until = time.monotonic() + patience
        # One that is under way may have begun before what is to be gone was erased.
        self._wait(until)
        seconds, microseconds = self._redis.time()
        self._redis.bgrewriteaof()
        info = self._wait(until)
        if info.get("aof_last_bgrewrite_status") != "ok":
            raise Unavailable(
                "store_unavailable", "Redis could not write its append-only file anew"
            )
        self._redis.set(_REWRITTEN, seconds * 1_000_000 + microseconds)
        self._redis.delete(_LEASE)

    def _wait(self, until: float) -> dict[str, object]:
        while True:
            info = self._redis.info("persistence")
            if not (info["aof_rewrite_in_progress"] or info["aof_rewrite_scheduled"]):
                return dict(info)
            if time.monotonic() > until:
                raise Unavailable("store_unavailable", "Redis still writes its file anew")
            time.sleep(_PAUSE)
