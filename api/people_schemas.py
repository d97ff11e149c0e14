"""The shapes of the REST interface that are about people."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

from api import cursors
from api.schemas import DEFAULT_LIMIT, MAX_LIMIT, BoxOut
from facematch.corrections import FaceKey
from facematch.faces import FACES_PER_POSITION
from facematch.people import PeoplePage, Person, PersonFace, PersonPage

#: Faces or people named in one request.
_MOST = 1000


class PeopleQuery(BaseModel):
    """Which part of the people."""

    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT, description="people on one page")
    fewest: int = Field(1, ge=1, le=2**31, description="only those with at least so many faces")
    cursor: str = Field("", description="`next` of the page before")


class PersonQuery(BaseModel):
    """Which part of a person's faces."""

    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT, description="faces on one page")
    cursor: str = Field("", description="`next` of the page before")


class NameIn(BaseModel):
    """A name; empty: none."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(json_schema_extra={"maxLength": 1000})


class MergeIn(BaseModel):
    """People who are the person as well."""

    model_config = ConfigDict(extra="forbid")
    people: list[str] = Field(min_length=1, max_length=_MOST)


class FaceIn(BaseModel):
    """A face, by its image and its number there."""

    model_config = ConfigDict(extra="forbid")
    image: str = Field(pattern=r"^[0-9a-f]{64}$", description="the hash of the image")
    number: int = Field(ge=0, lt=FACES_PER_POSITION, description="which of its faces, from 0")

    @property
    def key(self) -> FaceKey:
        """As corrections know it."""
        return self.image, self.number


class FacesIn(BaseModel):
    """Some faces."""

    model_config = ConfigDict(extra="forbid")
    faces: list[FaceIn] = Field(min_length=1, max_length=_MOST)


class PersonOut(BaseModel):
    """A person. `id` stays with most of the faces, whatever else becomes of them."""

    id: str
    name: str | None
    faces: int = Field(description="how many there are")

    @classmethod
    def of(cls, person: Person) -> "PersonOut":
        """Show a person."""
        return cls(id=person.id, name=person.name or None, faces=person.faces)


class PeopleOut(BaseModel):
    """People, those with most faces first."""

    people: list[PersonOut]
    ungrouped: int = Field(description="images whose faces are still to be grouped, or anew")
    next: str | None = Field(description="cursor of the next page")

    @classmethod
    def of(cls, page: PeoplePage) -> "PeopleOut":
        """Show a page."""
        return cls(
            people=[PersonOut.of(person) for person in page.people],
            ungrouped=page.ungrouped,
            next=cursors.encode_people(page.next) if page.next else None,
        )


class PersonFaceOut(BaseModel):
    """A face of a person."""

    image: str = Field(description="the hash of the image")
    names: list[str]
    number: int = Field(description="which of the image's faces, from 0")
    box: BoxOut

    @classmethod
    def of(cls, face: PersonFace) -> "PersonFaceOut":
        """Show a face."""
        box = face.box
        return cls(
            image=face.image,
            names=list(face.names),
            number=face.number,
            box=BoxOut(top=box.top, right=box.right, bottom=box.bottom, left=box.left),
        )


class PersonPageOut(BaseModel):
    """A person with a page of its faces, in the order in which their images came."""

    id: str
    name: str | None
    count: int = Field(description="how many faces there are")
    faces: list[PersonFaceOut]
    images: list[str] = Field(description="the hashes of the images that these faces are in")
    ungrouped: int = Field(description="images whose faces are still to be grouped, or anew")
    next: str | None = Field(description="cursor of the next page")

    @classmethod
    def of(cls, page: PersonPage) -> "PersonPageOut":
        """Show a page."""
        return cls(
            id=page.person.id,
            name=page.person.name or None,
            count=page.person.faces,
            faces=[PersonFaceOut.of(face) for face in page.faces],
            images=list(dict.fromkeys(face.image for face in page.faces)),
            ungrouped=page.ungrouped,
            next=cursors.encode_face(page.next) if page.next is not None else None,
        )


class OthersOut(BaseModel):
    """Who faces are that were said not to be a person."""

    people: list[PersonOut]

    @classmethod
    def of(cls, people: Sequence[Person]) -> "OthersOut":
        """Show them."""
        return cls(people=[PersonOut.of(person) for person in people])


class FacePersonOut(BaseModel):
    """A face of an image, and who it is."""

    number: int = Field(description="which of the image's faces, from 0")
    person: PersonOut


class ImagePeopleOut(BaseModel):
    """Who is on an image; faces that are not grouped yet are left out."""

    hash: str
    faces: list[FacePersonOut]

    @classmethod
    def of(cls, image: str, people: Mapping[int, Person]) -> "ImagePeopleOut":
        """Show them."""
        faces = [
            FacePersonOut(number=number, person=PersonOut.of(person))
            for number, person in sorted(people.items())
        ]
        return cls(hash=image, faces=faces)
