"""A submission that is sent again with the same `Idempotency-Key` is the same one."""

import hashlib

from flask import Request

from facematch.errors import Rejected

HEADER = "Idempotency-Key"
_LONGEST = 255
#: What tells clients apart: none is to hear of another one's submissions.
_CLIENT = ("Authorization", "X-API-Key")


def key_of(request: Request) -> str:
    """The digest that the key of a request is known by, "" without one. Raises Rejected."""
    key = request.headers.get(HEADER)
    if key is None:
        return ""
    if not (0 < len(key) <= _LONGEST and key.isascii() and key.isprintable()):
        raise Rejected("bad_request", f"{HEADER} has 1 to {_LONGEST} printable ASCII characters")
    return fingerprint(key, request.path, *(request.headers.get(name, "") for name in _CLIENT))


def fingerprint(*parts: str) -> str:
    """A digest of texts that is the same for the same ones only."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(data) + data)
    return digest.hexdigest()
