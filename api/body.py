"""Reading the body of a request, within bounds of size and time. Used by submissions.

A thread reads each body, and there are only so many of them: who stops sending is sent away.
"""

import hashlib
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TypeVar

from flask import Request, request
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import ClientDisconnected

from api.parting import stop_listening
from facematch.errors import Rejected

#: A client may be silent for so long, and take so long in all.
SILENT_SECONDS = 10.0
BODY_SECONDS = 120.0
#: Or as many times that as it has so many bytes.
_BODY_BYTES = 32 * 1024**2
#: A body over the limit is still read, up to so many limits and seconds, so that the client
#: gets to hear why; who sends more than that is cut off.
_PATIENCE_LIMITS = 8
_PATIENCE_SECONDS = 10.0
_CHUNK = 64 * 1024
_DOCUMENT = 1024**2
_Form = TypeVar("_Form", bound=BaseModel)
_TOO_SLOW = "the body came too slowly"


def read_body(request: Request, limit: int, room: int = 0) -> bytes:
    """The whole body, of at most `limit` and `room` bytes.

    Raises Rejected: too_large, or bad_request when it ends early or comes too slowly.
    """
    most = limit + room
    patience = _PATIENCE_LIMITS * most
    announced = request.content_length
    if announced is not None and announced > patience:
        raise too_large(limit)
    chunks: list[bytes] = []
    size = 0
    deadline = time.monotonic() + _PATIENCE_SECONDS
    with _hurried(request):
        while chunk := _some_of(request):
            size += len(chunk)
            if size <= most:
                chunks.append(chunk)
            elif size > patience or time.monotonic() > deadline:
                break
            else:
                chunks.clear()
    if size > most:
        raise too_large(limit)
    if announced is not None and size < announced:
        raise Rejected("bad_request", "the body ends early")
    return b"".join(chunks)


def read_document(form: type[_Form], or_else: bytes = b"") -> _Form:
    """What the request being answered says as JSON, whatever its content type; `or_else` where it
    says nothing. Raises Rejected."""
    try:
        return form.model_validate_json(read_body(request, _DOCUMENT) or or_else)
    except ValidationError as error:
        wrong = (
            ": ".join(filter(None, (".".join(map(str, one["loc"])), _words(one["msg"]))))
            for one in error.errors(include_input=False, include_url=False)
        )
        raise Rejected("bad_request", "; ".join(wrong)) from None


def _words(message: str) -> str:
    # What a validator of ours says has pydantic's name for its exception before it.
    return message.removeprefix("Value error, ")


@contextmanager
def spooled_body(request: Request, limit: int) -> Iterator[tuple[IO[bytes], str]]:
    """The whole body, of at most `limit` bytes, as a file that is gone afterwards, and its SHA-256.

    Raises Rejected: too_large, or bad_request when it ends early or comes too slowly.
    """
    announced = request.content_length
    if announced is not None and announced > limit:
        raise too_large(limit)
    size, digest = 0, hashlib.sha256()
    with tempfile.TemporaryFile() as file:
        seconds = BODY_SECONDS * max(1.0, (announced or limit) / _BODY_BYTES)
        with _hurried(request, seconds):
            while chunk := _some_of(request):
                size += len(chunk)
                if size > limit:
                    raise too_large(limit)
                digest.update(chunk)
                file.write(chunk)
        if announced is not None and size < announced:
            raise Rejected("bad_request", "the body ends early")
        file.seek(0)
        yield file, digest.hexdigest()


def _some_of(request: Request) -> bytes:
    """What comes next, b"" at the end. Raises OSError, ClientDisconnected."""
    try:
        return request.stream.read(_CHUNK)
    except (OSError, ClientDisconnected):
        raise
    except Exception as error:  # the server's own, for chunks that are none
        raise OSError("the body is not framed as it says") from error


def too_large(limit: int) -> Rejected:
    """The refusal of more than `limit` bytes."""
    return Rejected("too_large", f"more than the limit of {limit:,} bytes")


@contextmanager
def _hurried(request: Request, seconds: float = 0.0) -> Iterator[None]:
    """Bound the time of the reads within. Raises Rejected when they fail."""
    connection = request.environ.get("gunicorn.socket")
    overdue = threading.Event()
    try:
        if connection is None:
            yield
        else:
            with _bounded(connection, overdue, seconds or BODY_SECONDS):
                yield
    except (OSError, ClientDisconnected) as error:
        # werkzeug's own error hides what it was.
        slow = isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError)
        if slow or overdue.is_set():
            if connection is not None:
                stop_listening(connection)
            raise Rejected("bad_request", _TOO_SLOW) from error
        raise Rejected("bad_request", "the body ends early") from error
    if overdue.is_set():
        raise Rejected("bad_request", _TOO_SLOW)


@contextmanager
def _bounded(connection: socket.socket, overdue: threading.Event, seconds: float) -> Iterator[None]:
    def end() -> None:
        overdue.set()
        stop_listening(connection)

    # A server's read goes on until it has all it was asked for, so that a byte now and then
    # would keep it busy: a timeout of the connection is not enough.
    timer = threading.Timer(seconds, end)
    timer.daemon = True
    before = connection.gettimeout()
    connection.settimeout(SILENT_SECONDS)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        connection.settimeout(before)
