"""What has happened in a collection, in Redis or Valkey. Its keys: see `facematch.redis_store`."""

from typing import Any

from facematch.collection_name import DEFAULT, served_name
from facematch.events import Event, EventPage, Kind, parse_place, place_of
from facematch.match_scores import rate_of, split
from facematch.redis_connection import Redis, translated
from facematch.redis_scripts import Scripted

#: Below the driver's time limit for an answer, with room to spare.
_MOST_SECONDS = 5.0


class RedisEvents(Scripted):
    """See facematch.events.Events. Safe to share between threads."""

    def __init__(self, client: Redis, collection: str = DEFAULT) -> None:
        """Raises ValueError for what is no name of a collection."""
        super().__init__(client, served_name(collection))

    @translated()
    def since(self, place: str, limit: int) -> EventPage:
        """See Events."""
        after = parse_place(place) if place else ("", "", "")
        gone, more, *told = self._run("events", *after, limit)
        entry, score, position, scored, calibration = (value.decode() for value in told[:5])
        return EventPage(
            tuple(_event(found, bool(scored), bool(scored and calibration)) for found in told[5:]),
            place_of(entry, score, position),
            more=bool(more),
            gone=bool(gone),
        )

    @translated()
    def wait(self, place: str, seconds: float) -> None:
        """See Events."""
        block = max(1, int(1000 * min(seconds, _MOST_SECONDS)))
        self._redis.xread({f"{self._base}happened": parse_place(place)[0]}, count=1, block=block)


def _event(told: Any, scored: bool, rated: bool) -> Event:
    entry, kind, image, *more = (value.decode() for value in told)
    time = int(entry.partition("-")[0]) / 1000
    if kind != Kind.MATCHED:
        job, about = more
        return Event(entry, Kind(kind), time, image, job, about)
    match, score, position = more
    code, distance = split(float(score)) if scored else (0, float(score))
    return Event(
        place_of(entry, score, position),
        Kind.MATCHED,
        time,
        image,
        match=match,
        distance=distance,
        false_match_rate=rate_of(code) if rated else None,
    )
