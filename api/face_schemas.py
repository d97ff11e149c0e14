"""The shapes of searches, and of matches told face by face."""

from collections.abc import Mapping
from dataclasses import replace

from pydantic import BaseModel, Field

from api import cursors
from api.face_reading import FacePage, NearFaces
from api.schemas import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    BoxOut,
    FacePairOut,
    MatchedFaceOut,
    MatchesOut,
    PairFaceOut,
)
from facematch.expectation import expected_false_matches
from facematch.faces import FACES_PER_POSITION, Box, face_name
from facematch.searching import Found, FoundImage, ProbeFace
from facematch.store import ALL, NO_BOUNDS, Filter, MatchPage, State


class SearchQuery(BaseModel):
    """Which matches of a picture are asked for."""

    face: int | None = Field(
        None, ge=0, lt=FACES_PER_POSITION, description="only this face of the picture, from 0 on"
    )
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT, description="images for each face")
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


class FaceMatchOut(BaseModel):
    """An image that matches a face: the smallest distance of any of its faces, the lowest rate of
    any, and those within the threshold, the most certain first."""

    hash: str
    names: list[str]
    distance: float
    false_match_rate: float | None
    faces: list[MatchedFaceOut]

    @classmethod
    def of(cls, found: FoundImage) -> "FaceMatchOut":
        """Show what a search found."""
        faces = [
            _matched(found.hash, face.number, face.box, face.distance, face.false_match_rate)
            for face in found.faces
        ]
        return cls(
            hash=found.hash,
            names=list(found.names),
            distance=found.distance,
            false_match_rate=found.false_match_rate,
            faces=faces,
        )

    @classmethod
    def of_near(cls, faces: NearFaces) -> "FaceMatchOut":
        """Show what is near a face that is stored."""
        shown, near = faces.shown, faces.near
        matched = [
            _matched(
                *(shown.hash, pair.other, shown.boxes[pair.other]),
                *(pair.distance, pair.false_match_rate),
            )
            for pair in near.pairs
        ]
        return cls(
            hash=shown.hash,
            names=list(shown.names),
            distance=near.distance,
            false_match_rate=near.false_match_rate,
            faces=matched,
        )


class ProbeFaceOut(BaseModel):
    """A face of the picture, and the images that match it, the most certain first."""

    number: int
    box: BoxOut
    expected_false_matches: float | None = Field(
        description="how many of all that match are to be expected to be false; null where no rates"
        " are known"
    )
    matches: list[FaceMatchOut]
    more: bool = Field(description="more images match than were asked for")

    @classmethod
    def of(cls, face: ProbeFace) -> "ProbeFaceOut":
        """Show a face."""
        return cls(
            number=face.number,
            box=BoxOut.of(face.box),
            expected_false_matches=face.expected_false_matches,
            matches=[FaceMatchOut.of(match) for match in face.matches],
            more=face.more,
        )


class SearchOut(BaseModel):
    """The faces of a picture, of which nothing is kept, and their matches."""

    faces: list[ProbeFaceOut]
    truncated: bool = Field(description="there were more faces than are looked at")
    width: int = Field(description="pixels of the upright picture")
    height: int
    model: str
    threshold: float
    max_false_matches: float | None
    complete_through: int = Field(
        description="every image at a position up to this one was compared"
    )
    exact: bool = Field(
        description="false when some may be missing after all, because an approximate index was"
        " asked"
    )

    @classmethod
    def of(cls, found: Found) -> "SearchOut":
        """Show what was found."""
        return cls(
            faces=[ProbeFaceOut.of(face) for face in found.faces],
            truncated=found.faces_found > found.faces_kept,
            width=found.width,
            height=found.height,
            model=found.model,
            threshold=found.threshold,
            max_false_matches=found.max_false_matches,
            complete_through=found.complete_through,
            exact=found.exact,
        )


class FaceMatchesOut(BaseModel):
    """The matches of one face, as if it were alone on its image, the most certain first; null
    unless the state is done."""

    face: str = Field(description="HASH:NUMBER")
    hash: str
    number: int
    box: BoxOut | None = Field(description="null until the image was looked at")
    state: State
    code: str | None = Field(description="why it failed; stable")
    threshold: float | None
    max_false_matches: float | None
    model: str | None
    complete_through: int | None
    exact: bool | None
    matches_truncated: bool | None = Field(
        description="matches of the image were left out for more certain ones; null unless the"
        " state is done"
    )
    expected_false_matches: float | None
    matches: list[FaceMatchOut] | None
    next: str | None = Field(description="cursor of the next page")

    @classmethod
    def of(cls, found: FacePage, only: Filter = ALL) -> "FaceMatchesOut":
        """Show a page that was asked for with this filter."""
        page, image = found.page, found.page.image
        done = found.matches is not None
        looked_at = found.number < len(image.boxes)
        bounds = page.bounds or NO_BOUNDS
        return cls(
            face=face_name(image.hash, found.number),
            hash=image.hash,
            number=found.number,
            box=BoxOut.of(image.boxes[found.number]) if looked_at else None,
            state=image.state,
            code=image.code or None,
            threshold=page.threshold if looked_at else None,
            max_false_matches=bounds.max_false_matches if looked_at else None,
            model=image.model or None,
            complete_through=page.complete_through if done else None,
            exact=page.exact if done else None,
            matches_truncated=page.truncated if done else None,
            expected_false_matches=expected_false_matches(page, only) if done else None,
            matches=None
            if found.matches is None
            else [FaceMatchOut.of_near(faces) for faces in found.matches],
            next=cursors.encode(found.next) if found.next else None,
        )


def with_pairs(answer: MatchesOut, page: MatchPage, near: Mapping[int, NearFaces]) -> MatchesOut:
    """The answer with the pairs of faces of each match."""
    if answer.matches is None:
        return answer
    matches = [
        replace(out, pairs=_pairs(page, near[match.position]))
        for out, match in zip(answer.matches, page.matches, strict=True)
    ]
    return answer.model_copy(update={"matches": matches})


def _pairs(page: MatchPage, faces: NearFaces) -> list[FacePairOut]:
    own, other = page.image, faces.shown
    return [
        FacePairOut(
            face=_named(own.hash, pair.number, own.boxes[pair.number]),
            other=_named(other.hash, pair.other, other.boxes[pair.other]),
            distance=pair.distance,
            false_match_rate=pair.false_match_rate,
        )
        for pair in faces.near.pairs
    ]


def _named(image: str, number: int, box: Box) -> PairFaceOut:
    return PairFaceOut(face=face_name(image, number), number=number, box=BoxOut.of(box))


def _matched(
    image: str, number: int, box: Box, distance: float, rate: float | None
) -> MatchedFaceOut:
    return MatchedFaceOut(
        face=face_name(image, number),
        number=number,
        box=BoxOut.of(box),
        distance=distance,
        false_match_rate=rate,
    )
