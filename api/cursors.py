"""The text of a cursor: opaque to clients, safe in a URL. Its one home."""

import base64
import binascii
import math
import struct

from facematch.errors import Rejected
from facematch.store import Cursor

_FORM = struct.Struct(">dQ")


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
