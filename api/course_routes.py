"""The routes of the course client, as that client knows them."""

from http import HTTPStatus

from apiflask import APIBlueprint
from flask import Response, request

from api.body import read_body
from api.openapi import also, problems
from api.problems import problem
from api.reading import Reading
from api.schemas import Answer, HashOut, JobOut, NoMatchesOut, ScanOut, ScanQuery
from api.scopes import needs
from api.submission import Picture, Submission, caller_of, submitted_url
from api.v1_routes import job_answer
from facematch.keys import Scope
from facematch.store import Job, State


def blueprint(submission: Submission, reading: Reading, max_bytes: int) -> APIBlueprint:
    """`POST /scan/image/<filename>`, `POST /scan/url`, `GET /match/<hash>`."""
    routes = APIBlueprint("course", __name__, tag="Course client")

    @routes.post("/scan/image/<path:filename>")
    @routes.output(HashOut)
    @routes.doc(responses=problems(400, 413, 422, 503))
    @needs(Scope.SUBMIT)
    def scan_image(filename: str) -> Answer:
        """Submit a picture

        The body is the picture's bytes, whatever its content type.
        """
        picture = Picture(read_body(request, max_bytes), filename)
        return HashOut(hash=submission.accept(picture, caller=caller_of(request)).image)

    @routes.post("/scan/url")
    @routes.input(ScanQuery, location="query")
    @routes.output(ScanOut, description="Processed in time")
    @routes.doc(
        responses=also(202, "Not ready in time", JobOut) | problems(400, 410, 413, 422, 503)
    )
    @needs(Scope.SUBMIT, Scope.READ)
    def scan_url(query_data: ScanQuery) -> Answer:
        """Submit a URL and wait for its matches"""
        accepted = submission.accept(submitted_url(request), caller=caller_of(request))
        job = reading.outcome(accepted, query_data.wait)
        if job.state is State.DONE:
            hashes = [match.hash for match in reading.every_match(job.image)]
            return (ScanOut if hashes else NoMatchesOut)(hash=job.image, matches=hashes)
        if job.state in (State.FAILED, State.ERASED):
            return _ended(job)
        return job_answer(job)

    @routes.get("/match/<image>")
    @routes.doc(responses={200: _NAMES} | problems(503))
    @needs(Scope.READ)
    def match(image: str) -> list[str]:
        """The names and URLs of the matching images, the most certain first

        `[]` when there are none, the hash is unknown or the image has no face.
        """
        names = (name for match in reading.every_match(image) for name in match.names)
        return list(dict.fromkeys(names))

    return routes


_NAMES = {
    "description": "Names and URLs",
    "content": {"application/json": {"schema": {"type": "array", "items": {"type": "string"}}}},
}


def _ended(job: Job) -> Response:
    shown = JobOut.of(job).model_dump(mode="json", include={"job", "state", "hash"})
    if job.state is State.ERASED:
        return problem("erased", **shown)
    return problem(job.code, job.detail, status=HTTPStatus.UNPROCESSABLE_ENTITY, **shown)
