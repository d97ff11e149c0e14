"""The shapes of the REST interface: what goes in queries and bodies, what comes out."""

from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Annotated, Any, Literal, TypeAlias

from flask import Response
from pydantic import BaseModel, Field, SkipValidation
from pydantic.config import JsonDict

from api import cursors
from facematch.batches import MOST_ITEMS
from facematch.expectation import expected_false_matches
from facematch.faces import Box
from facematch.privacy import MOST_WORD, Basis
from facematch.store import ALL, NO_BOUNDS, Filter, Image, Job, Match, MatchPage, State

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


#: Without control characters, which are what `api.basis` refuses.
_WORD: dict[str, Any] = {"maxLength": MOST_WORD, "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]*$"}


class SubmitQuery(WaitQuery):
    """Of a submission."""

    name: str = Field(
        "",
        description="the name of a picture sent as bytes",
        json_schema_extra={"maxLength": 1000},
    )
    # Read by api.basis, from headers, too.
    purpose: str = Field("", description="what it is submitted for", json_schema_extra=_WORD)
    legal_basis: str = Field("", description="as `consent` or `contract`", json_schema_extra=_WORD)
    consent_ref: str = Field(
        "",
        description="where the consent is recorded; no data of the person",
        json_schema_extra=_WORD,
    )


class MatchesQuery(WaitQuery):
    """Which part of the matches."""

    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT, description="matches on one page")
    cursor: str = Field("", description="`next` of the page before")
    max_distance: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="only matches at most so far apart"
    )
    max_false_matches: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="only the most certain ones, so that no more than so many of a face are to be"
        " expected to be false",
    )

    @property
    def only(self) -> Filter:
        """Which matches are asked for."""
        return Filter(self.max_distance, self.max_false_matches)


class ImageMatchesQuery(MatchesQuery):
    """The same, and what is told of each."""

    detail: Literal["", "faces"] = Field(
        "", description="`faces`: with each match the pairs of faces that are within the threshold"
    )


#: Of a URL in a document; `api.submission.checked_url` looks closer.
URL_SHAPE: JsonDict = {"format": "uri", "minLength": 1, "maxLength": 2000}


class UrlBody(BaseModel):
    """A picture to be fetched."""

    url: str = Field(
        description="an http or https URL",
        examples=["https://example.com/a.jpg"],
        json_schema_extra=URL_SHAPE,
    )


class UrlsBody(BaseModel):
    """Pictures to be fetched."""

    urls: list[str] = Field(
        min_length=1,
        max_length=MOST_ITEMS,
        description="http or https URLs",
        examples=[["https://example.com/a.jpg"]],
    )


class Problem(BaseModel):
    """An error answer."""

    type: str
    title: str
    status: int
    code: str = Field(description="stable, for programs; README lists them, others may come")
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

    @classmethod
    def of(cls, box: Box) -> "BoxOut":
        """Show a box."""
        return cls(top=box.top, right=box.right, bottom=box.bottom, left=box.left)


class FaceOut(BaseModel):
    """A face of an image."""

    box: BoxOut


class BasisOut(BaseModel):
    """Why a submission was made, in the words of whoever submitted; "" where it was not said."""

    purpose: str
    legal_basis: str
    consent_ref: str


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
    bases: list[BasisOut] = Field(description="why it was submitted, where that was said")

    @classmethod
    def of(cls, image: Image) -> "ImageOut":
        """Show an image."""
        looked_at = image.state in (State.INDEXED, State.DONE)
        faces = [FaceOut(box=BoxOut.of(box)) for box in image.boxes]
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
            bases=[BasisOut(**asdict(Basis.unpack(text))) for text in image.bases],
        )


class PairFaceOut(BaseModel):
    """A face by its name, HASH:NUMBER, its number, and where it is."""

    face: str
    number: int
    box: BoxOut


class MatchedFaceOut(PairFaceOut):
    """A face that is near another one."""

    distance: float
    false_match_rate: float | None


class FacePairOut(BaseModel):
    """A face of an image, and one of an image that matches it."""

    face: PairFaceOut
    other: PairFaceOut
    distance: float
    false_match_rate: float | None


@dataclass(slots=True)
class MatchOut:
    """An image with one of the same faces; `distance` is the smallest between their faces."""

    # No model: a page has a hundred of them, and making models took most of its time.
    hash: str
    names: tuple[str, ...]
    distance: float
    false_match_rate: Annotated[
        float | None,
        Field(
            description="the chance that faces of two different people match as well; null where it"
            " is not known"
        ),
    ]
    pairs: Annotated[
        list[FacePairOut] | None,
        Field(
            description="with `detail=faces`: the pairs of faces within the threshold, the most"
            " certain first",
            exclude_if=lambda pairs: pairs is None,
        ),
    ] = None

    @classmethod
    def of(cls, match: Match) -> "MatchOut":
        """Show a match."""
        return cls(match.hash, tuple(match.names), match.distance, match.false_match_rate)


class MatchesOut(BaseModel):
    """The matches of an image, the most certain first; null unless the state is done."""

    hash: str
    state: State
    code: str | None = Field(description="why it failed; stable")
    faces: int | None
    position: int | None
    threshold: float | None = Field(description="null until the image was looked at")
    max_false_matches: float | None = Field(
        description="of a face, so many of the matches that are listed may be false; null where"
        " all within the threshold are"
    )
    max_matches: int | None = Field(
        description="so many matches of an image are kept; null where all are"
    )
    model: str | None
    complete_through: int | None = Field(
        description="every match with an image at a position up to this one is known;"
        " null unless the state is done"
    )
    exact: bool | None = Field(
        description="false when some of these may be missing after all, because an approximate"
        " index was asked; null unless the state is done"
    )
    truncated: bool = Field(description="there were more faces, or matches, than are kept")
    matches_truncated: bool | None = Field(
        description="matches were left out for more certain ones, here or of their other image;"
        " null unless the state is done"
    )
    expected_false_matches: float | None = Field(
        description="how many of the matches listed, on all pages, are to be expected to be false;"
        " null where no rates are known, or unless the state is done"
    )
    #: Made here and nowhere else.
    matches: SkipValidation[list[MatchOut] | None]
    next: str | None = Field(description="cursor of the next page")

    @classmethod
    def of(cls, page: MatchPage, only: Filter = ALL) -> "MatchesOut":
        """Show a page of matches that was asked for with this filter."""
        image, bounds = page.image, page.bounds or NO_BOUNDS
        done = image.state is State.DONE
        looked_at = done or image.state is State.INDEXED
        return cls(
            hash=image.hash,
            state=image.state,
            code=image.code or None,
            faces=len(image.boxes) if looked_at else None,
            position=image.position or None,
            threshold=page.threshold if looked_at else None,
            max_false_matches=bounds.max_false_matches if looked_at else None,
            max_matches=bounds.max_matches if looked_at else None,
            model=image.model or None,
            complete_through=page.complete_through if done else None,
            exact=page.exact if done else None,
            truncated=image.truncated or (done and page.truncated),
            matches_truncated=page.truncated if done else None,
            expected_false_matches=expected_false_matches(page, only) if done else None,
            matches=list(map(MatchOut.of, page.matches)) if done else None,
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
