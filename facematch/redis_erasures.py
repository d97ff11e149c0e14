"""What Redis or Valkey still has of an erased image, for `facematch erasure-report`: every key is
looked at, whatever the scripts believe that removed it. See `facematch.redis_store` for the keys.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

from facematch.collection_name import base_prefix, edition_name
from facematch.faces import FACES_PER_POSITION
from facematch.redis_connection import Redis, translated
from facematch.redis_scripts import Scripted

_PORTION = 1000
#: What the record of an erased image has, and nothing else.
_GRAVE = frozenset({b"state", b"position", b"erased_at", b"gone_at"})


@dataclass(frozen=True)
class Traces:
    """What there is of an image in one edition of its collection.

    `state`: as the record says, "" where there is none. `erased_at`: up to when what was submitted
    is erased, in seconds since 1970; None where it never was. `gone_at`: when its bytes left Redis,
    which is later where that was repeated for a store that had forgotten it. `unlinking`: whether
    its matches are still being removed. `left`: how many of what should be gone, by what it is.
    `jobs`: submissions of it that are remembered, with the names and URLs they came with, for
    `jobs_seconds` more at the most.
    """

    edition: int
    state: str
    erased_at: float | None
    gone_at: float | None
    position: int
    unlinking: bool
    left: dict[str, int]
    jobs: int
    jobs_seconds: int


class RedisErasures:
    """Of one collection. Takes long: for who looks after a service, not for a request."""

    def __init__(self, client: Redis, collection: str) -> None:
        self._redis = client
        self._collection = collection

    @translated()
    def given_up(self) -> list[int]:
        """The numbers of editions that are not used any more, and of which something is left."""
        numbers = self._redis.smembers(f"{base_prefix(self._collection)}editions:dropped")
        return sorted(map(int, numbers))

    @translated()
    def traces(self, image: str, edition: int) -> Traces:
        """What is left of an image in an edition. Raises Unavailable."""
        return _Looking(self._redis, edition_name(self._collection, edition)).traces(image, edition)


class _Looking(Scripted):
    def traces(self, image: str, edition: int) -> Traces:
        record = cast("dict[bytes, bytes]", self._redis.hgetall(self._key("image", image)))
        position = int(record.get(b"position", 0))
        erased_at, gone_at = (
            int(record[name]) / 1e6 if name in record else None
            for name in (b"erased_at", b"gone_at")
        )
        with self._redis.pipeline(transaction=True) as pipe:
            for name in ("names", "jobs", "blob"):
                pipe.exists(self._key(name, image))
            pipe.exists(f"{self._base}bases:{image}")
            pipe.exists(self._key("faces", position))
            pipe.zscore(self._key("pending"), image)
            pipe.sismember(self._key("erasing"), str(position))
            pipe.hmget(self._key("people", "of"), _faces_at(position))
            *there, pending, unlinking, people = pipe.execute()
        names = ("names", "jobs that wait", "uploaded bytes", "reasons", "encodings")
        left = dict(zip(names, map(int, there), strict=True))
        left |= {
            "fields of its record": len(record.keys() - _GRAVE),
            "places among the images to be linked": int(pending is not None),
            "faces of people": sum(person is not None for person in people),
            "live positions": self._positions(image),
            "match sets": self._match_sets(position) if position else 0,
        }
        jobs = list(self._jobs(image))
        return Traces(
            edition,
            state=record.get(b"state", b"").decode(),
            erased_at=erased_at,
            gone_at=gone_at or erased_at,
            position=position,
            unlinking=bool(unlinking),
            left={what: count for what, count in left.items() if count},
            jobs=len(jobs),
            jobs_seconds=max(jobs, default=0),
        )

    def _positions(self, image: str) -> int:
        pairs = self._redis.hscan_iter(self._key("positions"), count=_PORTION)
        return sum(held == image.encode() for _, held in pairs)

    def _match_sets(self, position: int) -> int:
        """How many have the position, and its own."""
        found, own = 0, f":{position}".encode()
        for keys in self._keys("matches*"):
            with self._redis.pipeline(transaction=False) as pipe:
                for key in keys:
                    pipe.zscore(key, str(position))
                told = pipe.execute()
            found += sum(score is not None for score in told)
            found += sum(key.endswith(own) for key in keys)
        return found

    def _jobs(self, image: str) -> Iterator[int]:
        """For each job of the image, in how many seconds it is forgotten."""
        for keys in self._keys("job:*"):
            with self._redis.pipeline(transaction=False) as pipe:
                for key in keys:
                    pipe.hget(key, "image")
                    pipe.ttl(key)
                told = pipe.execute()
            for of, ttl in zip(told[::2], told[1::2], strict=True):
                if of == image.encode():
                    yield max(0, ttl)

    def _keys(self, pattern: str) -> Iterator[list[bytes]]:
        keys: list[bytes] = []
        for key in self._redis.scan_iter(f"{self._prefix}{pattern}", count=_PORTION):
            keys.append(key)
            if len(keys) == _PORTION:
                yield keys
                keys = []
        if keys:
            yield keys


def _faces_at(position: int) -> Iterable[int]:
    return list(range(position * FACES_PER_POSITION, (position + 1) * FACES_PER_POSITION))
