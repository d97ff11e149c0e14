"""Search without storing, and the matches of a single face."""

from http import HTTPStatus

from apiflask import APIBlueprint
from flask import request

from api import cursors
from api.collection_of import collection_of_request
from api.face_reading import FaceReading
from api.face_schemas import FaceMatchesOut, SearchOut, SearchQuery
from api.openapi import also, problems
from api.problems import problem
from api.schemas import UNFINISHED, Answer, MatchesQuery
from api.scopes import needs
from api.submission import Address, Picture, checked_url, submitted
from facematch.errors import Rejected
from facematch.faces import parse_face_name
from facematch.keys import Scope
from facematch.searching import Asked, Probe, Searcher
from facematch.store import State

RETRY_AFTER = {"Retry-After": "1"}
_NOT_KNOWN_YET = also(202, "Not known yet: `matches` is null", FaceMatchesOut)


def blueprint(
    searcher: Searcher,
    reading: FaceReading,
    max_bytes: int,
    seconds: float,
) -> APIBlueprint:
    """These routes. `seconds`: how long a search may take."""
    routes = APIBlueprint("search", __name__, tag="Search")

    @routes.post("/search")
    @routes.input(SearchQuery, location="query")
    @routes.output(SearchOut)
    @routes.doc(responses=problems(400, 404, 409, 413, 422, 503))
    @needs(Scope.SEARCH)
    def search(query_data: SearchQuery) -> Answer:
        """Search with a picture that is not kept: its bytes, a form with one file, or a URL

        The faces of the picture and, for each, the images that match it. Nothing of the picture is
        stored or logged.
        """
        url, data = probe_of(submitted(request, max_bytes))
        asked = Asked(
            collection=collection_of_request(),
            url=url,
            face=query_data.face,
            limit=query_data.limit,
            max_distance=query_data.max_distance,
            max_false_matches=query_data.max_false_matches,
            seconds=seconds,
        )
        return SearchOut.of(searcher.search(Probe(asked, data)))

    @routes.get("/faces/<face>/matches")
    @routes.input(MatchesQuery, location="query")
    @routes.output(FaceMatchesOut, description="`state` done or failed")
    @routes.doc(responses=_NOT_KNOWN_YET | problems(400, 404, 409, 410, 503))
    @needs(Scope.READ)
    def matches(face: str, query_data: MatchesQuery) -> Answer:
        """The images that match one face of an image, the most certain first

        A face is named HASH:NUMBER, by the hash of its image and its number there, from 0 on.
        """
        named = parse_face_name(face)
        if named is None:
            raise Rejected("bad_hash", "a face is HASH:NUMBER, the hash of its image and from 0 on")
        after = cursors.decode(query_data.cursor) if query_data.cursor else None
        only = query_data.only
        found = reading.of_face(named, query_data.limit, after, query_data.wait, only)
        image = found.page.image
        if image.state is State.ERASED:
            return problem("erased", hash=image.hash, state=image.state)
        answer = FaceMatchesOut.of(found, only)
        unfinished = answer.state in UNFINISHED
        return (answer, HTTPStatus.ACCEPTED, RETRY_AFTER) if unfinished else answer

    return routes


def probe_of(picture: Picture | Address) -> tuple[str, bytes]:
    """The URL or the bytes. Raises Rejected for neither."""
    if isinstance(picture, Address):
        return checked_url(picture.url), b""
    if not picture.data:
        raise Rejected("empty")
    return "", picture.data
