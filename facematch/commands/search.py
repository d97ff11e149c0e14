"""What `facematch search` asks and prints."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from facematch.client import Client
from facematch.commands.text import Document, _chance_column, _count, _names, _rounded
from facematch.errors import ABOUT_ALL, FacematchError
from facematch.faces_client import ProbeErasure, SearchAnswer, SearchedFace, SearchOptions
from facematch.terminal import printable


@dataclass(frozen=True)
class Searched:
    """What a search for a file or URL came to: an answer, or why there is none."""

    asked: str
    answer: SearchAnswer | None = None
    code: str | None = None
    detail: str | None = None


def options_of(
    face: int | None, limit: int, max_distance: float | None, max_false_matches: float | None
) -> SearchOptions:
    """What is asked for; None: it is not."""
    return {
        "face": face,
        "limit": limit,
        "max_distance": max_distance,
        "max_false_matches": max_false_matches,
    }


def search(client: Client, asked: str, options: SearchOptions) -> Searched:
    """Search for a file, or for a URL. Raises what is about all of them."""
    try:
        if is_url(asked):
            return Searched(asked, client.search_url(asked, **options))
        return Searched(asked, client.search(Path(asked), **options))
    except ABOUT_ALL:
        raise
    except FacematchError as error:
        return Searched(asked, code=error.code, detail=str(error))
    except OSError as error:
        return Searched(asked, code="unreadable", detail=error.strerror or str(error))


def is_url(text: str) -> bool:
    """Whether that is a URL rather than the path of a file."""
    return text.startswith(("http://", "https://"))


def document(searched: Searched) -> Document:
    """For a script; the names are those of the REST interface."""
    about = {"asked": searched.asked, "code": searched.code, "detail": searched.detail}
    return about | (asdict(searched.answer) if searched.answer else {"faces": None})


def lines(searched: Searched) -> Iterator[str]:
    """For people: each face, and its matches, the most certain first."""
    answer, asked = searched.answer, printable(searched.asked)
    if answer is None:
        yield f"{asked}: failed: {printable(searched.detail or '')} ({searched.code})"
        return
    if not answer.faces:
        yield f"{asked}: no face"
        return
    more = " (there are more)" if answer.truncated else ""
    unsure = "" if answer.exact else " (approximate: some matches may be missing)"
    yield f"{asked}: {_count(len(answer.faces), 'face')}{more}{unsure}"
    for face in answer.faces:
        yield f"  face {face.number}: {_outcome(face)}"
        for match in face.matches:
            sure = _chance_column(match.false_match_rate)
            yield f"    {match.distance:.4f}  {sure}{match.faces[0].face}  {_names(match.names)}"
        if face.more:
            yield "    …"


def erasure_lines(asked: str, found: ProbeErasure) -> Iterator[str]:
    """For people: what matches a picture, and what became of it."""
    told = "erased" if found.erased else "to be erased"
    more = ", and there are more" if found.more else ""
    unsure = "" if found.exact else " (approximate: some may be missing)"
    yield f"{printable(asked)}: {_count(len(found.images), 'image')} {told}{more}{unsure}"
    for one in found.images:
        sure = _chance_column(one.false_match_rate)
        yield f"    {one.distance:.4f}  {sure}{one.hash}  {_names(one.names)}"


def _outcome(face: SearchedFace) -> str:
    if not face.matches:
        return "no match"
    count = _count(len(face.matches), "match", "matches")
    shown = f"the most certain {count}" if face.more else count
    expected = face.expected_false_matches
    if expected is None:
        return shown
    told = f"{_rounded(expected):,}" if expected >= 10 else f"{expected:.2g}"
    return f"{shown}, {told} false ones to be expected in all"
