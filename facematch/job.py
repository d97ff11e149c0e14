"""The messages of the broker, and the names of its queues: their one home.

A message is only a wake-up: what there is to do, and how far it is, is in the store.
"""

import json
import secrets
from dataclasses import dataclass
from typing import Any

#: What comes to workers: jobs from the api (see `queue_of`), and the ranges of a reindex.
QUEUE = "facematch.jobs"
REINDEX_QUEUE = "facematch.reindex"
DEAD_LETTERS = "facematch.dead"
#: Raised when former versions would misread a message. A field that they may leave out is only
#: added: whoever reads ignores those that it does not know.
VERSION = 1


class NewerMessage(ValueError):
    """A message for workers of a newer version."""


def queue_of(edition: int) -> str:
    """The queue with the jobs for the workers of an edition."""
    return f"{QUEUE}~{edition}" if edition else QUEUE


@dataclass(frozen=True)
class Message:
    """Look at this job. `traceparent`: see facematch.tracing; "" for none. Who knows no such field
    passes over it."""

    job: str
    traceparent: str = ""

    def __str__(self) -> str:
        return self.job

    def encode(self) -> bytes:
        """JSON, UTF-8."""
        fields = {"v": VERSION, "job": self.job}
        if self.traceparent:
            fields["traceparent"] = self.traceparent
        return json.dumps(fields).encode()

    @classmethod
    def decode(cls, data: bytes) -> "Message":
        """The inverse of `encode`. Raises ValueError for anything else, NewerMessage for one of a
        newer version."""
        fields = _fields(data)
        job, traceparent = fields.get("job"), fields.get("traceparent")
        # Half a character, which JSON can say, is no text: encoding it raises a ValueError.
        if not isinstance(job, str) or not job.encode():
            raise ValueError("a job message without a job")
        # No job is lost over what only tells of it.
        return cls(job, traceparent if isinstance(traceparent, str) else "")


@dataclass(frozen=True)
class RangeMessage:
    """Look at the range of this reindex that begins at position `first`."""

    reindex: str
    first: int

    def __str__(self) -> str:
        return f"{self.reindex}:{self.first}"

    def encode(self) -> bytes:
        """JSON, UTF-8."""
        fields = {"v": VERSION, "reindex": self.reindex, "first": self.first}
        return json.dumps(fields).encode()

    @classmethod
    def decode(cls, data: bytes) -> "RangeMessage":
        """The inverse of `encode`. Raises as `Message.decode` does."""
        fields = _fields(data)
        reindex, first = fields.get("reindex"), fields.get("first")
        if not isinstance(reindex, str) or not reindex.encode():
            raise ValueError("a range message without a reindex")
        if type(first) is not int or first < 1:
            raise ValueError("a range message without a range")
        return cls(reindex, first)


def new_job_id() -> str:
    """A fresh job id: 32 hexadecimal digits, unguessable."""
    return secrets.token_hex(16)


def _fields(data: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(data)
    except RecursionError as error:
        raise ValueError("nested too deep for a message") from error
    version = fields.get("v") if isinstance(fields, dict) else None
    if type(version) is not int or version < VERSION:
        raise ValueError(f"not a message of version {VERSION}")
    if version > VERSION:
        raise NewerMessage(f"a message of version {version}; this one reads {VERSION}")
    return dict(fields)
