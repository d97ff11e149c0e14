"""People in Redis or Valkey: the only home of its keys and scripts beside `facematch.redis_store`.

Of each edition, under its prefix:

    people             hash    revision (rises with each change of people, names or corrections);
                               mark and said (the last numbers given); false_pairs, limit, reach
                               and generation, that faces are grouped by; marking while all are
                               marked
    people:marks       zset    position of an image to be grouped anew, by number of the mark
    people:of          hash    face → person
    people:list        zset    person, by −1 × number of faces
    people:names       hash    person → name
    people:said        hash    number of a correction → "together 256 512" or "apart 256 / 512 513"
    person:<id>        zset    faces of a person, by themselves
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from facematch.collection_name import DEFAULT
from facematch.corrections import FaceKey
from facematch.errors import Conflict, NotFound
from facematch.faces import Box
from facematch.linkage import FALSE_PAIRS
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
    new_person_id,
    place_of,
)
from facematch.redis_connection import Redis, translated
from facematch.redis_records import texts
from facematch.redis_scripts import Scripted

_PORTION = 1000


class RedisPeople(Scripted):
    """See facematch.people: PeopleFront and People. Safe to share between threads."""

    def __init__(self, client: Redis, name: str = DEFAULT) -> None:
        """`name`: as of facematch.redis_store.RedisStore. Raises ValueError for any other."""
        super().__init__(client, name)

    # -- read

    @translated()
    def people(self, limit: int, after: PeopleCursor | None = None, fewest: int = 1) -> PeoplePage:
        """See PeopleFront."""
        behind = (after.faces, after.person) if after else ("", "")
        ungrouped, more, *told = self._run("people", limit, fewest, *behind)
        people = tuple(_person(one) for one in told)
        last = people[-1] if more else None
        next_ = PeopleCursor(last.faces, last.id) if last else None
        return PeoplePage(people, int(ungrouped), next_)

    @translated()
    def person(self, person: str, limit: int, after: int = 0) -> PersonPage:
        """See PeopleFront."""
        told = self._run("person", person, limit, after)
        if not told:
            raise NotFound("no_person")
        about, ungrouped, more, *rows = told
        faces = tuple(_face(*row) for row in rows)
        next_ = faces[-1].id if more and faces else None
        return PersonPage(_person(about), faces, int(ungrouped), next_)

    @translated()
    def people_of(self, image: str) -> Mapping[int, Person]:
        """See PeopleFront."""
        told = self._run("people_of", image)
        if told is None:
            raise NotFound("not_found", f"no image {image}")
        return {int(number): _person(person) for number, person in told}

    # -- correct

    @translated()
    def rename(self, person: str, name: str) -> Person:
        """See PeopleFront."""
        return _one(self._run("person_name", person, name))

    @translated()
    def merge(self, person: str, others: Sequence[str]) -> Person:
        """See PeopleFront."""
        return _one(self._run("person_merge", person, *others))

    @translated()
    def split(self, person: str, faces: Sequence[FaceKey], together: bool) -> Sequence[Person]:
        """See PeopleFront."""
        flat = (part for image, number in faces for part in (image, number, new_person_id()))
        told = self._run("person_split", person, int(together), *flat)
        if told == b"no_person":
            raise NotFound("no_person")
        if isinstance(told, bytes):
            raise Conflict(told.decode())
        return tuple(_person(one) for one in told)

    # -- group

    @translated()
    def due(self, limit: int) -> Due:
        """See People."""
        revision, marking, false_pairs, *way, marks = self._run("people_due", limit)
        return Due(
            revision=int(revision),
            marks={
                int(position): int(float(number))
                for position, number in zip(marks[::2], marks[1::2], strict=True)
            },
            marking=bool(marking),
            false_pairs=float(false_pairs) if false_pairs else FALSE_PAIRS,
            grouping=Grouping(*map(int, way)) if way[0] else None,
        )

    @translated()
    def begin(self, grouping: Grouping, false_pairs: float) -> None:
        """See People."""
        self._run("people_begin", *_way(grouping), repr(false_pairs))

    @translated()
    def mark(self, positions: Sequence[int], last: Grouping | None = None) -> None:
        """See People."""
        way = _way(last) if last else ("", "", "")
        for portion in _portions(positions) if positions else ((),):
            self._run("people_mark", *way, *portion)

    @translated()
    def placed(self, faces: Sequence[int]) -> dict[int, str]:
        """See People."""
        found: dict[int, str] = {}
        for portion in _portions(faces):
            people = self._redis.hmget(self._key("people", "of"), list(map(str, portion)))
            pairs = zip(portion, people, strict=True)
            found.update((face, cast(bytes, person).decode()) for face, person in pairs if person)
        return found

    @translated()
    def members(self, people: Sequence[str]) -> dict[str, frozenset[int]]:
        """See People."""
        found: dict[str, frozenset[int]] = {}
        for portion in _portions(people):
            with self._redis.pipeline(transaction=False) as pipe:
                for person in portion:
                    pipe.zrange(self._key("person", person), 0, -1)
                faces = pipe.execute()
            pairs = zip(portion, faces, strict=True)
            found.update((person, frozenset(map(int, its))) for person, its in pairs if its)
        return found

    @translated()
    def named(self, people: Sequence[str]) -> frozenset[str]:
        """See People."""
        found: set[str] = set()
        for portion in _portions(people):
            names = self._redis.hmget(self._key("people", "names"), list(portion))
            found.update(one for one, name in zip(portion, names, strict=True) if name)
        return frozenset(found)

    @translated()
    def said(self) -> list[Said]:
        """See People."""
        kept = self._redis.hgetall(self._key("people", "said"))
        made = (_parse(int(number), cast(bytes, text).decode()) for number, text in kept.items())
        return sorted(made, key=lambda one: one.number)

    @translated()
    def commit(self, regrouped: Regrouped) -> int | None:
        """See People."""
        rows = (regrouped.placed.items(), regrouped.done.items())
        told = self._run(
            "people_commit",
            *(regrouped.revision, len(regrouped.placed), len(regrouped.done)),
            *(part for pairs in rows for pair in pairs for part in pair),
            *(part for one in regrouped.said for part in (one.number, _text(one))),
        )
        return int(told) if told is not None else None


def _way(grouping: Grouping) -> tuple[int, int, int]:
    return grouping.limit, grouping.reach, grouping.generation


def _portions(these: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(these), _PORTION):
        yield these[start : start + _PORTION]


def _person(told: Sequence[Any]) -> Person:
    id_, name, faces = told
    return Person(id_.decode(), name.decode() if name else "", int(faces))


def _one(told: Any) -> Person:
    if not told:
        raise NotFound("no_person")
    return _person(told)


def _face(face: bytes, image: bytes, names: list[bytes], boxes: bytes) -> PersonFace:
    number = place_of(int(face))[1]
    return PersonFace(
        int(face), image.decode(), texts(names), number, Box(*json.loads(boxes)[number])
    )


def _text(said: Said) -> str:
    if not said.faces:
        return ""
    faces = " ".join(map(str, sorted(said.faces)))
    if said.others is None:
        return f"together {faces}"
    return f"apart {faces} / {' '.join(map(str, sorted(said.others)))}"


def _parse(number: int, text: str) -> Said:
    kind, _, rest = text.partition(" ")
    faces, _, others = rest.partition(" / ")
    apart = frozenset(map(int, others.split())) if kind == "apart" else None
    return Said(number, frozenset(map(int, faces.split())), apart)
