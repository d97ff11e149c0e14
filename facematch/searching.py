"""A search: which images show the faces of a picture that is not kept. What the api asks a worker,
what that answers, and the port to whoever searches. One home for both ends.

Carried as HTTP bodies, over a unix socket or TCP:

    POST /searches

    request                          reply (200)
    +-------------------------+      JSON, UTF-8: see Found
    | "FMS1"           4 bytes|
    | length n of JSON     u32|
    | n bytes: JSON, UTF-8    |
    | the picture, or nothing |
    +-------------------------+

Little-endian. The JSON is a Probe without its picture. Errors: `{"code", "detail"}` as of
facematch.wire, with a status that says of which kind it is: STATUS.
"""

import json
import struct
from dataclasses import asdict, dataclass
from typing import Protocol

from pydantic import TypeAdapter, ValidationError

from facematch.collection_name import DEFAULT, check_name
from facematch.errors import Conflict, FacematchError, NotFound, Rejected, Unavailable
from facematch.faces import Box

PATH = "/searches"
CONTENT_TYPE = "application/x-facematch-search-1"
#: Of what goes before the picture.
MOST_HEAD = 64 * 1024
#: What an error is, by the status of its answer.
STATUS: dict[int, type[FacematchError]] = {
    404: NotFound,
    409: Conflict,
    422: Rejected,
    503: Unavailable,
}

_MAGIC = b"FMS1"
_HEAD = struct.Struct("<4sI")


@dataclass(frozen=True)
class Asked:
    """What a search is asked for, but for its picture. `face`: of the picture, None for all;
    `limit`: so many images of each. `max_distance`, `max_false_matches`: see
    facematch.store.Filter. `seconds`: for so long somebody waits for the answer. `url`: where the
    picture is, "" where it comes along.
    """

    collection: str = DEFAULT
    url: str = ""
    face: int | None = None
    limit: int = 100
    max_distance: float | None = None
    max_false_matches: float | None = None
    seconds: float = 30.0


_ASKED = TypeAdapter(Asked)


@dataclass(frozen=True)
class Probe:
    """A search for the faces of a picture: its bytes, or empty where a URL is asked for."""

    asked: Asked
    picture: bytes = b""

    def encode(self) -> bytes:
        """The request."""
        head = json.dumps(asdict(self.asked)).encode()
        return _HEAD.pack(_MAGIC, len(head)) + head + self.picture

    @classmethod
    def decode(cls, data: bytes) -> "Probe":
        """The inverse of `encode`. Raises ValueError for anything else."""
        if len(data) < _HEAD.size:
            raise ValueError("the request is shorter than its head")
        magic, length = _HEAD.unpack_from(data)
        if magic != _MAGIC:
            raise ValueError("not a search of version 1")
        if length > MOST_HEAD or _HEAD.size + length > len(data):
            raise ValueError("the request's length is not what its head says")
        try:
            asked = _ASKED.validate_json(data[_HEAD.size : _HEAD.size + length])
        except ValidationError as error:
            raise ValueError("what is asked for is not of the form of version 1") from error
        check_name(asked.collection)
        return cls(asked, data[_HEAD.size + length :])


@dataclass(frozen=True)
class FoundFace:
    """A face of an image that a face of the picture matches."""

    number: int
    box: Box
    distance: float
    false_match_rate: float | None


@dataclass(frozen=True)
class FoundImage:
    """An image that a face of the picture matches: the smallest distance of any of its faces, the
    lowest rate of any, and those within the threshold, the most certain first."""

    hash: str
    names: tuple[str, ...]
    distance: float
    false_match_rate: float | None
    faces: tuple[FoundFace, ...]


@dataclass(frozen=True)
class ProbeFace:
    """A face of the picture, with the images that match it, the most certain first. `more`: than
    were asked for. `expected_false_matches`: of all, these included; None without rates."""

    number: int
    box: Box
    matches: tuple[FoundImage, ...]
    more: bool
    expected_false_matches: float | None


@dataclass(frozen=True)
class Found:
    """The answer. `width`, `height`: pixels of the picture; `faces_found`: in it, more than are
    looked at if over the limit. `threshold`, `max_false_matches`: of the collection. Every image
    at a position up to `complete_through` was compared, unless not `exact`."""

    width: int
    height: int
    faces_found: int
    faces_kept: int
    model: str
    threshold: float
    max_false_matches: float | None
    complete_through: int
    exact: bool
    faces: tuple[ProbeFace, ...]

    def encode(self) -> bytes:
        """JSON, UTF-8."""
        return _FOUND.dump_json(self)

    @classmethod
    def decode(cls, data: bytes) -> "Found":
        """The inverse of `encode`. Raises ValueError for anything else."""
        return _FOUND.validate_json(data)


_FOUND = TypeAdapter(Found)


class Searcher(Protocol):
    """Who searches."""

    def search(self, probe: Probe) -> Found:
        """The matches of each face of a picture, of which nothing is kept.

        Raises Rejected for a picture that cannot be looked at, NotFound("no_face") for a face that
        it does not have, Conflict("no_rates"), Unavailable: search_busy, search_unavailable, and
        what the index or the store lack.
        """


class Nobody:
    """Where nobody searches."""

    def search(self, probe: Probe) -> Found:
        """See Searcher."""
        del probe
        raise Unavailable("search_unavailable")


def status_of(error: FacematchError) -> int:
    """The status of the answer that tells it."""
    return next((status for status, kind in STATUS.items() if isinstance(error, kind)), 500)
