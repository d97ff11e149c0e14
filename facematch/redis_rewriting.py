"""Has Redis or Valkey write its append-only file anew, without what was erased or overwritten.

An erasure takes the bytes of a face out of the store at once; the file has the commands that once
put them there until it is written anew. One key says when that was done last:

    fm:rewritten   string  run id of the server, and microseconds since 1970, by its clock, when the
                           last rewrite that has ended well began

It counts for that run of the server only: a replica that took over, or a server that was given a
backup, has the key, and another file.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from facematch.errors import Unavailable
from facematch.redis_connection import Redis, info_of, translated

_REWRITTEN, _LEASE = "fm:rewritten", "fm:rewriting"
_LEASE_SECONDS, _PAUSE = 600, 0.1


@dataclass(frozen=True)
class Kept:
    """What a server keeps on its disk. Times are seconds since 1970 by its clock; None: never.

    `appends`: whether it has an append-only file; `rewritten`: when the last rewrite of it began
    that is known of since the server started; `snapshots`: whether it makes them by itself;
    `saved`: when the last one was begun since it started, or a little before that. `replicas`: how
    many are connected; what these keep is not known.
    """

    now: float
    appends: bool
    rewritten: float | None
    snapshots: bool
    saved: float | None
    replicas: int


class RedisRewriting:
    """Of one server. Safe to share between threads."""

    def __init__(self, client: Redis) -> None:
        self._redis = client

    @translated()
    def kept(self) -> Kept:
        """How it stands. Raises Unavailable."""
        info, config = info_of(self._redis), self._redis.config_get("save", "appendonly")
        # Of the moment of what it is compared with: else the server seems to have started earlier
        # than it has, and what it says of its start is taken for a snapshot.
        now = (info.get("server_time_usec") or self._microseconds()) / 1e6
        mark = cast("bytes | None", self._redis.get(_REWRITTEN))
        run, _, told = (mark or b"").decode().partition(" ")
        rewritten = int(told) / 1e6 if told and run == info.get("run_id") else None
        return Kept(
            now=now,
            appends=config.get("appendonly") == "yes",
            rewritten=_past(rewritten, now),
            snapshots=bool(config.get("save")),
            saved=_past(_saved(info, now), now),
            replicas=int(info.get("connected_slaves", 0)),
        )

    def _microseconds(self) -> int:
        """Since 1970, by the server's clock."""
        seconds, microseconds = self._redis.time()
        return int(seconds * 1_000_000 + microseconds)

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
        run = self._wait(until)["run_id"]
        began = self._microseconds()
        self._redis.bgrewriteaof()
        info = self._wait(until)
        if info["run_id"] != run or info.get("aof_last_bgrewrite_status") != "ok":
            raise Unavailable(
                "store_unavailable", "Redis could not write its append-only file anew"
            )
        self._redis.set(_REWRITTEN, f"{run} {began}")
        self._redis.delete(_LEASE)

    def _wait(self, until: float) -> dict[str, Any]:
        """What the server says once it does not rewrite."""
        while True:
            info = self._redis.info()
            if not (info["aof_rewrite_in_progress"] or info["aof_rewrite_scheduled"]):
                return dict(info)
            if time.monotonic() > until:
                raise Unavailable("store_unavailable", "Redis still writes its file anew")
            time.sleep(_PAUSE)


def _past(at: float | None, now: float) -> float | None:
    """A time; None for one of before the clock was set back, which is behind nothing."""
    return at if at is not None and at <= now else None


def _saved(info: Mapping[str, Any], now: float) -> float | None:
    """When the last snapshot was begun at the latest. Redis says when it ended, in whole seconds,
    and how long the last one took that was tried; before there is one, when it started."""
    ended, started = info.get("rdb_last_save_time", 0), now - info.get("uptime_in_seconds", 0)
    if ended <= started + 1 or info.get("rdb_last_bgsave_status") != "ok":
        return None
    return float(ended - max(0, info.get("rdb_last_bgsave_time_sec", 0)) - 1)
