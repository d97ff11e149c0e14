"""API keys in Redis or Valkey. They are of no collection; their keys there share the hash tag
`{~keys}`, which no collection's name is:

    fm:{~keys}:keys      hash  id → the key, as JSON; never changed, never removed
    fm:{~keys}:revoked   hash  id → when it was revoked
    fm:{~keys}:used      hash  id → when it was last used, to the hour or so
    fm:{~keys}:limits:…  what was asked for within a limit: flask-limiter's (`api.limiting`)
"""

import json
from collections.abc import Mapping
from typing import Any, cast

from facematch.errors import NotFound
from facematch.keys import ApiKey, Scope
from facematch.redis_connection import Redis, translated

_PREFIX = "fm:{~keys}:"
#: What keys of limits begin with.
LIMITS_PREFIX = f"{_PREFIX}limits"
_KEYS, _REVOKED, _USED = f"{_PREFIX}keys", f"{_PREFIX}revoked", f"{_PREFIX}used"
_SCOPES = frozenset(Scope)


class RedisKeys:
    """See facematch.keys.Keys. Safe to share between threads."""

    def __init__(self, client: Redis) -> None:
        self._redis = client

    @translated()
    def add(self, key: ApiKey) -> None:
        """See Keys."""
        self._redis.hset(_KEYS, key.id, _packed(key))

    @translated()
    def key(self, id_: str) -> ApiKey | None:
        """See Keys."""
        with self._redis.pipeline(transaction=True) as pipe:
            for where in (_KEYS, _REVOKED, _USED):
                pipe.hget(where, id_)
            packed, revoked, used = pipe.execute()
        return _unpacked(id_, packed, revoked, used) if packed else None

    @translated()
    def keys(self) -> list[ApiKey]:
        """See Keys."""
        with self._redis.pipeline(transaction=True) as pipe:
            for where in (_KEYS, _REVOKED, _USED):
                pipe.hgetall(where)
            there, revoked, used = cast("list[Mapping[bytes, bytes]]", pipe.execute())
        found = [
            _unpacked(id_.decode(), packed, revoked.get(id_), used.get(id_))
            for id_, packed in there.items()
        ]
        return sorted(found, key=lambda key: (key.created, key.id))

    @translated()
    def revoke(self, id_: str, at: float) -> ApiKey:
        """See Keys."""
        if self._redis.hexists(_KEYS, id_):
            self._redis.hsetnx(_REVOKED, id_, repr(at))
        key = self.key(id_)
        if key is None:
            raise NotFound("no_key_here", f"no key {id_}")
        return key

    @translated()
    def note_use(self, id_: str, at: float) -> None:
        """See Keys."""
        self._redis.hset(_USED, id_, repr(at))

    @translated()
    def exist(self) -> bool:
        """See Keys."""
        return bool(self._redis.exists(_KEYS))


def _packed(key: ApiKey) -> str:
    kept = {
        "name": key.name,
        "digest": key.digest,
        "scopes": sorted(key.scopes),
        "collections": sorted(key.collections),
        "created": key.created,
        "expires": key.expires,
        "rate": key.rate,
        "quota": key.quota,
    }
    return json.dumps(kept)


def _unpacked(id_: str, packed: bytes, revoked: bytes | None, used: bytes | None) -> ApiKey:
    kept: Mapping[str, Any] = json.loads(packed)
    return ApiKey(
        id=id_,
        name=kept["name"],
        digest=kept["digest"],
        # One that this version does not know is good for nothing here.
        scopes=frozenset(Scope(name) for name in kept["scopes"] if name in _SCOPES),
        collections=frozenset(kept["collections"]),
        created=kept["created"],
        expires=kept["expires"],
        revoked=float(revoked) if revoked else None,
        used=float(used) if used else None,
        rate=kept["rate"],
        quota=kept["quota"],
    )
