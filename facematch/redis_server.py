"""How the Redis server itself is, and which processes of ours are connected to it.

For metrics, `facematch status` and `facematch doctor`; nothing else depends on it, so there is no
port. Every function raises Unavailable("store_unavailable") when the server does not answer.
"""

import time
from collections.abc import Mapping
from typing import Any

from facematch.presence import Process
from facematch.redis_connection import Redis, ResponseError, info_of, server_of, translated
from facematch.vitals import Server

_WRITES = {
    "aof_last_write_status": "it cannot write its append-only file",
    "aof_last_bgrewrite_status": "it could not rewrite its append-only file",
    "rdb_last_bgsave_status": "it could not write its snapshot",
}


@translated()
def server(client: Redis) -> Server:
    """How it is."""
    began = time.time()
    seconds, microseconds = client.time()
    ours = (began + time.time()) / 2
    info = info_of(client)
    return Server(
        name=server_of(info),
        version=tuple(map(int, str(info.get("redis_version", "0.0")).split(".")[:2])),
        memory=int(info.get("used_memory", 0)),
        most_memory=int(info.get("maxmemory", 0)),
        machine_memory=int(info.get("total_system_memory", 0)),
        write_problem=_write_problem(info),
        clock=seconds + microseconds / 1e6 - ours,
    )


@translated()
def processes(client: Redis) -> list[Process] | None:
    """Those of ours that are connected; None where the server does not tell."""
    try:
        clients = client.client_list()
    except ResponseError:
        return None
    found = set()
    for one in clients:
        try:
            found.add(Process.decode(one["name"]))
        except (KeyError, ValueError):
            continue  # somebody else's
    return sorted(found)


def _write_problem(info: Mapping[str, Any]) -> str:
    wrong = (what for status, what in _WRITES.items() if info.get(status, "ok") != "ok")
    return next(wrong, "")
