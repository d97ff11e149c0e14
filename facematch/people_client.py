"""What the REST client asks about people: `facematch.client.Client.people`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar
from urllib.parse import quote

import requests
from pydantic import TypeAdapter

from facematch.corrections import FaceKey
from facematch.faces import Box
from facematch.rest import Rest

_PAGE = 1000

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class PersonAnswer:
    """A person: `faces` is how many there are, `name` None while nobody gave one."""

    id: str
    name: str | None
    faces: int


@dataclass(frozen=True)
class PeopleAnswer:
    """A page of people. `ungrouped`: images whose faces are still to be grouped, or anew. `next`
    is the cursor of the next page."""

    people: tuple[PersonAnswer, ...]
    ungrouped: int
    next: str | None


@dataclass(frozen=True)
class PersonFaceAnswer:
    """A face of a person: its image, that one's names, and which of its faces it is."""

    image: str
    names: tuple[str, ...]
    number: int
    box: Box


@dataclass(frozen=True)
class PersonPageAnswer:
    """A person with a page of its `count` faces, and the hashes of the images that these are in."""

    id: str
    name: str | None
    count: int
    faces: tuple[PersonFaceAnswer, ...]
    images: tuple[str, ...]
    ungrouped: int
    next: str | None


@dataclass(frozen=True)
class FacePersonAnswer:
    """A face of an image, and who it is."""

    number: int
    person: PersonAnswer


@dataclass(frozen=True)
class _Others:
    people: tuple[PersonAnswer, ...]


@dataclass(frozen=True)
class _OfImage:
    hash: str
    faces: tuple[FacePersonAnswer, ...]


_PERSON = TypeAdapter(PersonAnswer)
_PEOPLE = TypeAdapter(PeopleAnswer)
_PERSON_PAGE = TypeAdapter(PersonPageAnswer)
_OTHERS = TypeAdapter(_Others)
_OF_IMAGE = TypeAdapter(_OfImage)


class Read(Protocol):
    """Makes a value of an answer. Raises Misconfigured for another form."""

    def __call__(self, form: TypeAdapter[_Answer], answer: requests.Response, /) -> _Answer:
        """The value."""


class PeopleClient:
    """Raises what `facematch.client.Client` raises; NotFound("no_person") for a person that is not
    there any more. Corrections are sent once: whoever gets no answer looks before asking again."""

    def __init__(self, rest: Rest, read: Read) -> None:
        self._rest, self._got = rest, read

    def page(self, limit: int = 100, cursor: str | None = None, fewest: int = 1) -> PeopleAnswer:
        """A page of those with at least `fewest` faces, those with most faces first."""
        parameters: dict[str, str | int | float] = {"limit": limit, "fewest": fewest}
        if cursor:
            parameters["cursor"] = cursor
        return self._got(_PEOPLE, self._rest.ask("GET", "/v1/people", parameters))

    def everybody(self, fewest: int = 1) -> Iterator[PersonAnswer]:
        """All those with at least `fewest` faces, read page by page."""
        page = self.page(_PAGE, fewest=fewest)
        yield from page.people
        while page.next is not None:
            page = self.page(_PAGE, page.next, fewest)
            yield from page.people

    def person(self, person: str, limit: int = 100, cursor: str | None = None) -> PersonPageAnswer:
        """A person with a page of its faces."""
        parameters: dict[str, str | int | float] = {"limit": limit}
        if cursor:
            parameters["cursor"] = cursor
        answer = self._rest.ask("GET", _path(person), parameters)
        return self._got(_PERSON_PAGE, answer)

    def faces(self, person: str) -> Iterator[PersonFaceAnswer]:
        """All faces of a person, read page by page."""
        page = self.person(person, _PAGE)
        yield from page.faces
        while page.next is not None:
            page = self.person(person, _PAGE, page.next)
            yield from page.faces

    def of_image(self, image: str) -> tuple[FacePersonAnswer, ...]:
        """Who is on the image with this hash."""
        answer = self._rest.ask("GET", f"/v1/images/{quote(image, safe='')}/people")
        return self._got(_OF_IMAGE, answer).faces

    def rename(self, person: str, name: str) -> PersonAnswer:
        """Name a person; "": no more."""
        return self._got(_PERSON, self._rest.ask_once("PATCH", _path(person), {"name": name}))

    def merge(self, person: str, others: Sequence[str]) -> PersonAnswer:
        """Say that others are this person."""
        body = {"people": list(others)}
        return self._got(_PERSON, self._rest.ask_once("POST", f"{_path(person)}/merge", body))

    def split(self, person: str, faces: Sequence[FaceKey]) -> PersonAnswer:
        """Say that some faces, (hash of the image, number), are one other person."""
        answer = self._rest.ask_once("POST", f"{_path(person)}/split", _faces(faces))
        return self._got(_OTHERS, answer).people[0]

    def exclude(self, person: str, faces: Sequence[FaceKey]) -> tuple[PersonAnswer, ...]:
        """Say that some faces are not this person, whoever they are."""
        answer = self._rest.ask_once("POST", f"{_path(person)}/exclude", _faces(faces))
        return self._got(_OTHERS, answer).people


def _path(person: str) -> str:
    return f"/v1/people/{quote(person, safe='')}"


def _faces(faces: Sequence[FaceKey]) -> dict[str, object]:
    return {"faces": [{"image": image, "number": number} for image, number in faces]}
