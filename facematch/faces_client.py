"""What the REST client asks about faces: `facematch.client.Client.search` and `Client.faces`."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, Unpack
from urllib.parse import quote

from pydantic import TypeAdapter

from facematch.faces import Box
from facematch.people_client import Read
from facematch.rest import Parameters, Rest
from facematch.store import State

_PAGE = 1000
#: The longest that the service lets a request wait, and takes for a search unless set otherwise.
_MAX_WAIT, _SEARCH_SECONDS = 30.0, 20.0
#: To search, and to erase up to 10,000 images.
_ERASING_SECONDS = 300.0


class SearchOptions(TypedDict, total=False):
    """Which matches are asked for: of one `face` of the picture, from 0 on; up to `limit` images
    for each, 100 unless it is said, at most 10,000; those at most `max_distance` apart; the most
    certain ones, so that no more than `max_false_matches` are to be expected to be false."""

    face: int | None
    limit: int
    max_distance: float | None
    max_false_matches: float | None


@dataclass(frozen=True)
class FaceNamed:
    """A face: its name HASH:NUMBER, its number in its image, and where it is."""

    face: str
    number: int
    box: Box


@dataclass(frozen=True)
class MatchedFace(FaceNamed):
    """A face that matches, how far it is, and the chance that two different people match so."""

    distance: float
    false_match_rate: float | None


@dataclass(frozen=True)
class FaceMatch:
    """An image that matches a face: the smallest distance, the lowest rate of any of its faces, and
    those within the threshold, the most certain first."""

    hash: str
    names: tuple[str, ...]
    distance: float
    false_match_rate: float | None
    faces: tuple[MatchedFace, ...]


@dataclass(frozen=True)
class SearchedFace:
    """A face of the picture, with the images that match it, the most certain first. `more`: than
    were asked for."""

    number: int
    box: Box
    expected_false_matches: float | None
    matches: tuple[FaceMatch, ...]
    more: bool


@dataclass(frozen=True)
class SearchAnswer:
    """The faces of a picture, of which nothing was kept. `truncated`: there are more of them. Every
    image at a position up to `complete_through` was compared, unless `exact` is False."""

    faces: tuple[SearchedFace, ...]
    truncated: bool
    width: int
    height: int
    model: str
    threshold: float
    max_false_matches: float | None
    complete_through: int
    exact: bool


@dataclass(frozen=True)
class ToErase:
    """An image that shows the face of a picture."""

    hash: str
    names: tuple[str, ...]
    distance: float
    false_match_rate: float | None


@dataclass(frozen=True)
class ProbeErasure:
    """The images that match a `face` of a picture, and whether they were `erased`. `confirm` stands
    for exactly these; `more` match; unless `exact`, some that match may be missing."""

    face: int
    images: tuple[ToErase, ...]
    more: bool
    exact: bool
    erased: bool
    confirm: str


@dataclass(frozen=True)
class FaceMatchesAnswer:
    """A page of the images that match a face, the most certain first; `matches` is None unless the
    state is done. `next` is the cursor of the next page."""

    face: str
    hash: str
    number: int
    box: Box | None
    state: State
    code: str | None
    threshold: float | None
    max_false_matches: float | None
    model: str | None
    complete_through: int | None
    exact: bool | None
    matches_truncated: bool | None
    expected_false_matches: float | None
    matches: tuple[FaceMatch, ...] | None
    next: str | None


@dataclass(frozen=True)
class FacePairAnswer:
    """A face of an image, and one of an image that matches it."""

    face: FaceNamed
    other: FaceNamed
    distance: float
    false_match_rate: float | None


@dataclass(frozen=True)
class PairedMatch:
    """An image that matches another one, and their pairs of faces within the threshold."""

    hash: str
    names: tuple[str, ...]
    distance: float
    false_match_rate: float | None
    pairs: tuple[FacePairAnswer, ...]


@dataclass(frozen=True)
class PairsAnswer:
    """A page of an image's matches with their faces; see facematch.client.MatchesAnswer."""

    hash: str
    state: State
    code: str | None
    complete_through: int | None
    exact: bool | None
    matches: tuple[PairedMatch, ...] | None
    next: str | None


_PROBE_ERASURE = TypeAdapter(ProbeErasure)
_SEARCH = TypeAdapter(SearchAnswer)
_FACE_MATCHES = TypeAdapter(FaceMatchesAnswer)
_PAIRS = TypeAdapter(PairsAnswer)


