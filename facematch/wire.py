"""The frames between a worker and its index sidecar. One home for both ends.

Carried as HTTP bodies over a unix socket, little-endian throughout.

    POST /collections/<name>/within

    request                    reply (200)
    +--------------------+     +--------------------+
    | "FMQ1"      4 bytes|     | "FMR2"      4 bytes|
    | encodings n u32    |     | faces m     u32    |
    | radius      f64    |     | flags       u32    |
    | before      u64    |     | position    u64    |
    | n * 128     f32    |     | chain   20 bytes   |
    |                    |     | m ids       i64    |
    +--------------------+     +--------------------+

`before`: only faces of images at lower positions. The ids are those of every face within the
radius of at least one encoding, plus possibly a few just outside: the asker rechecks. Flag 1:
the index looked only where such faces are likely, so some may be missing.
Errors: status 400, 404 or 503 with `{"code", "detail"}`.

GET `/collections/<name>/readyz` and `/collections/<name>/status` tell how far the index of a
collection is (`facematch.sidecar.IndexStatus`); POST `/collections/<name>/rebuild` has it loaded
anew. `/healthz`, `/readyz`, `/status` and `/metrics`
are about the process: see `index.server`.
"""

import json
import re
import struct
from dataclasses import dataclass

import numpy as np

from facematch.collection_name import check_name
from facematch.faces import (
    ENCODING_BYTES,
    FACES_PER_POSITION,
    Encodings,
    FaceIds,
    pack_encodings,
    unpack_encodings,
)
from facematch.log import Tail

#: What there is of a collection.
WITHIN, READY, STATUS, REBUILD = "within", "readyz", "status", "rebuild"
CONTENT_TYPE = "application/x-facematch-1"
MAX_ENCODINGS = FACES_PER_POSITION

_REQUEST = struct.Struct("<4sIdQ")
_REPLY = struct.Struct("<4sIIQ20s")
_APPROXIMATE = 1
_PATH = re.compile(rf"/collections/([^/]*)/({WITHIN}|{READY}|{STATUS}|{REBUILD})")


def path_of(collection: str, what: str) -> str:
    """The path of one of these for a collection. Raises ValueError for no name."""
    return f"/collections/{check_name(collection)}/{what}"


def parse_path(path: str) -> tuple[str, str] | None:
    """(collection, what), the inverse of `path_of`; None for another path. Raises ValueError when
    what stands for the collection is no name of one."""
    found = _PATH.fullmatch(path)
    return (check_name(found[1]), found[2]) if found else None


@dataclass(frozen=True, eq=False)
class Query:
    """All faces within `radius` of any of `encodings`, of images below position `before`."""

    encodings: Encodings
    radius: float
    before: int

    def encode(self) -> bytes:
        """The request frame."""
        header = _REQUEST.pack(b"FMQ1", len(self.encodings), self.radius, self.before)
        return header + pack_encodings(self.encodings)

    @classmethod
    def decode(cls, data: bytes) -> "Query":
        """Raises ValueError for anything that is not a request frame."""
        if len(data) < _REQUEST.size:
            raise ValueError("the frame is shorter than its header")
        magic, count, radius, before = _REQUEST.unpack_from(data)
        if magic != b"FMQ1":
            raise ValueError("not a query frame of version 1")
        if not 0 < count <= MAX_ENCODINGS:
            raise ValueError(f"{count} encodings; 1 to {MAX_ENCODINGS} go into one query")
        if len(data) != _REQUEST.size + count * ENCODING_BYTES:
            raise ValueError("the frame's length is not what its header says")
        encodings = unpack_encodings(data[_REQUEST.size :])
        if not (np.isfinite(encodings).all() and np.isfinite(radius) and radius > 0):
            raise ValueError("encodings and radius are finite numbers, the radius above 0")
        return cls(encodings, radius, before)


@dataclass(frozen=True, eq=False)
class Candidates:
    """The answer: face ids, ascending, and the place in the log that it reflects.

    `exact`: none is missing.
    """

    faces: FaceIds
    tail: Tail
    exact: bool = True

    def encode(self) -> bytes:
        """The reply frame."""
        chain = bytes.fromhex(self.tail.chain)
        flags = 0 if self.exact else _APPROXIMATE
        header = _REPLY.pack(b"FMR2", len(self.faces), flags, self.tail.position, chain)
        return header + self.faces.astype("<i8").tobytes()

    @classmethod
    def decode(cls, data: bytes) -> "Candidates":
        """Raises ValueError for anything that is not a reply frame."""
        if len(data) < _REPLY.size:
            raise ValueError("the frame is shorter than its header")
        magic, count, flags, position, chain = _REPLY.unpack_from(data)
        if magic != b"FMR2" or flags > _APPROXIMATE or len(data) != _REPLY.size + 8 * count:
            raise ValueError("not a reply frame of version 2")
        faces = np.frombuffer(data, dtype="<i8", offset=_REPLY.size).astype(np.int64)
        return cls(faces, Tail(position, chain.hex()), exact=flags != _APPROXIMATE)


def encode_error(code: str, detail: str) -> bytes:
    """The body of an error answer."""
    return json.dumps({"code": code, "detail": detail}).encode()


def decode_error(data: bytes) -> tuple[str, str]:
    """(code, detail) of an error answer; ("index_unavailable", …) when it is none of ours."""
    try:
        fields = json.loads(data)
        return str(fields["code"]), str(fields["detail"])
    except (ValueError, KeyError, TypeError):
        return "index_unavailable", "the index answered with something else than an answer"
