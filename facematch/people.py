"""The port to what the store knows of people: who is who among the faces, and what was said of it.

People are groups of faces (`facematch.grouping`), kept up by workers (`facematch.regrouping`):
whatever changes the matches of an image marks it, in the same step, and what is marked is grouped
anew. A face's id is `position * FACES_PER_POSITION + number`, so it means one life of an image. A
person has an id of its own, which stays with most of its faces.

Each method is one atomic step. The real one is `facematch.redis_people.RedisPeople`, the one for
tests `facematch.memory_people.MemoryPeople`; one contract test runs against both. Every method
raises Unavailable("store_unavailable") when the store does not answer.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from facematch.corrections import FaceKey
from facematch.faces import FACES_PER_POSITION, Box

_PERSON = re.compile("[0-9a-f]{16}")


@dataclass(frozen=True)
class Person:
    """A group of faces. `name`: "" as long as nobody gave one."""

    id: str
    name: str
    faces: int


@dataclass(frozen=True)
class PeopleCursor:
    """Where a page of people ended: just behind this one."""

    faces: int
    person: str


@dataclass(frozen=True)
class PeoplePage:
    """A page of people, those with most faces first. `ungrouped`: images that are still to be
    grouped, or to be grouped anew. `next` continues behind this page, None at the end."""

    people: Sequence[Person]
    ungrouped: int
    next: PeopleCursor | None = None


@dataclass(frozen=True)
class PersonFace:
    """A face of a person: the image, its names, the number of the face in it, and where it is."""

    id: int
    image: str
    names: Sequence[str]
    number: int
    box: Box


@dataclass(frozen=True)
class PersonPage:
    """A person with a page of its faces, in the order in which their images came. `next`: the id of
    the last one if there are more."""

    person: Person
    faces: Sequence[PersonFace]
    ungrouped: int
    next: int | None = None


@dataclass(frozen=True)
class Said:
    """A correction as it is kept: faces by id. `others` None: `faces` are one person; else none of
    them is the person of one of the others. `number`: the later, the higher."""

    number: int
    faces: frozenset[int]
    others: frozenset[int] | None = None

    @property
    def about(self) -> frozenset[int]:
        """All faces in it."""
        return self.faces | (self.others or frozenset())

    def without(self, gone: frozenset[int]) -> "Said":
        """The same of fewer faces; of none, where nothing is said any more."""
        if self.others is None:
            faces = self.faces - gone
            return Said(self.number, faces if len(faces) > 1 else frozenset())
        faces, others = self.faces - gone, self.others - gone
        if not (faces and others):
            faces = others = frozenset()
        return Said(self.number, faces, others)


@dataclass(frozen=True)
class Grouping:
    """How faces are grouped: by pairs up to the code `reach`, and links up to `limit`, which is
    that of so many false pairs a face; of which generation of match sets."""

    limit: int
    reach: int
    generation: int


@dataclass(frozen=True)
class Due:
    """What is to be done, as of one instant. `marks`: positions of images to be grouped anew, with
    the number that each mark has. `marking`: all were to be marked, and that has not ended.
    `revision`: of people and corrections."""

    revision: int
    marks: Mapping[int, int]
    marking: bool
    false_pairs: float
    grouping: Grouping | None


@dataclass(frozen=True)
class Regrouped:
    """What a look at some marks has come to. `placed`: the person of each face that has another one
    now. `done`: the marks that were looked at. `said`: corrections to be kept in another form,
    without faces that are gone; with no face they are forgotten."""

    revision: int
    placed: Mapping[int, str]
    done: Mapping[int, int]
    said: Sequence[Said] = field(default=())


class PeopleFront(Protocol):
    """What the api needs, of whichever edition is served."""

    def people(self, limit: int, after: PeopleCursor | None = None, fewest: int = 1) -> PeoplePage:
        """A page of those with at least `fewest` faces."""

    def person(self, person: str, limit: int, after: int = 0) -> PersonPage:
        """A person with faces behind the one with the id `after`. Raises NotFound("no_person")."""

    def people_of(self, image: str) -> Mapping[int, Person]:
        """The people of an image by number of the face; a face that is not grouped yet is left out.
        Raises NotFound for an image never seen."""

    def rename(self, person: str, name: str) -> Person:
        """Give a person another name, or none. Raises NotFound("no_person")."""

    def merge(self, person: str, others: Sequence[str]) -> Person:
        """From now on all faces that these have are one person, who keeps the first one's id, and
        name if it has one. Raises NotFound("no_person")."""

    def split(self, person: str, faces: Sequence[FaceKey], together: bool) -> Sequence[Person]:
        """From now on none of these faces is the person of the others that it has. Returns whom
        they are of instead: one new person if they are `together`; else each is nobody, a new
        person, until it is grouped anew.

        Raises NotFound("no_person"), Conflict("not_theirs") for a face of somebody else and
        Conflict("nobody_left") when no other face would be left.
        """


class People(Protocol):
    """What who keeps the people of an edition up needs."""

    def due(self, limit: int) -> Due:
        """Up to so many marks, the oldest first."""

    def begin(self, grouping: Grouping, false_pairs: float) -> None:
        """Group all anew, in this way: all images are to be marked."""

    def mark(self, positions: Sequence[int], last: Grouping | None = None) -> None:
        """Mark these images, if they are live. `last`: all are marked, if it is still the way."""

    def placed(self, faces: Sequence[int]) -> dict[int, str]:
        """The person of each face that has one."""

    def members(self, people: Sequence[str]) -> dict[str, frozenset[int]]:
        """The faces of each of these people."""

    def named(self, people: Sequence[str]) -> frozenset[str]:
        """Those of these people that have a name."""

    def said(self) -> list[Said]:
        """All corrections, oldest first."""

    def commit(self, regrouped: Regrouped) -> int | None:
        """Write it, if nothing of people and corrections is another one than in its revision, and
        return the revision from now on; None if not. A face that is gone is placed nowhere."""


def new_person_id() -> str:
    """A fresh id of a person: 16 hexadecimal digits."""
    return secrets.token_hex(8)


def is_person_id(text: str) -> bool:
    """Whether the text has the form that `new_person_id` gives."""
    return _PERSON.fullmatch(text) is not None


def face_id(position: int, number: int) -> int:
    """Of the face of this number in the image at the position."""
    return position * FACES_PER_POSITION + number


def place_of(face: int) -> tuple[int, int]:
    """Position and number of a face: the inverse of `face_id`."""
    return divmod(face, FACES_PER_POSITION)
