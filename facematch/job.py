"""The messages of the broker, and the names of its queues: their one home.

A message is only a wake-up: what there is to do, and how far it is, is in the store.
"""

import json
import re
import secrets
from dataclasses import dataclass
from typing import Any

from facematch.collection_name import DEFAULT, is_name

#: What comes to workers: jobs from the api (see `queue_of`), and the ranges of a reindex.
QUEUE = "facematch.jobs"
REINDEX_QUEUE = "facematch.reindex"
DEAD_LETTERS = "facematch.dead"
#: Raised when former versions would misread a message. A field that they may leave out is only
#: added: whoever reads ignores those that it does not know.
VERSION = 1
_JOB = re.compile("[0-9a-f]{32}")


class NewerMessage(ValueError):
    """A message for workers of a newer version."""


def queue_of(edition: int) -> str:
    """The queue with the jobs for the workers of an edition."""
    return f"{QUEUE}~{edition}" if edition else QUEUE


@dataclass(frozen=True)
class Message:
    """Look at this job of a collection. `traceparent`: see facematch.tracing; "" for none.

    Who knows no such field passes over it; one without a collection is of the default one.
    """

    job: str
    traceparent: str = ""
    collection: str = DEFAULT

    def __str__(self) -> str:
        return self.job

    def encode(self) -> bytes:
        """JSON, UTF-8."""
        fields = {"v": VERSION, "job": self.job}
        if self.traceparent:
            fields["traceparent"] = self.traceparent
        if self.collection != DEFAULT:
            fields["collection"] = self.collection
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
        told = traceparent if isinstance(traceparent, str) else ""
        return cls(job, told, _collection(fields))


@dataclass(frozen=True)
class RangeMessage:
    """Look at the range of this reindex of a collection that begins at position `first`."""

    reindex: str
    first: int
    collection: str = DEFAULT

    def __str__(self) -> str:
        return f"{self.reindex}:{self.first}"

    def encode(self) -> bytes:
        """JSON, UTF-8."""
        fields = {"v": VERSION, "reindex": self.reindex, "first": self.first}
        if self.collection != DEFAULT:
            fields["collection"] = self.collection
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
        return cls(reindex, first, _collection(fields))


def new_job_id() -> str:
    """A fresh job id: 32 hexadecimal digits, unguessable."""
    return secrets.token_hex(16)


def is_job_id(text: str) -> bool:
    """Whether the text has the form that `new_job_id` gives."""
    return _JOB.fullmatch(text) is not None


def _collection(fields: dict[str, Any]) -> str:
    name = fields.get("collection", DEFAULT)
    if not isinstance(name, str) or not is_name(name):
        raise ValueError("a message about what is no collection")
    return name


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
