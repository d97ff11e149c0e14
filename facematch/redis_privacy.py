"""Rules of collections in Redis or Valkey, and what is too old by them.

The rules are of names, not of what exists; their keys share the hash tag `{~privacy}`, which no
collection's name is:

    fm:{~privacy}:rules      hash    collection → its rules, as JSON
    fm:{~privacy}:retention  string  who destroys what is too old; it expires with the lease
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import cast

from facematch.collection_name import edition_name, key_prefix
from facematch.privacy import Rules
from facematch.redis_connection import Redis, translated
from facematch.redis_reencoding import RedisReencoding

_RULES, _LEASE = "fm:{~privacy}:rules", "fm:{~privacy}:retention"
_DAY = 86_400
_PORTION = 1000


class RedisPrivacy:
    """See facematch.privacy.Privacy. Safe to share between threads."""

    def __init__(self, client: Redis) -> None:
        self._redis = client

    @translated()
    def rules(self, collection: str) -> Rules:
        """See Privacy."""
        return _unpacked(cast("bytes | None", self._redis.hget(_RULES, collection)))

    @translated()
    def ruled(self) -> dict[str, Rules]:
        """See Privacy."""
        told = cast("dict[bytes, bytes]", self._redis.hgetall(_RULES))
        return {name.decode(): _unpacked(packed) for name, packed in told.items()}

    @translated()
    def rule(self, collection: str, rules: Rules) -> None:
        """See Privacy."""
        self._redis.hset(_RULES, collection, json.dumps(asdict(rules)))

    def older_than(self, collection: str, days: float) -> Iterator[tuple[str, int]]:
        """See Privacy. Looks at the keys of all collections."""
        with translated():
            served = RedisReencoding(self._redis, collection).editions().served.number
            edition = key_prefix(edition_name(collection, served))
            # It puts each image where it was: an erasure between would end it for good.
            if self._redis.exists(f"{edition}lease:import"):
                return
            prefix = f"{edition}image:"
            seconds, _ = self._redis.time()
            before = (seconds - days * _DAY) * 1_000_000
            cursor = 0
            while True:
                cursor, keys = self._redis.scan(cursor, match=f"{prefix}*", count=_PORTION)
                with self._redis.pipeline(transaction=False) as pipe:
                    for key in keys:
                        pipe.hmget(key, "state", "number")
                    told = pipe.execute()
                for key, (state, number) in zip(keys, told, strict=True):
                    # What only says that an image failed, in a later edition, has none.
                    if number is not None and state != b"erased" and int(number) <= before:
                        yield cast(bytes, key).decode().removeprefix(prefix), int(number)
                if not cursor:
                    return

    @translated()
    def lease(self, holder: str, seconds: float) -> bool:
        """See Privacy."""
        taken = self._redis.set(_LEASE, holder, nx=True, ex=max(1, int(seconds)))
        return bool(taken) or self._redis.get(_LEASE) == holder.encode()


def _unpacked(packed: bytes | None) -> Rules:
    told = json.loads(packed) if packed else {}
    return Rules(told.get("keep_days"), bool(told.get("strict", False)))
