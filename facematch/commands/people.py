"""`facematch people`: what it asks of the store, and what it prints."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

from facematch import people_check
from facematch.collection_name import DEFAULT
from facematch.commands.stores import served_edition, urls
from facematch.commands.text import Document
from facematch.errors import Conflict
from facematch.people_client import (
    FacePersonAnswer,
    PeopleAnswer,
    PersonAnswer,
    PersonPageAnswer,
)
from facematch.redis_connection import connect
from facematch.redis_people import RedisPeople
from facematch.redis_store import RedisStore
from facematch.regrouping import way_of
from facematch.terminal import printable

_NAMES = 3


@dataclass(frozen=True)
class Begun:
    """All faces are to be grouped anew, with so many false pairs for each."""

    faces: int
    false_pairs: float


Shown: TypeAlias = PeopleAnswer | PersonAnswer | PersonPageAnswer | people_check.Checked | Begun


def regroup(data: Path | None, false_pairs: float | None, collection: str = DEFAULT) -> Begun:
    """Have workers group all anew. Raises Misconfigured for a folder without data, Unavailable,
    Conflict("no_rates") where nobody is grouped."""
    with urls(data) as (redis_url, _), connect(redis_url) as client:
        name = served_edition(client, collection)
        people = RedisPeople(client, name)
        wanted = people.due(0).false_pairs if false_pairs is None else false_pairs
        found = RedisStore(client, name).collection()
        if not found.calibration:
            raise Conflict("no_rates")
        people.begin(way_of(found, wanted), wanted)
        return Begun(found.live_faces, wanted)


def check(data: Path | None, collection: str = DEFAULT) -> people_check.Checked:
    """Compare. Raises Misconfigured for a folder without data, Unavailable."""
    with urls(data) as (redis_url, _), connect(redis_url) as client:
        name = served_edition(client, collection)
        store, people = RedisStore(client, name), RedisPeople(client, name)
        return people_check.check(store, people)


def document(answer: Shown) -> Document:
    """For a script."""
    return asdict(answer)


def others_document(people: Iterable[PersonAnswer]) -> Document:
    """For a script."""
    return {"people": [asdict(person) for person in people]}


def of_document(image: str, faces: Iterable[FacePersonAnswer]) -> Document:
    """For a script."""
    return {"hash": image, "faces": [asdict(face) for face in faces]}


def lines(people: Iterable[PersonAnswer]) -> Iterator[str]:
    """For people: id, how many faces, and name."""
    for person in people:
        yield f"{person.id}  {person.faces:>7,}  {printable(person.name or '')}".rstrip()


def list_lines(page: PeopleAnswer) -> Iterator[str]:
    """For people."""
    yield from lines(page.people)
    if page.next is not None:
        yield "…"
    yield from _left(page.ungrouped)


def person_lines(page: PersonPageAnswer) -> Iterator[str]:
    """For people: who it is, and the faces."""
    yield from lines([PersonAnswer(page.id, page.name, page.count)])
    for face in page.faces:
        names = ", ".join(map(printable, face.names[:_NAMES]))
        more = " …" if len(face.names) > _NAMES else ""
        yield f"  {face.image}:{face.number}  {names}{more}"
    if page.next is not None:
        yield "  …"
    yield from _left(page.ungrouped)


def of_lines(faces: Sequence[FacePersonAnswer]) -> Iterator[str]:
    """For people: number of the face, and who it is."""
    for face in faces:
        (line,) = lines([face.person])
        yield f"{face.number}: {line}"
    if not faces:
        yield "nobody that is grouped"


def begun_lines(begun: Begun) -> Iterator[str]:
    """For people."""
    yield f"{begun.faces:,} faces will be grouped anew, {begun.false_pairs:g} false pairs for each"


def checked_lines(checked: people_check.Checked) -> Iterator[str]:
    """For people."""
    yield f"{checked.faces:,} faces of {checked.people:,} people"
    yield from _left(checked.ungrouped)
    yield f"{len(checked.wrong):,} faces are with other ones than they should be"


def _left(ungrouped: int) -> Iterator[str]:
    if ungrouped:
        yield f"{ungrouped:,} images are still to be grouped"
