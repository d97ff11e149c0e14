"""The text of a cursor: opaque to clients, safe in a URL. Its one home."""

import base64
import binascii
import json
import math
import struct
from collections.abc import Mapping

from facematch.collection_name import is_name
from facematch.errors import CODES, Rejected
from facematch.people import PeopleCursor
from facematch.store import Cursor

_FORM = struct.Struct(">dQ")
#: Of a number that every Lua takes as it is.
_DIGITS = 15


def encode(cursor: Cursor) -> str:
    """22 characters out of A-Z, a-z, 0-9, - and _."""
    packed = _FORM.pack(cursor.score, cursor.position)
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def decode(text: str) -> Cursor:
    """The inverse of `encode`. Raises Rejected("bad_cursor") for anything else."""
    try:
        score, position = _FORM.unpack(base64.b64decode(text + "==", b"-_", validate=True))
    except (ValueError, binascii.Error, struct.error):
        raise Rejected("bad_cursor") from None
    cursor = Cursor(score, position)
    if not (math.isfinite(score) and score >= 0 and encode(cursor) == text):
        raise Rejected("bad_cursor")
    return cursor


def encode_people(cursor: PeopleCursor) -> str:
    """Of a page of people."""
    return _text(f"{cursor.faces} {cursor.person}")


def decode_people(text: str) -> PeopleCursor:
    """The inverse of `encode_people`. Raises Rejected("bad_cursor") for anything else."""
    faces, _, person = _plain(text).partition(" ")
    if not (_is_count(faces) and person):
        raise Rejected("bad_cursor")
    return PeopleCursor(int(faces), person)


def encode_name(name: str) -> str:
    """Of a page of collections."""
    return _text(name)


def decode_name(text: str) -> str:
    """The inverse of `encode_name`. Raises Rejected("bad_cursor") for anything else."""
    name = _plain(text)
    if not is_name(name):
        raise Rejected("bad_cursor")
    return name


def encode_face(face: int) -> str:
    """Of a page of a person's faces."""
    return _text(str(face))


def decode_face(text: str) -> int:
    """The inverse of `encode_face`. Raises Rejected("bad_cursor") for anything else."""
    face = _plain(text)
    if not _is_count(face):
        raise Rejected("bad_cursor")
    return int(face)


def encode_left(left: Mapping[str, int]) -> str:
    """Of a page of jobs that have failed: how many are left of each code."""
    return _text(json.dumps(dict(left), separators=(",", ":")))


def decode_left(text: str) -> dict[str, int]:
    """The inverse of `encode_left`. Raises Rejected("bad_cursor") for anything else."""
    try:
        left = json.loads(_plain(text))
    except (ValueError, RecursionError):
        raise Rejected("bad_cursor") from None
    if not isinstance(left, dict) or not all(
        code in CODES and type(count) is int and 0 < count < 10**_DIGITS
        for code, count in left.items()
    ):
        raise Rejected("bad_cursor")
    return left


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS


def _text(plain: str) -> str:
    return base64.urlsafe_b64encode(plain.encode()).rstrip(b"=").decode()


def _plain(text: str) -> str:
    try:
        plain = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True).decode()
    except ValueError:
        raise Rejected("bad_cursor") from None
    if _text(plain) != text:
        raise Rejected("bad_cursor")
    return plain
