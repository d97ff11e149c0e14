"""The shapes of the REST interface: what goes in queries and bodies, what comes out."""

from http import HTTPStatus
from typing import Annotated, TypeAlias

from flask import Response
from pydantic import BaseModel, Field

from api import cursors
from facematch.store import Image, Job, Match, MatchPage, State

MAX_WAIT = 30.0
COURSE_WAIT = 5.0
DEFAULT_LIMIT = 100
MAX_LIMIT = 10_000

Seconds = Annotated[float, Field(ge=0, le=MAX_WAIT, allow_inf_nan=False)]

#: What a route function gives: a model, perhaps with a status and headers, or a whole response.
Answer: TypeAlias = (
    BaseModel
    | tuple[BaseModel, HTTPStatus]
    | tuple[BaseModel, dict[str, str]]
    | tuple[BaseModel, HTTPStatus, dict[str, str]]
    | Response
)

#: States that change by themselves: asking again gives another answer.
UNFINISHED = (State.ACCEPTED, State.INDEXED)


class WaitQuery(BaseModel):
    """How long to wait for a result."""

    wait: Seconds = Field(0.0, description="seconds to wait for the result")


class ScanQuery(BaseModel):
    """How long to wait for a result, on the course's route."""

    wait: Seconds = Field(COURSE_WAIT, description="seconds to wait for the result")


class SubmitQuery(WaitQuery):
    """Of a submission."""

    name: str = Field("", description="the name of a picture sent as bytes")


class MatchesQuery(WaitQuery):
    """Which part of the matches."""

    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT, description="matches on one page")
    cursor: str = Field("", description="`next` of the page before")


class UrlBody(BaseModel):
    """A picture to be fetched."""

    url: str = Field(description="an http or https URL", examples=["https://example.com/a.jpg"])


class Problem(BaseModel):
    """An error answer."""

    type: str
    title: str
    status: int
    code: str = Field(description="stable, for programs")
    detail: str = Field(description="for people")


class HashOut(BaseModel):
    """The name of an image: SHA-256 of its bytes."""

    hash: str


class ScanOut(BaseModel):
    """An image and the hashes of the images that match it."""

    hash: str
    matches: list[str]


class NoMatchesOut(ScanOut):
    """The same when there are none."""

    message: str = "no matches found"


class JobOut(BaseModel):
    """A submission and what became of it."""

    job: str
    state: State
    hash: str | None = Field(description="null until the bytes behind a URL are known")
    name: str
    url: str | None
    attempts: int
    faces: int | None = Field(description="found in the picture; null until it was looked at")
    code: str | None = Field(description="why it failed; stable")
    detail: str | None

    @classmethod
    def of(cls, job: Job) -> "JobOut":
        """Show a job."""
        return cls(
            job=job.id,
            state=job.state,
            hash=job.image or None,
            name=job.name,
            url=job.url or None,
            attempts=job.attempts,
            faces=job.faces_found,
            code=job.code or None,
            detail=job.detail or None,
        )


class BoxOut(BaseModel):
    """Where a face is, in pixels of the upright picture."""

    top: int
    right: int
    bottom: int
    left: int


class FaceOut(BaseModel):
    """A face of an image."""

    box: BoxOut


class ImageOut(BaseModel):
    """An image. `faces` is null until they are known."""

    hash: str
    state: State
    names: list[str]
    faces: list[FaceOut] | None
    truncated: bool = Field(description="there were more faces than are kept")
    width: int | None = Field(description="pixels of the upright picture")
    height: int | None
    position: int | None = Field(description="its place in the log; null if it has no face")
    model: str | None
    code: str | None = Field(description="why it failed; stable")

    @classmethod
    def of(cls, image: Image) -> "ImageOut":
        """Show an image."""
        looked_at = image.state in (State.INDEXED, State.DONE)
        faces = [
            FaceOut(box=BoxOut(top=box.top, right=box.right, bottom=box.bottom, left=box.left))
            for box in image.boxes
        ]
        return cls(
            hash=image.hash,
            state=image.state,
            names=list(image.names),
            faces=faces if looked_at else None,
            truncated=image.truncated,
            width=image.width or None,
            height=image.height or None,
            position=image.position or None,
            model=image.model or None,
            code=image.code or None,
        )


class MatchOut(BaseModel):
    """An image with one of the same faces; `distance` is the smallest between their faces."""

    hash: str
    names: list[str]
    distance: float

    @classmethod
    def of(cls, match: Match) -> "MatchOut":
        """Show a match."""
        return cls(hash=match.hash, names=list(match.names), distance=match.distance)


class MatchesOut(BaseModel):
    """The matches of an image, nearest first. `matches` is null unless the state is done."""

    hash: str
    state: State
    code: str | None = Field(description="why it failed; stable")
    faces: int | None
    position: int | None
    threshold: float | None = Field(description="null until the image was looked at")
    model: str | None
    complete_through: int | None = Field(
        description="every match with an image at a position up to this one is known;"
        " null unless the state is done"
    )
    exact: bool | None = Field(
        description="false when some of these may be missing after all, because an approximate"
        " index was asked; null unless the state is done"
    )
    truncated: bool = Field(description="there were more faces than are kept")
    matches: list[MatchOut] | None
    next: str | None = Field(description="cursor of the next page")

    @classmethod
    def of(cls, page: MatchPage) -> "MatchesOut":
        """Show a page of matches."""
        image = page.image
        done = image.state is State.DONE
        looked_at = done or image.state is State.INDEXED
        return cls(
            hash=image.hash,
            state=image.state,
            code=image.code or None,
            faces=len(image.boxes) if looked_at else None,
            position=image.position or None,
            threshold=page.threshold if looked_at else None,
            model=image.model or None,
            complete_through=page.complete_through if done else None,
            exact=page.exact if done else None,
            truncated=image.truncated,
            matches=[MatchOut.of(match) for match in page.matches] if done else None,
            next=cursors.encode(page.next) if done and page.next else None,
        )


class Alive(BaseModel):
    """The process answers."""

    status: str


class Ready(BaseModel):
    """Each dependency, "up" or what is wrong with it."""

    status: str
    store: str
    broker: str
    ledger: str
