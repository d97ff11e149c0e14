"""Which collections there are, in Redis or Valkey.

Beside the keys of each collection (`facematch.redis_store`), which alone say whether it exists:

    fm:collections           zset    names, all with score 0, so that they are in order: of whatever
                                     exists but the default one
    fm:collections:touched   zset    name, by the time when somebody last said that there is
                                     something to be done
    fm:collections:dropping  set     names of those that are being erased
    fm:uploads               hash    total, how many uploaded bytes wait for workers in all
                                     collections; and in each, by the beginning of its keys, where
                                     there are any. Scripts of a collection keep it, and no other
                                     key of these

A name comes into the first before its collection is made, and out when nothing of it is left: so a
crash between leaves a name too many, and never a collection that nobody knows of.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, cast

from facematch import redis_records as decode
from facematch.collection_name import DEFAULT, base_prefix, check_name, served_name
from facematch.collections import CollectionAbout, check_same, with_default
from facematch.errors import Conflict, NotFound, Unavailable
from facematch.job import new_job_id
from facematch.policy import PolicyChange
from facematch.redis_connection import Redis, Subscription, translated
from facematch.redis_reencoding import RedisReencoding
from facematch.redis_scripts import Scripted
from facematch.redis_store import policy_arguments

_NAMES, _TOUCHED, _DROPPING = (f"fm:collections{part}" for part in ("", ":touched", ":dropping"))
_PORTION = 1000
#: What stays of a collection until all else is gone, and the number that a later one goes on from.
_LAST = ("editions", "submissions")
#: How often one process says of one collection that there is something to be done.
_TOUCH_SECONDS = 5.0
#: Rules of a server may allow this pattern, and none that is narrower.
_EVENTS, _CHANNEL = "fm:*", b"}:events"


class _Scripts(Scripted):
    """The scripts about one collection as a whole."""

    def run(self, script: str, *args: object, client: Any = None) -> Any:
        return self._run(script, *args, client=client)


@dataclass
class _Forgetting:
    cursor: int = 0
    clean: bool = True


class RedisCollections:
    """See facematch.collections.Collections."""

    def __init__(self, client: Redis) -> None:
        self._redis = client
        self._forgetting: dict[str, _Forgetting] = {}
        self._said: dict[str, float] = {}

    @translated()
    def create(self, name: str, policy: PolicyChange) -> tuple[CollectionAbout, bool]:
        """See Collections."""
        if check_name(name) == DEFAULT:
            found, made = self.about(name), False
        else:
            found, made = self._make(name, policy)
        if not made:
            check_same(found, policy)
        return found, made

    def _make(self, name: str, policy: PolicyChange) -> tuple[CollectionAbout, bool]:
        like = self.about(DEFAULT).collection
        threshold, bounds = policy.of(like.generations[0])
        editions = RedisReencoding(self._redis).editions()
        if editions.other is not None:
            raise Conflict("reindex_exists", "the service is changing over to another encoder")
        edition = editions.served.number
        self._redis.zadd(_NAMES, {name: 0})
        told = _Scripts(self._redis, served_name(name)).run(
            "collection_make",
            *(new_job_id(), like.model, *policy_arguments(threshold, bounds)),
            *(like.calibration, edition),
        )
        if told == b"erasing":
            raise Unavailable("collection_erasing")
        # Again: who forgets an earlier one of this name may have taken it out meanwhile.
        self._redis.zadd(_NAMES, {name: 0})
        made, about = told
        return _about(name, about), bool(made)

    @translated()
    def about(self, name: str) -> CollectionAbout:
        """See Collections."""
        return _about(name, _Scripts(self._redis, served_name(name)).run("collection_about"))

    @translated()
    def page(self, limit: int, after: str = "") -> tuple[list[CollectionAbout], str]:
        """See Collections."""
        names = self._names(after, limit)
        following = names[-1] if len(names) == limit else ""
        # Its place is that of its name.
        if after < DEFAULT and (not following or following >= DEFAULT) and DEFAULT not in names:
            names = sorted([*names, DEFAULT])[:limit]
            following = names[-1] if len(names) == limit else ""
        return self._abouts(names), following

    def _abouts(self, names: Sequence[str]) -> list[CollectionAbout]:
        with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                _Scripts(self._redis, served_name(name)).run("collection_about", client=pipe)
            told = pipe.execute(raise_on_error=False)
        found = []
        for name, about in zip(names, told, strict=True):
            try:
                with translated():
                    if isinstance(about, Exception):
                        raise about
                    found.append(_about(name, about))
            except (NotFound, Unavailable) as error:
                if error.code not in ("unknown_collection", "collection_erasing", _NOT_MADE):
                    raise
        return found

    @translated()
    def names(self) -> list[str]:
        """See Collections."""
        found = []
        portion = self._names("", _PORTION)
        while portion:
            found += portion
            portion = self._names(portion[-1], _PORTION)
        return with_default(found)

    @translated()
    def count(self) -> int:
        """How many there are but the default one, with those that are being erased."""
        return int(self._redis.zcard(_NAMES))

    def _names(self, after: str, limit: int) -> list[str]:
        least = f"({after}" if after else "-"
        told = self._redis.zrangebylex(_NAMES, least, "+", 0, limit)
        return [cast(bytes, name).decode() for name in told]

    @translated()
    def drop(self, name: str, upto: int = 0) -> int:
        """See Collections."""
        check_name(name)
        scripts = _Scripts(self._redis, served_name(name))
        if not upto and scripts.run("collection_standing") == b"none":
            raise NotFound("unknown_collection")
        # Before: so that somebody goes on whatever becomes of this call.
        self._redis.sadd(_DROPPING, name)
        told = scripts.run("collection_drop", upto or "")
        if not told:
            if upto:
                return 0
            raise NotFound("unknown_collection")
        return int(told)

    @translated()
    def standing(self, name: str) -> str:
        """Whether a collection is `there`, `erasing`, or neither: `none`."""
        told = _Scripts(self._redis, served_name(name)).run("collection_standing")
        return str(told.decode())

    @translated()
    def dropping(self) -> list[str]:
        """See Collections."""
        return sorted(cast(bytes, name).decode() for name in self._redis.smembers(_DROPPING))

    @translated()
    def drop_some(self, name: str, also: Callable[[str], object] = lambda name: None) -> bool:
        """See Collections."""
        scripts = _Scripts(self._redis, served_name(name))
        standing = scripts.run("collection_standing")
        if standing == b"erasing":
            if not self._forget_some(name):
                return False
            also(name)
            scripts.run("collection_forget", new_job_id())
        if standing != b"there" and name != DEFAULT:
            self._redis.zrem(_NAMES, name)
            if scripts.run("collection_standing") == b"there":
                self._redis.zadd(_NAMES, {name: 0})  # made meanwhile
        self._redis.zrem(_TOUCHED, name)
        self._redis.srem(_DROPPING, name)
        return True

    def _forget_some(self, name: str) -> bool:
        """Whether one look at all keys has found none."""
        base = base_prefix(name)
        now = self._forgetting.setdefault(name, _Forgetting())
        now.cursor, keys = self._redis.scan(now.cursor, match=f"{base}*", count=_PORTION)
        last = {f"{base}{one}".encode() for one in _LAST}
        if own := [key for key in keys if key not in last]:
            now.clean = False
            self._redis.unlink(*own)
        if now.cursor:
            return False
        del self._forgetting[name]
        return now.clean

    @translated()
    def touch(self, name: str) -> None:
        """See Collections. A process says so no more often than every few seconds."""
        now = time.monotonic()
        if name == DEFAULT or now - self._said.get(name, -_TOUCH_SECONDS) < _TOUCH_SECONDS:
            return
        if len(self._said) > _PORTION:
            self._said.clear()
        self._said[name] = now
        self._redis.zadd(_TOUCHED, {name: time.time()})

    @translated()
    def touched(self, seconds: float) -> list[str]:
        """See Collections."""
        told = self._redis.zrangebyscore(_TOUCHED, time.time() - seconds, "+inf")
        return with_default([cast(bytes, name).decode() for name in told])

    def listen(self, timeout: float) -> Iterator[str | None]:
        """See Collections."""
        with (
            translated(),
            closing(Subscription(self._redis, _EVENTS, timeout, pattern=True)) as events,
        ):
            yield None
            while True:
                event = events.next(timeout, _CHANNEL)
                yield event.decode() if event is not None else None


_NOT_MADE = "store_unavailable"


def _about(name: str, told: Any) -> CollectionAbout:
    if not told:
        raise Unavailable(_NOT_MADE, "the collection was not created yet")
    collection, images, pending, jobs, _created = told
    return CollectionAbout(name, decode.collection(collection), images, pending, jobs)
