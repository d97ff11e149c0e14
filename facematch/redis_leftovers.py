"""What is in Redis or Valkey and belongs to nothing any more: looked for by `facematch fsck`, with
one look at all keys.

While a service works things come and go between two questions. So what seems wrong is asked about
again at the end, and counts if it still does.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from facematch.collection_name import base_prefix, edition_name, is_name, key_prefix
from facematch.errors import NotFound, Unavailable
from facematch.redis_collections import RedisCollections
from facematch.redis_connection import Redis, translated
from facematch.redis_reencoding import RedisReencoding
from facematch.store import State

_PORTION = 1000
#: Enough to see what is wrong.
_MOST = 1000
_KEY = re.compile(r"fm:\{([^}]*)\}:(?:~([0-9]+):)?([^:]*):?(.*)", re.DOTALL)
#: What stays of a collection for good: see facematch.redis_collections.
_STAYS = "submissions"
_FOR_EVER = -1
_UPLOADS = "fm:uploads"
_NOT_THERE = "its collection is not there"

#: The key of something, and what is wrong about it.
_Wrong = tuple[str, str]


@dataclass(frozen=True)
class _Question:
    """What is asked about a key, in one transaction, and which answers are wrong."""

    key: str
    why: str
    commands: Sequence[tuple[str, ...]]
    is_wrong: Callable[..., bool]


def leftovers(client: Redis) -> list[str]:
    """What is wrong, in words. Raises Unavailable."""
    with translated():
        there = _There(client)
        suspects: dict[str, None] = {}
        cursor = 0
        while True:
            cursor, found = client.scan(cursor, match="fm:{*", count=_PORTION)
            keys = (_text(key) for key in found)
            suspects |= dict.fromkeys(key for key, _ in _wrong(client, keys, there))
            if not cursor or len(suspects) >= _MOST:
                break
        certain = dict(_wrong(client, suspects, _There(client)))
        return [f"{key}: {why}" for key, why in sorted(certain.items())] + _uploads(client)


@dataclass
class _There:
    """Which collections there are, and their editions, asked once."""

    client: Redis
    known: dict[str, frozenset[int] | None] = field(default_factory=dict)

    def editions(self, name: str) -> frozenset[int] | None:
        """Those that work is done in: none while it is being erased. None: there is no such
        collection."""
        if name not in self.known:
            standing = RedisCollections(self.client).standing(name)
            numbers: frozenset[int] | None = None if standing == "none" else frozenset()
            if standing == "there":
                with suppress(NotFound, Unavailable):  # being erased by now
                    numbers = frozenset(RedisReencoding(self.client, name).editions().numbers)
            self.known[name] = numbers
        return self.known[name]


def _wrong(client: Redis, keys: Iterable[str], there: _There) -> Iterator[_Wrong]:
    """Those of the keys with which something is wrong."""
    questions = [question for key in keys for question in _questions(key, there)]
    if not questions:
        return
    with client.pipeline(transaction=True) as pipe:
        for question in questions:
            for command in question.commands:
                pipe.execute_command(*command)  # type: ignore[no-untyped-call]
        told = iter(pipe.execute())
    for question in questions:
        if question.is_wrong(*(next(told) for _ in question.commands)):
            yield question.key, question.why


def _questions(key: str, there: _There) -> Iterator[_Question]:
    found = _KEY.fullmatch(key)
    if found is None or not is_name(found[1]):
        return
    name, edition, kind, which = found[1], int(found[2] or 0), found[3], found[4]
    numbers = there.editions(name)
    if numbers is None:
        if kind != _STAYS:
            yield _Question(key, _NOT_THERE, [("EXISTS", key)], bool)
    elif kind == "webhook" and numbers:
        asked = [("EXISTS", key), ("ZSCORE", f"{base_prefix(name)}webhooks", which)]
        yield _Question(key, "it is not among the webhooks", asked, _is_there_unlisted)
    elif kind in ("batch", "claim") and numbers:
        yield _Question(key, "it would be kept for ever", [("TTL", key)], _is_for_ever)
    elif kind == "job" and edition in numbers:
        accepted = f"{key_prefix(edition_name(name, edition))}accepted"
        asked = [("HGET", key, "state"), ("ZSCORE", accepted, which)]
        yield _Question(key, "it waits, and nobody looks after it", asked, _is_accepted_unlisted)


def _is_there_unlisted(exists: int, score: object) -> bool:
    return bool(exists) and score is None


def _is_accepted_unlisted(state: bytes | None, score: object) -> bool:
    return state == State.ACCEPTED.encode() and score is None


def _is_for_ever(seconds: int) -> bool:
    return seconds == _FOR_EVER


def _uploads(client: Redis) -> list[str]:
    there = _There(client)
    counted = {_text(key): int(value) for key, value in client.hgetall(_UPLOADS).items()}
    total = counted.pop("total", 0)
    wrong = []
    for prefix in sorted(counted):
        found = _KEY.fullmatch(prefix)
        if found is None or there.editions(found[1]) is None:
            wrong.append(f"{_UPLOADS}: of {prefix} {_NOT_THERE}")
    if total != sum(counted.values()):
        sums = f"{total:,} bytes in all, {sum(counted.values()):,} in collections"
        wrong.append(f"{_UPLOADS}: {sums}")
    return wrong


def _text(key: bytes | str) -> str:
    return key.decode(errors="surrogateescape") if isinstance(key, bytes) else key