class FacesClient:
    """Raises what `facematch.client.Client` raises."""

    def __init__(self, rest: Rest, read: Read) -> None:
        self._rest, self._got = rest, read

    def search(
        self, picture: bytes | str | os.PathLike[str], **options: Unpack[SearchOptions]
    ) -> SearchAnswer:
        """Search with a picture that the service does not keep: its bytes, or the path of its file.

        Raises Rejected when it cannot be looked at, NotFound("no_face") for a face that it does not
        have, Unavailable("search_busy") when nobody is free for it even after some tries; OSError
        for a file that cannot be read.
        """
        body = picture if isinstance(picture, bytes) else Path(picture)
        return self._search(body, options)

    def erase_by_probe(
        self,
        picture: bytes | str | os.PathLike[str],
        confirm: str = "",
        **options: Unpack[SearchOptions],
    ) -> ProbeErasure:
        """Which images match a face of a picture, which is not kept; with the `confirm` of an
        earlier answer these are erased, which is asked for once: Unavailable leaves open whether.

        Raises what `search` does; Rejected("not_confirmed") when others match by now,
        Rejected("bad_request") for a picture of several faces where `face` is not said.
        """
        body = picture if isinstance(picture, bytes) else Path(picture)
        parameters = _given(**options, confirm=confirm or None)
        what = "POST", "/v1/images:erase"
        if confirm:
            # Sent twice, the second would find others than were confirmed: some are gone by then.
            answer = self._rest.ask_once(*what, body, parameters, _ERASING_SECONDS)
        else:
            answer = self._rest.ask(*what, parameters, body, _SEARCH_SECONDS)
        return self._got(_PROBE_ERASURE, answer)

    def search_url(self, url: str, **options: Unpack[SearchOptions]) -> SearchAnswer:
        """The same with a picture that the service is to fetch."""
        return self._search({"url": url}, options)

    def matches(
        self,
        face: str,
        limit: int = 100,
        cursor: str | None = None,
        wait: float = 0.0,
        *,
        max_distance: float | None = None,
        max_false_matches: float | None = None,
    ) -> FaceMatchesAnswer:
        """A page of the images that match a face, HASH:NUMBER; otherwise as `Client.matches`."""
        wait = min(wait, _MAX_WAIT)
        parameters = _given(
            limit=limit,
            cursor=cursor or None,
            wait=wait,
            max_distance=max_distance,
            max_false_matches=max_false_matches,
        )
        path = f"/v1/faces/{quote(face, safe=':', errors='replace')}/matches"
        return self._got(_FACE_MATCHES, self._rest.ask("GET", path, parameters, wait=wait))

    def all_matches(self, face: str, wait: float = 0.0) -> Iterator[FaceMatch]:
        """Every image that matches a face, the most certain first, read page by page; none while
        they are not known after `wait` seconds."""
        page = self.matches(face, _PAGE, wait=wait)
        yield from page.matches or ()
        while page.next is not None:
            page = self.matches(face, _PAGE, page.next)
            yield from page.matches or ()

    def pairs(
        self,
        image: str,
        limit: int = 100,
        cursor: str | None = None,
        wait: float = 0.0,
        *,
        max_distance: float | None = None,
        max_false_matches: float | None = None,
    ) -> PairsAnswer:
        """A page of the matches of the image with this hash, with the faces that match; otherwise
        as `Client.matches`."""
        wait = min(wait, _MAX_WAIT)
        parameters = _given(
            detail="faces",
            limit=limit,
            cursor=cursor or None,
            wait=wait,
            max_distance=max_distance,
            max_false_matches=max_false_matches,
        )
        path = f"/v1/images/{quote(image, safe='', errors='replace')}/matches"
        return self._got(_PAIRS, self._rest.ask("GET", path, parameters, wait=wait))

    def _search(
        self, body: bytes | Path | dict[str, object], options: SearchOptions
    ) -> SearchAnswer:
        parameters = _given(**options)
        answer = self._rest.ask("POST", "/v1/search", parameters, body, _SEARCH_SECONDS)
        return self._got(_SEARCH, answer)


def _given(**asked: object) -> Parameters:
    return {name: value for name, value in asked.items() if isinstance(value, str | int | float)}
