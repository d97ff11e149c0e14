"""The routes under /v1. "Not yet", "none", "failed", "erased" and "cannot tell now" are never
the same answer there."""

from hashlib import blake2b
from http import HTTPStatus
from typing import Any

from apiflask import APIBlueprint
from flask import Response, request
from pydantic import BaseModel

from api import cursors
from api.collection_of import path_here
from api.face_reading import FaceReading
from api.face_schemas import with_pairs
from api.idempotency import key_of
from api.ledger import Ledger, erase
from api.openapi import also, problems
from api.problems import problem
from api.reading import Reading
from api.schemas import (
    UNFINISHED,
    Answer,
    ImageMatchesQuery,
    ImageOut,
    JobOut,
    MatchesOut,
    SubmitQuery,
    WaitQuery,
)
from api.scopes import needs
from api.submission import Submission, caller_of, submitted
from facematch.errors import Rejected
from facematch.faces import is_image_hash
from facematch.keys import Scope
from facematch.store import Front, Image, Job, State

RETRY_AFTER = {"Retry-After": "1"}
_NOT_YET = HTTPStatus.ACCEPTED
_THE_SAME: dict[int, Any] = {304: {"description": "As `If-None-Match` says"}}
_NOT_KNOWN_YET = also(202, "Not known yet: `matches` is null", MatchesOut)


def blueprint(
    store: Front,
    submission: Submission,
    reading: Reading,
    faces: FaceReading,
    ledger: Ledger,
    max_bytes: int,
) -> APIBlueprint:
    """The routes about jobs and images."""
    routes = APIBlueprint("v1", __name__, tag="Images")

    @routes.post("/images")
    @routes.input(SubmitQuery, location="query")
    @routes.output(JobOut, description="The job, finished within the wait")
    @routes.doc(responses=also(202, "Not finished yet", JobOut) | problems(400, 413, 422, 503))
    @needs(Scope.SUBMIT)
    def submit(query_data: SubmitQuery) -> Answer:
        """Submit a picture: its bytes, a form with one file, or a URL

        With an `Idempotency-Key` it may safely be sent again: the answer is about the same job.
        """
        job = submission.accept_once(
            *(submitted(request, max_bytes), query_data.name, caller_of(request)),
            key=key_of(request),
        )
        return job_answer(reading.outcome(job, query_data.wait))

    @routes.get("/jobs/<job>")
    @routes.input(WaitQuery, location="query")
    @routes.output(JobOut)
    @routes.doc(responses=problems(400, 404, 503))
    @needs(Scope.READ, instead=Scope.SUBMIT)
    def job(job: str, query_data: WaitQuery) -> Answer:
        """What became of a submission"""
        found = reading.job(job, query_data.wait)
        return JobOut.of(found), RETRY_AFTER if found.state in UNFINISHED else {}

    @routes.get("/images/<image>")
    @routes.output(ImageOut)
    @routes.doc(responses=problems(400, 404, 410, 503))
    @needs(Scope.READ)
    def image(image: str) -> Answer:
        """An image: its state, names and faces"""
        found = store.image(_checked(image))
        return _erased(found) if found.state is State.ERASED else ImageOut.of(found)

    @routes.get("/images/<image>/matches")
    @routes.input(ImageMatchesQuery, location="query")
    @routes.output(MatchesOut, description="`state` done or failed")
    @routes.doc(responses=_NOT_KNOWN_YET | _THE_SAME | problems(400, 404, 409, 410, 503))
    @needs(Scope.READ)
    def matches(image: str, query_data: ImageMatchesQuery) -> Answer:
        """The matches of an image, the most certain first

        Those within the threshold of the collection and its other bounds; `max_distance` and
        `max_false_matches` ask for fewer. `detail=faces` tells which faces they are.
        """
        after = cursors.decode(query_data.cursor) if query_data.cursor else None
        only = query_data.only
        asked = (_checked(image), query_data.limit, after, query_data.wait, only)
        if query_data.detail:
            page, near = faces.matches(*asked)
        else:
            page, near = reading.matches(*asked), None
        if page.image.state is State.ERASED:
            return _erased(page.image)
        answer = MatchesOut.of(page, only)
        if answer.state in UNFINISHED:
            return answer, _NOT_YET, RETRY_AFTER
        if near is not None:
            answer = with_pairs(answer, page, near)
        return tagged(answer)

    @routes.delete("/images/<image>")
    @routes.doc(responses={204: "Erased", **problems(400, 404, 503)})
    @needs(Scope.ERASE)
    def delete(image: str) -> Answer:
        """Erase an image, its faces and its matches"""
        erase(store, ledger, _checked(image))
        return Response(status=HTTPStatus.NO_CONTENT)

    return routes


def job_answer(job: Job) -> Answer:
    """A submission's answer: 202 until its job has ended."""
    headers = {"Location": path_here(f"/jobs/{job.id}")}
    if job.state in UNFINISHED:
        return JobOut.of(job), _NOT_YET, headers | RETRY_AFTER
    return JobOut.of(job), headers


def tagged(answer: BaseModel) -> Response:
    """An answer with an ETag; a 304 without a body for who has the same one.

    The tag is of the answer itself. Whatever a page depends on (matches, names, the size of the
    collection, the policy) has changed or has not when that has, and it costs a hundredth of the
    page. A weak one, because the bytes are others with gzip.
    """
    body = answer.model_dump_json().encode()
    response = Response(body, mimetype="application/json")
    response.set_etag(blake2b(body, digest_size=16).hexdigest(), weak=True)
    # It may be kept, not used without asking: what was erased is gone.
    response.headers["Cache-Control"] = "private, no-cache"
    response.make_conditional(request)
    return response


def _checked(image: str) -> str:
    if not is_image_hash(image):
        raise Rejected("bad_hash")
    return image


def _erased(image: Image) -> Response:
    return problem("erased", hash=image.hash, state=image.state)
