"""The shapes of the routes about collections."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field, field_validator

from api import cursors
from facematch.collection_name import check_name
from facematch.collections import MOST_NAMES, CollectionAbout
from facematch.policy import PolicyChange

#: Of the name of a collection.
NAME_PATTERN = "[a-z0-9][a-z0-9_-]{0,62}"


class CollectionsQuery(BaseModel):
    """Which part of the collections."""

    limit: int = Field(100, ge=1, le=MOST_NAMES, description="collections on one page")
    cursor: str = Field("", description="`next` of the page before")


class CollectionIn(BaseModel):
    """A collection to be made; what is left out or null is as the collection `default` has it."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(
        description="up to 63 lower-case letters, digits, _ and -, the first of them a letter or a"
        " digit",
        json_schema_extra={"pattern": f"^{NAME_PATTERN}$"},
        examples=["holiday"],
    )
    threshold: float | None = Field(
        None, gt=0, le=2, description="distance up to which two faces match"
    )
    max_false_matches: float | None = Field(
        None,
        ge=0,
        le=1e9,
        allow_inf_nan=False,
        description="of the matches of a face so many may be false; 0: all within the threshold",
    )
    max_matches: int | None = Field(
        None, ge=0, le=2**31, description="matches kept of an image; 0: all"
    )

    @field_validator("threshold", "max_false_matches", "max_matches", mode="before")
    @classmethod
    def _is_number(cls, value: object) -> object:
        if isinstance(value, (bool, str)):
            raise ValueError("Input should be a number")  # noqa: TRY004 - pydantic takes no other
        return value

    @field_validator("name")
    @classmethod
    def _is_name(cls, value: str) -> str:
        return check_name(value)

    @property
    def policy(self) -> PolicyChange:
        """What is asked for."""
        return PolicyChange(self.threshold, self.max_false_matches, self.max_matches)


class CollectionOut(BaseModel):
    """A collection."""

    name: str
    model: str = Field(description="that of its encodings")
    threshold: float
    max_false_matches: float | None = Field(
        description="of the matches of a face so many may be false; null where all within the"
        " threshold are kept"
    )
    max_matches: int | None = Field(
        description="so many matches of an image are kept; null where all are"
    )
    images: int = Field(description="images with faces")
    faces: int = Field(description="of these images")
    pending: int = Field(description="images whose matches are not all written")
    jobs: int = Field(description="submissions that have not ended")

    @classmethod
    def of(cls, about: CollectionAbout) -> "CollectionOut":
        """Show a collection."""
        served = about.collection.generations[0]
        return cls(
            name=about.name,
            model=about.collection.model,
            threshold=served.threshold,
            max_false_matches=served.bounds.max_false_matches,
            max_matches=served.bounds.max_matches,
            images=about.images,
            faces=about.collection.live_faces,
            pending=about.pending,
            jobs=about.jobs,
        )


class CollectionsOut(BaseModel):
    """A page of the collections, by name."""

    collections: list[CollectionOut]
    next: str | None = Field(description="cursor of the next page")

    @classmethod
    def of(cls, page: Sequence[CollectionAbout], following: str) -> "CollectionsOut":
        """Show a page that goes on behind this name."""
        return cls(
            collections=[CollectionOut.of(about) for about in page],
            next=cursors.encode_name(following) if following else None,
        )
