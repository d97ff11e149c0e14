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

    POST /collections/<name>/pairs, with the same request

    reply (200)
    +--------------------+
    | "FMP1"      4 bytes|
    | pairs m     u32    |
    | flags       u32    |
    | position    u64    |
    | chain   20 bytes   |
    | m ids       i64    |
    | m numbers   u16    |
    +--------------------+

Of each pair the face's id and, in the same order, which of the encodings it is near: its row, from
0 on. The flags and errors are the same, and 413 where there are more pairs than MOST_PAIRS.

The last sign of a frame's first four is its version. Whoever gets a frame of another one says so,
`other_version`: an index and its worker are of one version, unless somebody mixes them.

A request says in its headers whose work it is: see facematch.tracing.

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
from numpy.typing import NDArray

from facematch.collection_name import check_edition
from facematch.errors import Rejected
from facematch.faces import (
    ENCODING_BYTES,
    Encodings,
    FaceIds,
    pack_encodings,
    unpack_encodings,
)
from facematch.log import Tail

#: What there is of a collection.
WITHIN, PAIRS, READY, STATUS, REBUILD = "within", "pairs", "readyz", "status", "rebuild"
CONTENT_TYPE = "application/x-facematch-1"
#: Of one query: at least the faces of one image.
MAX_ENCODINGS = 1024
#: So many take a gibibyte of memory: 16 bytes each.
MOST_PAIRS = 2**26

_REQUEST = struct.Struct("<4sIdQ")
_REPLY = struct.Struct("<4sIIQ20s")
_APPROXIMATE = 1
_PAIR_BYTES = 8 + 2
_PATH = re.compile(rf"/collections/([^/]*)/({WITHIN}|{PAIRS}|{READY}|{STATUS}|{REBUILD})")


class OtherVersion(ValueError):
    """A frame of another version than this end speaks."""


def path_of(collection: str, what: str) -> str:
    """The path of one of these for a collection. Raises ValueError for no name."""
    return f"/collections/{check_edition(collection)}/{what}"


def parse_path(path: str) -> tuple[str, str] | None:
    """(collection, what), the inverse of `path_of`; None for another path. Raises ValueError when
    what stands for the collection is no name of one."""
    found = _PATH.fullmatch(path)
    return (check_edition(found[1]), found[2]) if found else None


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
        """Raises ValueError for anything that is not a request frame, OtherVersion for one of
        another version."""
        if len(data) < _REQUEST.size:
            raise ValueError("the frame is shorter than its header")
        magic, count, radius, before = _REQUEST.unpack_from(data)
        if magic != b"FMQ1":
            raise _other(magic, b"FMQ1", "not a query frame of version 1")
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
        header = _header(b"FMR2", len(self.faces), self.exact, self.tail)
        return header + self.faces.astype("<i8").tobytes()

    @classmethod
    def decode(cls, data: bytes) -> "Candidates":
        """Raises ValueError for anything that is not a reply frame, OtherVersion for one of
        another version."""
        count, exact, tail = _parse(data, b"FMR2", 8)
        faces = np.frombuffer(data, "<i8", count, _REPLY.size).astype(np.int64)
        return cls(faces, tail, exact)


@dataclass(frozen=True, eq=False)
class Pairs:
    """The answer that tells them apart: `numbers` (m,), the rows of the encodings asked with, and
    `faces` (m,), what is near them; in no order, each pair once. `tail`: the place in the log that
    it reflects. `exact`: none is missing.
    """

    numbers: NDArray[np.int64]
    faces: FaceIds
    tail: Tail
    exact: bool = True

    def encode(self) -> bytes:
        """The reply frame."""
        header = _header(b"FMP1", len(self.faces), self.exact, self.tail)
        ids, numbers = self.faces.astype("<i8", copy=False), self.numbers.astype("<u2")
        return b"".join((header, ids.tobytes(), numbers.tobytes()))

    @classmethod
    def decode(cls, data: bytes, encodings: int) -> "Pairs":
        """Raises ValueError for anything that is not a reply frame to so many encodings,
        OtherVersion for one of another version."""
        count, exact, tail = _parse(data, b"FMP1", _PAIR_BYTES)
        faces = np.frombuffer(data, "<i8", count, _REPLY.size).astype(np.int64)
        numbers = np.frombuffer(data, "<u2", count, _REPLY.size + 8 * count).astype(np.int64)
        if (faces < 0).any() or (numbers >= encodings).any():
            raise ValueError("pairs of what was not asked for")
        return cls(numbers, faces, tail, exact)


class Gathering:
    """Pairs that are found portion by portion, and no more than go into one answer."""

    def __init__(self) -> None:
        self._numbers: list[NDArray[np.integer]] = [np.empty(0, dtype=np.int64)]
        self._faces: list[FaceIds] = [np.empty(0, dtype=np.int64)]
        self._count = 0

    def add(self, numbers: NDArray[np.integer], faces: FaceIds) -> None:
        """Add a portion: see Pairs. Raises Rejected("answer_too_large") for one too many."""
        self._count += len(faces)
        if self._count > MOST_PAIRS:
            raise Rejected("answer_too_large")
        if len(faces):
            self._numbers.append(numbers)
            self._faces.append(faces)

    def pairs(self, tail: Tail, exact: bool = True) -> Pairs:
        """All of them, as of this place."""
        numbers = np.concatenate(self._numbers, dtype=np.int64)
        return Pairs(numbers, np.concatenate(self._faces), tail, exact)


def _header(magic: bytes, count: int, exact: bool, tail: Tail) -> bytes:
    flags = 0 if exact else _APPROXIMATE
    return _REPLY.pack(magic, count, flags, tail.position, bytes.fromhex(tail.chain))


def _parse(data: bytes, expected: bytes, size: int) -> tuple[int, bool, Tail]:
    """How many there are, of so many bytes each, whether that is exact, and the place."""
    if len(data) < _REPLY.size:
        raise ValueError("the frame is shorter than its header")
    magic, count, flags, position, chain = _REPLY.unpack_from(data)
    if magic != expected:
        raise _other(magic, expected, f"not a reply frame of version {expected[-1:].decode()}")
    if flags > _APPROXIMATE or len(data) != _REPLY.size + size * count:
        raise ValueError(f"not a reply frame of version {expected[-1:].decode()}")
    return count, flags != _APPROXIMATE, Tail(position, chain.hex())


def _other(magic: bytes, expected: bytes, otherwise: str) -> ValueError:
    """What is wrong with a frame that begins so: it is of another version, or no frame."""
    if magic[:3] != expected[:3]:
        return ValueError(otherwise)
    found, wanted = magic[3:].decode("latin-1"), expected[3:].decode()
    return OtherVersion(
        f"a frame of version {found!r} where {wanted!r} is spoken: the worker and its index are of"
        " different versions of facematch"
    )


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
