"""The port to jobs that have failed: which there are, and trying them again. For who looks after a
service.

They are those of the edition that is served. A job that is tried again is what it was: its id, and
its place in the order of submissions, so that what was erased since it was submitted stays erased.

The real one is `facematch.redis_failed_jobs.RedisFailedJobs`, the one for tests
`facematch.memory_failed_jobs.MemoryFailedJobs`; one contract test runs against both. Every method
raises Unavailable("store_unavailable") when the store does not answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True)
class Failed:
    """A job that has failed, with its code, at `time` (seconds since 1970). `url`: "" when the
    bytes were uploaded; `image`: "" when it was never known."""

    job: str
    code: str
    detail: str
    name: str
    url: str
    image: str
    attempts: int
    time: float


class Retried(StrEnum):
    """What became of trying a job again."""

    ACCEPTED = "accepted"  # it is to be worked on, as if it had just been submitted
    NO_SOURCE = "no_source"  # its bytes were uploaded and are not kept: it is to be submitted again
    NOT_FAILED = "not_failed"  # it has not failed, or is under way again


class FailedJobs(Protocol):
    """What the command line needs of the store for jobs that failed. Those that failed are
    forgotten as any job that has ended; those that failed before there was this list are not in
    it."""

    def codes(self) -> Mapping[str, int]:
        """How many jobs have failed with each code."""

    def failed(self, code: str, start: int, count: int) -> list[Failed]:
        """Those with a code, the last one first: `count` of them, without the first `start`."""

    def retry(self, job: str) -> Retried:
        """Have a job that failed worked on again, in all editions. Raises NotFound."""
