"""Writes a collection to an export: `facematch export`.

While the service works, too. An export is as of the place where the log ended when it was begun;
what is erased meanwhile is listed in it as gone, and left out by who imports it.
"""

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from facematch import __version__
from facematch.archive import ArchiveWriter, FacePlace, Manifest, Part, PeopleLine
from facematch.archiving import Archiving, Arrival
from facematch.errors import Conflict
from facematch.people import Due, People, PeopleFront, Person, Said, place_of
from facematch.progress import Update
from facematch.store import Store

_PORTION = 500
_LOG_PORTION = 1000
#: People change while they are read, and are read again.
_TRIES = 5


class AllPeople(PeopleFront, People, Protocol):
    """What is known of people, from both sides."""


def export(
    store: Store,
    people: AllPeople,
    archiving: Archiving,
    path: Path,
    progress: Update = lambda done, total: None,
) -> Manifest:
    """Write the collection to a file of this path, which is there when all of it is.

    Raises Unavailable; Conflict("changing") when meanwhile other match sets are served, some lose
    matches to better ones, or people do not come to rest; OSError.
    """
    reading = _Reading(store, archiving)
    with ArchiveWriter(path) as writer:
        for part in reading.parts(progress):
            writer.add(part)
        found = _people(people, reading.live)
        writer.people(found.lines(reading.live))
        manifest = reading.manifest(found.due, writer.parts)
        writer.finish(manifest)
    return manifest


class _Reading:
    """Of the images up to where the log ended."""

    def __init__(self, store: Store, archiving: Archiving) -> None:
        self._store, self._archiving = store, archiving
        self._collection = store.collection()
        self._last_number = archiving.last_number()
        self._end = self._collection.tail.position
        self._number = self._collection.generations[0].number
        positions = chain.from_iterable(store.live())
        self.live = frozenset(position for position in positions if position <= self._end)
        self._limits = self._limits_now()
        self._images = self._faces = self._matches = 0
        self._size = self._collection.size

    def parts(self, progress: Update) -> Iterator[Part]:
        """All images."""
        nothing = np.empty(0, dtype=np.int64), np.empty(0)
        for records in self._archiving.faceless():
            self._images += len(records)
            yield Part([Arrival(one) for one in records], [nothing] * len(records))
        ordered, alive = sorted(self.live), np.array(sorted(self.live), dtype=np.int64)
        for start in range(0, len(ordered), _PORTION):
            part = self._part(ordered[start : start + _PORTION], alive)
            if part.arrivals:
                yield part
            progress(min(start + _PORTION, len(ordered)), len(ordered))

    def _part(self, positions: Sequence[int], alive: NDArray[np.int64]) -> Part:
        # Matches last: those of an image that is done by then are all there.
        records = self._archiving.records(positions)
        faces, _ = self._store.faces_as_of(positions)
        scores = self._store.scores(positions, self._number)
        arrivals, matches = [], []
        for position in positions:
            if position in records and position in faces:
                limit = self._limits.get(position)
                arrivals.append(Arrival(records[position], faces[position], limit))
                matches.append(_below(position, scores.get(position, {}), alive))
        self._images += len(arrivals)
        self._faces += sum(len(one.faces.encodings) for one in arrivals if one.faces)
        self._matches += sum(len(others) for others, _ in matches)
        self._size = max([self._size, *(one.faces.size for one in arrivals if one.faces)])
        return Part(arrivals, matches)

    def manifest(self, due: Due, parts: int) -> Manifest:
        """What was read. Raises Conflict("changing")."""
        before, now = self._collection, self._store.collection()
        served, grouping = now.generations[0], due.grouping
        same = (now.epoch, served.number) == (before.epoch, self._number)
        if not same or self._limits_now() != self._limits:
            raise Conflict("changing")
        return Manifest(
            id=secrets.token_hex(16),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            by=f"facematch {__version__}",
            model=now.model,
            calibration=now.calibration,
            threshold=served.threshold,
            max_false_matches=served.bounds.max_false_matches,
            max_matches=served.bounds.max_matches,
            scored=served.scored,
            approximate_since=served.approximate_since,
            size=self._size,
            position=self._end,
            last_number=self._last_number,
            parts=parts,
            images=self._images,
            faces=self._faces,
            matches=self._matches,
            gone=tuple(sorted(self._gone())),
            false_pairs=due.false_pairs,
            limit=grouping.limit if grouping else None,
            reach=grouping.reach if grouping else None,
            # What came since may be what joins two people.
            regroup=now.tail != before.tail or due.marking,
        )

    def _limits_now(self) -> Mapping[int, float]:
        limits = self._store.limits(self._number)
        return {position: limit for position, limit in limits.items() if position <= self._end}

    def _gone(self) -> set[int]:
        """What was erased since. Raises Conflict("changing") if the log does not tell any more."""
        gone: set[int] = set()
        position = self._end
        while True:
            log = self._store.log(position, _LOG_PORTION)
            if log.entries and log.entries[0].position != position + 1:
                raise Conflict("changing")
            gone.update(entry.target for entry in log.entries if entry.op == "del")
            if not log.entries:
                return gone & self.live
            position = log.entries[-1].position


@dataclass(frozen=True)
class _Found:
    """What is known of people, as of one instant."""

    due: Due
    people: Sequence[Person]
    members: Mapping[str, frozenset[int]]
    said: Sequence[Said]

    def lines(self, live: frozenset[int]) -> Iterator[PeopleLine]:
        """Of the faces of live images."""
        for person in self.people:
            faces = _places(self.members.get(person.id, ()), live)
            if faces:
                yield PeopleLine(person=person.id, name=person.name, faces=faces)
        for said in self.said:
            faces, others = _places(said.faces, live), _places(said.others or (), live)
            if said.others is None and faces:
                yield PeopleLine(said=said.number, together=faces)
            elif faces and others:
                yield PeopleLine(said=said.number, apart=faces, others=others)
        marks = sorted(live.intersection(self.due.marks))
        for start in range(0, len(marks), _PORTION):
            yield PeopleLine(ungrouped=tuple(marks[start : start + _PORTION]))


def _people(people: AllPeople, live: frozenset[int]) -> _Found:
    """Raises Conflict("changing")."""
    for _ in range(_TRIES):
        due = people.due(len(live) + 1)
        listed: list[Person] = []
        page = people.people(_LOG_PORTION)
        listed += page.people
        while page.next is not None:
            page = people.people(_LOG_PORTION, page.next)
            listed += page.people
        members = people.members([person.id for person in listed])
        found = _Found(due, listed, members, people.said())
        if people.due(0).revision == due.revision:
            return found
    raise Conflict("changing")


def _places(faces: Iterable[int], live: frozenset[int]) -> tuple[FacePlace, ...]:
    places = (place_of(face) for face in sorted(faces))
    return tuple(place for place in places if place[0] in live)


def _below(
    position: int, scores: Mapping[int, float], alive: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Matches with live images at lower positions: each match is told once."""
    others = np.fromiter(scores, dtype=np.int64, count=len(scores))
    values = np.fromiter(scores.values(), dtype=np.float64, count=len(scores))
    order = np.argsort(others)
    others, values = others[order], values[order]
    kept = (others < position) & np.isin(others, alive)
    return others[kept], values[kept]
