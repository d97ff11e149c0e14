"""What has happened in a collection, in memory: the contract of `facematch.events`, for tests."""

import time
from collections.abc import Iterator
from dataclasses import replace

from facematch.events import BEGINNING, Event, EventPage, Kind, parse_place, place_of
from facematch.memory_store import Happened, MemoryStore
from facematch.store import Filter

_LOOK_SECONDS = 0.01


class MemoryEvents:
    """See facematch.events.Events."""

    def __init__(self, store: MemoryStore) -> None:
        """`store`: of any edition of the collection."""
        self._store = store
        self._lock = store._lock

    def since(self, place: str, limit: int) -> EventPage:
        """See Events."""
        entry, score, position = parse_place(place) if place else ("", "", "")
        with self._lock:
            kept = list(self._store._happened)
            tail = kept[-1].id if kept else BEGINNING
            if not place or not self._is_there(entry, kept):
                return EventPage((), tail, gone=bool(place))
            found: list[Event] = []
            last = place
            for one in kept:
                number = int(one.id.partition("-")[0])
                since = int(entry.partition("-")[0])
                if number < since or (number == since and not position):
                    continue
                for event in self._expanded(one):
                    if number == since and not _is_behind(event.id, score, position):
                        continue
                    if len(found) == limit:
                        return EventPage(tuple(found), last, more=True)
                    found.append(event)
                    last = event.id
                last = one.id
            return EventPage(tuple(found), last)

    def wait(self, place: str, seconds: float) -> None:
        """See Events."""
        until = time.monotonic() + seconds
        entry = parse_place(place)[0]
        while time.monotonic() < until:
            with self._lock:
                kept = self._store._happened
                if kept and kept[-1].id != entry:
                    return
            time.sleep(_LOOK_SECONDS)

    def _is_there(self, entry: str, kept: list[Happened]) -> bool:
        if entry == BEGINNING:
            return not kept or kept[0].id == "1-0"
        return any(one.id == entry for one in kept)

    def _expanded(self, one: Happened) -> Iterator[Event]:
        if one.kind != "linked":
            yield Event(one.id, Kind(one.kind), one.time, one.image, one.job, one.about)
            return
        served = self._store._leader() or self._store
        position = int(one.about)
        if served._positions.get(position) != one.image:
            return
        about = Event(one.id, Kind.MATCHED, one.time, match=one.image)
        for match in served.matches(one.image, len(served._positions), only=Filter()).matches:
            if match.position < position:
                yield replace(
                    about,
                    id=place_of(one.id, repr(match.score), str(match.position)),
                    image=match.hash,
                    distance=match.distance,
                    false_match_rate=match.false_match_rate,
                )


def _is_behind(event: str, score: str, position: str) -> bool:
    _, its_score, its_position = parse_place(event)
    return (float(its_score), its_position) > (float(score), position)
