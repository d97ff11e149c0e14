"""The shapes of the REST interface that are for who looks after the service."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, Field

from facematch import __version__
from facematch.errors import CODES, MAY_PASS
from facematch.failed_jobs import Failed
from facematch.vitals import EditionVitals

FAILED_LIMIT = 50
MOST_FAILED = 1000


class JobsStatus(BaseModel):
    """Jobs that are accepted and have not ended."""

    waiting: int
    in_hand: int = Field(description="of these, taken up by a worker")
    oldest_seconds: float = Field(description="since the oldest was submitted")
    upload_bytes: int = Field(description="uploaded and not looked at yet")


class ImagesStatus(BaseModel):
    """Images with faces."""

    done: int = Field(description="with all their matches")
    pending: int = Field(description="whose matches are not all written")
    erasing: int = Field(description="hidden, and still to be taken out of match sets")


class IndexStatus(BaseModel):
    """How far an index is along the log."""

    ready: bool
    position: int
    faces: int
    detail: str | None = Field(description="why it is not ready, or cannot follow")


class StatusOut(BaseModel):
    """The service at a glance."""

    version: str
    jobs: JobsStatus
    images: ImagesStatus
    position: int = Field(description="where the log ends")
    index: IndexStatus | None = Field(description="null where the api cannot ask it")
    failed: dict[str, int] = Field(description="jobs that have failed, by code")

    @classmethod
    def of(
        cls, edition: EditionVitals, failed: Mapping[str, int], index: IndexStatus | None
    ) -> "StatusOut":
        """Show the edition that is served."""
        return cls(
            version=__version__,
            jobs=JobsStatus(
                waiting=edition.jobs,
                in_hand=edition.in_hand,
                oldest_seconds=edition.oldest_job,
                upload_bytes=edition.upload_bytes,
            ),
            images=ImagesStatus(
                done=max(0, edition.images - edition.pending),
                pending=edition.pending,
                erasing=edition.erasures,
            ),
            position=edition.position,
            index=index,
            failed=dict(failed),
        )


class FailedQuery(BaseModel):
    """Which of the jobs that have failed."""

    code: str = Field("", description="only those with this code")
    limit: int = Field(FAILED_LIMIT, ge=1, le=MOST_FAILED, description="jobs on one page")
    cursor: str = Field("", description="`next` of the page before")


class FailedJobOut(BaseModel):
    """A job that has failed. Times are seconds since 1970."""

    job: str
    code: str
    meaning: str = Field(description="of the code")
    detail: str | None
    name: str
    url: str | None
    hash: str | None = Field(description="null when it was never known")
    attempts: int
    time: float = Field(description="when it failed")

    @classmethod
    def of(cls, failed: Failed) -> "FailedJobOut":
        """Show one."""
        return cls(
            job=failed.job,
            code=failed.code,
            meaning=CODES.get(failed.code, failed.code),
            detail=failed.detail or None,
            name=failed.name,
            url=failed.url or None,
            hash=failed.image or None,
            attempts=failed.attempts,
            time=failed.time,
        )


class FailedOut(BaseModel):
    """Jobs that have failed, the last one first."""

    codes: dict[str, int] = Field(description="how many have failed with each code")
    may_pass: list[str] = Field(description="codes of those that may end otherwise, tried again")
    jobs: list[FailedJobOut]
    next: str | None = Field(description="cursor of the next page")

    @classmethod
    def of(
        cls, codes: Mapping[str, int], jobs: Sequence[Failed], following: str | None
    ) -> "FailedOut":
        """Show a page."""
        return cls(
            codes=dict(codes),
            may_pass=sorted(MAY_PASS),
            jobs=[FailedJobOut.of(job) for job in jobs],
            next=following,
        )
