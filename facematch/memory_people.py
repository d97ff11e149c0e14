"""People in memory: the contract of `facematch.people` in plain Python, for tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from facematch.corrections import FaceKey
from facematch.errors import Conflict, NotFound
from facematch.job import new_job_id
from facematch.linkage import FALSE_PAIRS
from facematch.memory_store import MemoryStore
from facematch.people import (
    Due,
    Grouping,
    PeopleCursor,
    PeoplePage,
    Person,
    PersonFace,
    PersonPage,
    Regrouped,
    Said,
    face_id,
    place_of,
)
from facematch.store import State


@dataclass
class _People:
    names: dict[str, str] = field(default_factory=dict)
    said: dict[int, Said] = field(default_factory=dict)
    grouping: Grouping | None = None
    false_pairs: float = FALSE_PAIRS
    marking: bool = False


class MemoryPeople:
    """See facematch.people: PeopleFront and People. What it knows is kept in the store, and so lost
    with the store's tail."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    # -- read

    def people(self, limit: int, after: PeopleCursor | None = None, fewest: int = 1) -> PeoplePage:
        """See PeopleFront."""
        with self._store._lock:
            every = [self._person(person) for person in set(self._store._person_of.values())]
            ordered = sorted((-one.faces, one.id, one) for one in every if one.faces >= fewest)
            if after is not None:
                ordered = [one for one in ordered if one[:2] > (-after.faces, after.person)]
            page = [one for _, _, one in ordered[:limit]]
            more = len(ordered) > limit
            next_ = PeopleCursor(page[-1].faces, page[-1].id) if more else None
            return PeoplePage(tuple(page), len(self._store._marks), next_)

    def person(self, person: str, limit: int, after: int = 0) -> PersonPage:
        """See PeopleFront."""
        with self._store._lock:
            about = self._person(person)
            faces = sorted(face for face in self._faces(person) if face > after)
            page = tuple(self._shown(face) for face in faces[:limit])
            next_ = page[-1].id if len(faces) > limit else None
            return PersonPage(about, page, len(self._store._marks), next_)

    def people_of(self, image: str) -> Mapping[int, Person]:
        """See PeopleFront."""
        with self._store._lock:
            shown = self._store.image(image)
            if shown.state not in (State.INDEXED, State.DONE):
                return {}
            ids = [face_id(shown.position, number) for number in range(len(shown.boxes))]
            whose = self._store._person_of
            return {place_of(face)[1]: self._person(whose[face]) for face in ids if face in whose}

    # -- correct

    def rename(self, person: str, name: str) -> Person:
        """See PeopleFront."""
        with self._store._lock:
            self._person(person)
            self._kept().names[person] = name
            self._store._revision += 1
            return self._person(person)

    def merge(self, person: str, others: Sequence[str]) -> Person:
        """See PeopleFront."""
        with self._store._lock:
            named = [self._person(one).name for one in (person, *others)]
            faces = frozenset[int]().union(*map(self._faces, (person, *others)))
            for face in faces:
                self._place(face, person)
            self._kept().names[person] = next(filter(None, named), "")
            self._say(faces)
            return self._person(person)

    def split(self, person: str, faces: Sequence[FaceKey], together: bool) -> Sequence[Person]:
        """See PeopleFront."""
        with self._store._lock:
            self._person(person)
            whose = self._store._person_of
            taken: dict[int, str] = {}
            for image, number in faces:
                record = self._store._images.get(image)
                face = face_id(record.image.position if record else 0, number)
                if whose.get(face) != person:
                    raise Conflict("not_theirs")
                taken.setdefault(face, new_job_id())
            others = self._faces(person) - taken.keys()
            if not others:
                raise Conflict("nobody_left")
            self._say(frozenset(taken), others)
            if together:
                self._say(frozenset(taken))
                taken = dict.fromkeys(taken, next(iter(taken.values())))
            for face, new in taken.items():
                self._place(face, new)
            return tuple(self._person(new) for new in dict.fromkeys(taken.values()))

    # -- group

    def due(self, limit: int) -> Due:
        """See People."""
        with self._store._lock:
            kept, store = self._kept(), self._store
            return Due(
                revision=store._revision,
                marks=dict(list(store._marks.items())[:limit]),
                marking=kept.marking,
                false_pairs=kept.false_pairs,
                grouping=kept.grouping,
            )

    def begin(self, grouping: Grouping, false_pairs: float) -> None:
        """See People."""
        with self._store._lock:
            kept = self._kept()
            kept.grouping, kept.false_pairs, kept.marking = grouping, false_pairs, True
            self._store._revision += 1

    def mark(self, positions: Sequence[int], last: Grouping | None = None) -> None:
        """See People."""
        with self._store._lock:
            for position in positions:
                if position in self._store._positions:
                    self._store._mark(position)
            if last is not None and last == self._kept().grouping:
                self._kept().marking = False

    def placed(self, faces: Sequence[int]) -> dict[int, str]:
        """See People."""
        with self._store._lock:
            whose = self._store._person_of
            return {face: whose[face] for face in faces if face in whose}

    def members(self, people: Sequence[str]) -> dict[str, frozenset[int]]:
        """See People."""
        with self._store._lock:
            return {person: faces for person in people if (faces := self._faces(person))}

    def named(self, people: Sequence[str]) -> frozenset[str]:
        """See People."""
        with self._store._lock:
            return frozenset(one for one in people if self._kept().names.get(one))

    def said(self) -> list[Said]:
        """See People."""
        with self._store._lock:
            return [said for _, said in sorted(self._kept().said.items())]

    def commit(self, regrouped: Regrouped) -> int | None:
        """See People."""
        with self._store._lock:
            store, kept = self._store, self._kept()
            if regrouped.revision != store._revision:
                return None
            for face, person in regrouped.placed.items():
                self._place(face, person)
            for position, number in regrouped.done.items():
                if store._marks.get(position) == number:
                    del store._marks[position]
            store._revision += bool(regrouped.said)
            for one in regrouped.said:
                kept.said.pop(one.number, None)
                if one.faces:
                    kept.said[one.number] = one
                    store._revision = max(store._revision, one.number)
            return store._revision

    # -- inside

    def _kept(self) -> _People:
        if not isinstance(self._store._people, _People):
            self._store._people = _People()
        return self._store._people

    def _faces(self, person: str) -> frozenset[int]:
        whose = self._store._person_of
        return frozenset(face for face, its in whose.items() if its == person)

    def _person(self, person: str) -> Person:
        faces = self._faces(person)
        if not faces:
            raise NotFound("no_person")
        return Person(person, self._kept().names.get(person, ""), len(faces))

    def _shown(self, face: int) -> PersonFace:
        position, number = place_of(face)
        image = self._store.image(self._store._positions[position])
        return PersonFace(face, image.hash, image.names, number, image.boxes[number])

    def _place(self, face: int, person: str) -> None:
        whose = self._store._person_of
        before = whose.get(face)
        if place_of(face)[0] not in self._store._positions or before == person:
            return
        self._store._revision += 1
        whose[face] = person
        if before is not None and not self._faces(before):
            self._kept().names.pop(before, None)

    def _say(self, faces: frozenset[int], others: frozenset[int] | None = None) -> None:
        self._store._revision += 1
        said = Said(self._store._revision, faces, others)
        self._kept().said[said.number] = said
        for position in sorted({place_of(face)[0] for face in said.about}):
            self._store._mark(position)
