"""What exports and imports do in Redis or Valkey: scripts on the keys that `facematch.redis_store`
lists."""

import json
import math
import struct
from collections.abc import Iterator, Sequence
from typing import Any, cast

from facematch import redis_records as decode
from facematch.archiving import (
    LEASE_SECONDS,
    MOST_ENTRIES,
    Arrival,
    Pinned,
    Reached,
    Record,
    Ticket,
)
from facematch.collection_name import DEFAULT
from facematch.errors import Conflict, NotFound
from facematch.redis_connection import Redis, translated
from facematch.redis_scripts import Scripted
from facematch.redis_store import policy_arguments
from facematch.store import State

_PORTION = 1000
#: Two positions and a score.
_MATCH = struct.Struct("<ddd")
_FIELDS = ("state", "position", "nonce", "model", "boxes", "width", "height", "faces_found", "code")
_KNOWN = (State.INDEXED, State.DONE)
_MILLISECONDS = int(LEASE_SECONDS * 1000)


class RedisArchiving(Scripted):
    """See facematch.archiving.Archiving. Safe to share between threads."""

    def __init__(self, client: Redis, name: str = DEFAULT, *, log_keep: int = 100_000) -> None:
        """`name`: that of an edition. Raises ValueError for any other."""
        super().__init__(client, name)
        self._log_keep = log_keep

    # -- export

    @translated()
    def records(self, positions: Sequence[int]) -> dict[int, Record]:
        """See Archiving."""
        if not positions:
            return {}
        told = self._redis.hmget(self._key("positions"), list(map(str, positions)))
        images = [cast(bytes, image).decode() for image in told if image]
        found = self._read(images)
        return {one.image.position: one for one in found if one.image.position in set(positions)}

    def faceless(self) -> Iterator[list[Record]]:
        """See Archiving."""
        prefix, cursor, seen = self._key("image", ""), 0, set[str]()
        while True:
            with translated():
                cursor, keys = self._redis.scan(cursor, match=f"{prefix}*", count=_PORTION)
                images = {cast(bytes, key).decode().removeprefix(prefix) for key in keys} - seen
                found = [one for one in self._read(sorted(images)) if not one.image.position]
            seen.update(one.image.hash for one in found)
            if found:
                yield found
            if cursor == 0:
                return

    @translated()
    def last_number(self) -> int:
        """See Archiving."""
        return int(self._redis.get(f"{self._base}submissions") or 0)

    def _read(self, images: Sequence[str]) -> list[Record]:
        with self._redis.pipeline(transaction=True) as pipe:
            for image in images:
                pipe.hmget(self._key("image", image), *_FIELDS, "number")
                pipe.smembers(self._key("names", image))
            told = pipe.execute()
        found = []
        for image, fields, names in zip(images, told[::2], told[1::2], strict=True):
            *values, number = fields
            if values[0] is not None and State(values[0].decode()) in _KNOWN:
                found.append(Record(decode.image(image, (values, names)), int(number or 0)))
        return found

    # -- import

    @translated()
    def begin(self, ticket: Ticket, pinned: Pinned) -> Reached:
        """See Archiving."""
        generation = pinned.generation
        since = generation.approximate_since
        told = self._step(
            "import_begin",
            ticket,
            *(pinned.model, pinned.calibration),
            *policy_arguments(generation.threshold, generation.bounds),
            *(int(generation.scored), "" if since is None else since, pinned.last_number),
        )
        position, unlinked, ended = told
        return Reached(int(position), int(unlinked or 0), bool(ended))

    @translated()
    def skip(self, ticket: Ticket, position: int) -> bool:
        """See Archiving."""
        (done,) = self._step("import_skip", ticket, self._log_keep, position, MOST_ENTRIES)
        return bool(done)

    @translated()
    def add(self, ticket: Ticket, arrivals: Sequence[Arrival]) -> list[str]:
        """See Archiving."""
        if not arrivals:
            return []
        model = arrivals[0].record.image.model
        flat = (part for arrival in arrivals for part in _flat(arrival))
        told = self._step("import_add", ticket, self._log_keep, model, *flat)
        return [image.decode() for image in told]

    @translated()
    def link(self, ticket: Ticket, pairs: Sequence[tuple[int, int, float]]) -> None:
        """See Archiving."""
        self._step("import_link", ticket, b"".join(_MATCH.pack(*pair) for pair in pairs))

    @translated()
    def settle(self, ticket: Ticket, images: Sequence[str]) -> None:
        """See Archiving."""
        self._step("import_settle", ticket, *images)

    @translated()
    def end(self, ticket: Ticket, pinned: Pinned) -> None:
        """See Archiving."""
        self._step("import_end", ticket, pinned.size)

    def _step(self, script: str, ticket: Ticket, *rest: Any) -> Any:
        told = self._run(script, ticket.export, ticket.holder, _MILLISECONDS, *rest)
        if not isinstance(told, bytes):
            return told
        if told == b"no_collection":
            raise NotFound("no_collection", "what is imported into is gone")
        raise Conflict(told.decode())


def _flat(arrival: Arrival) -> Iterator[Any]:
    image = arrival.record.image
    boxes = [[box.top, box.right, box.bottom, box.left] for box in image.boxes]
    yield from (image.hash, image.position, image.nonce, arrival.record.number)
    yield json.dumps(boxes, separators=(",", ":"))
    yield from (image.width, image.height, image.faces_found)
    yield arrival.faces.pack() if arrival.faces else b""
    if arrival.limit is None:
        yield "none"
    else:
        yield "" if math.isinf(arrival.limit) else repr(arrival.limit)
    yield len(image.names)
    yield from image.names
