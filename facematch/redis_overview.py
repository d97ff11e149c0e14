"""What Redis knows of how a service does: what is under way, which processes there are, and how the
server itself is. For `facematch status` and `facematch doctor`.

Nothing but these depends on it, so there is no port.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from facematch.collection_name import DEFAULT, served_name
from facematch.presence import Process
from facematch.redis_connection import Redis, ResponseError, info_of, server_of, translated
from facematch.redis_scripts import Scripted

#: So many are looked at for the one that was submitted first: 10 ms.
_JOBS_LOOKED_AT = 5000


@dataclass(frozen=True)
class UnderWay:
    """What is under way in the edition that is served. Ages in seconds, 0 where there is none; of
    what has failed and is tried again, or is for another edition, since that began.

    `accepted`: jobs that have not ended; of these `in_hand` of a worker; `accepted_age` since the
    oldest was submitted; `left_lying` since anybody looked after the one left longest. `pending`:
    images whose matches are not all written, the oldest submitted `pending_age` ago. `erasing`:
    erased images that others still have in their match sets, hidden. `backlog`: uploaded bytes that
    wait. `images`: those alive that have faces. `ahead`: how far the number given to a submission
    last, a time, lies in the future of Redis's clock; below 0 in its past.
    """

    accepted: int
    in_hand: int
    accepted_age: float
    left_lying: float
    pending: int
    pending_age: float
    erasing: int
    backlog: int
    images: int
    ahead: float


@dataclass(frozen=True)
class Server:
    """How the server is, as far as its rules let it tell: else nothing but the clock.

    `name`: with its version; `version`: that of the Redis it is compatible with, (0, 0) where it
    does not tell. `memory`, `most_memory` (0: any), `machine_memory`: bytes. `write_problem`: what
    is wrong with how it writes its file, "" when nothing is. `clock`: seconds that its clock is
    ahead of ours."""

    name: str
    version: tuple[int, ...]
    memory: int
    most_memory: int
    machine_memory: int
    write_problem: str
    clock: float


class RedisOverview(Scripted):
    """Of a collection, in the edition that is served at the time. Every method raises
    Unavailable("store_unavailable") when the store does not answer."""

    def __init__(self, client: Redis, collection: str = DEFAULT) -> None:
        """Raises ValueError for what is no name of a collection."""
        super().__init__(client, served_name(collection))

    @translated()
    def under_way(self) -> UnderWay:
        """What is under way."""
        told = self._run("overview", _JOBS_LOOKED_AT)
        kinds = (int, int, float, float, int, float, int, int, int, float)
        return UnderWay(*(kind(value) for kind, value in zip(kinds, told, strict=True)))

    @translated()
    def processes(self) -> list[Process] | None:
        """Those of ours that are connected; None where the server does not tell."""
        try:
            clients = self._redis.client_list()
        except ResponseError:
            return None
        found = set()
        for client in clients:
            try:
                found.add(Process.decode(client["name"]))
            except (KeyError, ValueError):
                continue  # somebody else's
        return sorted(found)

    @translated()
    def server(self) -> Server:
        """How the server is."""
        began = time.time()
        seconds, microseconds = self._redis.time()
        ours = (began + time.time()) / 2
        info = info_of(self._redis)
        return Server(
            name=server_of(info),
            version=tuple(map(int, str(info.get("redis_version", "0.0")).split(".")[:2])),
            memory=int(info.get("used_memory", 0)),
            most_memory=int(info.get("maxmemory", 0)),
            machine_memory=int(info.get("total_system_memory", 0)),
            write_problem=_write_problem(info),
            clock=seconds + microseconds / 1e6 - ours,
        )


def _write_problem(info: Mapping[str, Any]) -> str:
    for field, what in (
        ("aof_last_write_status", "it cannot write its append-only file"),
        ("aof_last_bgrewrite_status", "it could not rewrite its append-only file"),
    ):
        if info.get(field, "ok") != "ok":
            return what
    return ""
