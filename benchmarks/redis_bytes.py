"""What a store holds, by kind of key, and what that takes of its memory.

Measured on the server: `MEMORY USAGE` of each key of a sample, and for the whole `MEMORY STATS`
without what is of connections and buffers.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from facematch.redis_connection import Redis
from facematch.stored_faces import face_count

#: Keys that are looked at one by one; with more, they are a sample: a scan knows no order.
_LOOKED_AT = 200_000
_PORTION = 1000


@dataclass(frozen=True)
class RedisBytes:
    """Bytes. `face`: the key with an image's faces, by each; `match`: a set of matches, by each
    match, in one direction; `image`: all else that there is, by each image."""

    image: float
    face: float
    match: float
    faces: int
    matches: int
    total: int


@dataclass
class _Kind:
    keys: int = 0
    bytes: int = 0
    members: int = 0


def redis_bytes(client: Redis, empty: int = 0) -> RedisBytes:
    """Of the collection that is in a store, with nothing else. `empty`: the `data_bytes` of the
    same store when no image was there, which are of no image. Raises RedisError."""
    kinds: dict[str, _Kind] = defaultdict(_Kind)
    keys = client.dbsize()
    looked = 0
    for portion in _portions(client):
        _look_at(client, portion, kinds)
        looked += len(portion)
        if looked >= _LOOKED_AT:
            break
    share = looked / keys if looked else 1.0
    faces, matches, images = (kinds[name] for name in ("faces", "matches", "image"))
    total = data_bytes(client) - empty
    rest = total - (faces.bytes + matches.bytes) / share
    return RedisBytes(
        image=rest * share / max(1, images.keys),
        face=faces.bytes / max(1, faces.members),
        match=matches.bytes / max(1, matches.members),
        faces=round(faces.members / share),
        matches=round(matches.members / share),
        total=total,
    )


def data_bytes(client: Redis) -> int:
    """What keys and values take, with the tables that find them."""
    stats: dict[str, Any] = client.memory_stats()
    tables = sum(
        sum(int(size) for size in table.values())
        for name, table in stats.items()
        if name.startswith("db.") and isinstance(table, dict)
    )
    return int(stats["dataset.bytes"]) + tables


def _portions(client: Redis) -> Any:
    cursor = 0
    while True:
        cursor, portion = client.scan(cursor, count=_PORTION)
        yield portion
        if cursor == 0:
            return


def _look_at(client: Redis, portion: list[bytes], kinds: dict[str, _Kind]) -> None:
    names = [_kind(key) for key in portion]
    with client.pipeline(transaction=False) as pipe:
        for name, key in zip(names, portion, strict=True):
            pipe.memory_usage(key)
            if name == "faces":
                pipe.strlen(key)
            elif name == "matches":
                pipe.zcard(key)
            else:
                pipe.exists(key)
        told = pipe.execute()
    for name, size, members in zip(names, told[::2], told[1::2], strict=True):
        kind = kinds[name]
        kind.keys += 1
        kind.bytes += size or 0  # gone meanwhile: a job's record
        kind.members += face_count(members) if name == "faces" else members


def _kind(key: bytes) -> str:
    """fm:{collection}:kind:…"""
    words = key.decode(errors="replace").split(":")
    return words[2] if len(words) > 2 else words[0]
