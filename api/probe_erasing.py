"""Erase by probe: whoever shows a picture of a person has the images erased that show that person,
after somebody has looked at which these are and confirmed them."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress

from apiflask import APIBlueprint
from flask import request
from pydantic import BaseModel, Field

from api.auditing import note
from api.collection_of import collection_of_request
from api.face_schemas import SearchQuery
from api.ledger import Ledger, erase
from api.openapi import problems
from api.schemas import Answer
from api.scopes import needs
from api.search_routes import probe_of
from api.submission import submitted
from facematch.errors import Conflict, NotFound, Rejected
from facematch.keys import Scope
from facematch.searching import Asked, Found, FoundImage, Probe, ProbeFace, Searcher
from facematch.store import Front


class ProbeErasureQuery(SearchQuery):
    """What is to be erased."""

    confirm: str = Field("", description="`confirm` of the answer that was looked at: erase these")


class ToEraseOut(BaseModel):
    """An image that matches."""

    hash: str
    names: list[str]
    distance: float
    false_match_rate: float | None


class ProbeErasureOut(BaseModel):
    """The images that match a face of the picture, the most certain first."""

    face: int = Field(description="of the picture")
    images: list[ToEraseOut]
    more: bool = Field(description="more images match: ask again when these are erased")
    exact: bool = Field(description="false: some that match may be missing")
    erased: bool = Field(description="whether they were; otherwise they are all still there")
    confirm: str = Field(description="stands for exactly these images: sent again, they are erased")

    @classmethod
    def of(cls, face: ProbeFace, confirm: str, *, exact: bool, erased: bool) -> "ProbeErasureOut":
        """Show what was found."""
        images = [
            ToEraseOut(
                hash=one.hash,
                names=list(one.names),
                distance=one.distance,
                false_match_rate=one.false_match_rate,
            )
            for one in face.matches
        ]
        return cls(
            face=face.number,
            images=images,
            more=face.more,
            exact=exact,
            erased=erased,
            confirm=confirm,
        )


def blueprint(
    searcher: Searcher, store: Front, ledger: Ledger, max_bytes: int, seconds: float
) -> APIBlueprint:
    """`POST /v1/images:erase`. `seconds`: how long a search may take."""
    routes = APIBlueprint("probe-erasing", __name__, tag="Privacy")

    @routes.post("/images:erase")
    @routes.input(ProbeErasureQuery, location="query")
    @routes.output(ProbeErasureOut)
    @routes.doc(responses=problems(400, 404, 409, 413, 422, 503))
    @needs(Scope.SEARCH, Scope.ERASE)
    def erase_by_probe(query_data: ProbeErasureQuery) -> Answer:
        """Erase the images that match a face of a picture that is not kept

        Without `confirm` nothing is erased: the answer tells which images would be. Somebody
        looks at these, and sends the same again with the answer's `confirm`. If by then others
        match, nothing is erased and the answer is 409 `not_confirmed`. After a 503, or no answer,
        some may be erased: ask again without `confirm`. Of a picture with several faces, `face`
        says whose.
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
        found = searcher.search(Probe(asked, data))
        face = _only_face(found)
        confirm = _digest(asked.collection, face.matches)
        if not query_data.confirm:
            return ProbeErasureOut.of(face, confirm, exact=found.exact, erased=False)
        if query_data.confirm != confirm:
            raise Conflict("not_confirmed")
        for one in face.matches:
            with suppress(NotFound):  # erased, and its store emptied, meanwhile
                erase(store, ledger, one.hash)
            note(image=one.hash)
        return ProbeErasureOut.of(face, confirm, exact=found.exact, erased=True)

    return routes


def _only_face(found: Found) -> ProbeFace:
    if not found.faces:
        raise NotFound("no_face")
    if len(found.faces) > 1:
        count = len(found.faces)
        raise Rejected("bad_request", f"there are {count} faces in the picture: face= says whose")
    return found.faces[0]


def _digest(collection: str, images: Sequence[FoundImage]) -> str:
    """Of exactly these images."""
    text = "\n".join([collection, *sorted(one.hash for one in images)])
    return hashlib.sha256(text.encode()).hexdigest()
