"""From the body of a request to a durable job: what was sent, under which name, then accept.

Raw bytes are taken whatever their content type: the bytes decide.
"""

import json
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import structlog
from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import MultiPartParser

from api.body import read_body, too_large
from api.idempotency import fingerprint
from api.publishing import Publisher
from facematch import failpoints, tracing
from facematch.batches import Batches
from facematch.errors import Rejected
from facematch.faces import image_hash
from facematch.job import new_job_id
from facematch.store import Front, Job, NewJob, State

MAX_NAME = 1_000
MAX_URL = 2_000
#: What a JSON document may have, and a form around its file.
_ROOM = 64 * 1024
#: Not None: `null` is a document.
_NO_DOCUMENT = object()

_log = structlog.get_logger()


@dataclass(frozen=True)
class Picture:
    """Bytes, and the name that came with them ("" for none)."""

    data: bytes
    name: str = ""


@dataclass(frozen=True)
class Address:
    """A URL to fetch a picture from."""

    url: str


class Submission:
    """Makes jobs of pictures and addresses."""

    def __init__(
        self,
        store: Front,
        publisher: Publisher,
        claims: Batches,
        backlog: int,
        count: Callable[[str], None],
        basis: Callable[[], str] = str,
    ) -> None:
        """`count`: told of each durable one whether it is by "bytes" or "url". `basis`: why the one
        that is being made may be, packed; raises Rejected where that is not enough."""
        self._claims = claims
        self._store = store
        self._publisher = publisher
        self._backlog = backlog
        self._basis = basis
        self._count = count

    def accept_once(self, submitted: Picture | Address, name: str, caller: str, key: str) -> Job:
        """The same, once only with this key ("": none). Raises Conflict("key_reused") for one that
        another submission came with."""
        if not key:
            return self.accept(submitted, name, caller)
        new = new_job(submitted, name)
        self._basis()  # what is refused must not have taken the key
        print_ = fingerprint(new.name, new.url, new.image)
        return self.accept(submitted, name, caller, self._claims.claim(key, print_, new.id))

    def accept(
        self, submitted: Picture | Address, name: str = "", caller: str = "", job: str = ""
    ) -> Job:
        """A durable job; a worker will hear of it. `name` overrides the one that came along;
        `caller`: the `traceparent` that the client has sent, "" for none; `job`: its id, under
        which it may have been accepted before.

        Raises Rejected for what no worker need look at, Unavailable.
        """
        new = replace(new_job(submitted, name, job), basis=self._basis())
        # Under the trace of its own job, not the caller's: one trace is of one image.
        with (
            structlog.contextvars.bound_contextvars(**tracing.fields(new.id)),
            tracing.working("accept", new.id, kind="server", image=new.image, caller=caller),
        ):
            accepted = self._store.accept(new, self._backlog)
            tracing.note(state=str(accepted.state))
            _log.info("accepted", state=str(accepted.state))
            failpoints.reached("after_accept")
            self._count("url" if isinstance(submitted, Address) else "bytes")
            if accepted.state is State.ACCEPTED:
                told = (accepted.id, accepted.edition, tracing.here(), accepted.collection)
                self._publisher.publish(*told)
        return accepted


def new_job(submitted: Picture | Address, name: str, job: str = "") -> NewJob:
    """The job that a submission becomes, with this id, if it is to have one. Raises Rejected."""
    job, name = job or new_job_id(), clean_name(name)
    if isinstance(submitted, Address):
        url = checked_url(submitted.url)
        return NewJob(job, name=url, url=url)
    if not submitted.data:
        raise Rejected("empty")
    image = image_hash(submitted.data)
    name = name or clean_name(submitted.name) or image
    return NewJob(job, name=name, image=image, data=submitted.data)


def submitted(request: Request, max_bytes: int) -> Picture | Address:
    """What a client submitted: raw bytes, a form with one file, or JSON with a `url`.

    A content type that the bytes belie is disregarded. Raises Rejected.
    """
    kind = request.mimetype
    body = read_body(request, max_bytes, _ROOM)
    if kind == "multipart/form-data":
        boundary = request.mimetype_params.get("boundary", "").encode("latin-1", "replace")
        if boundary and body.lstrip().startswith(b"--" + boundary):
            return _only_file(body, boundary, max_bytes)
    if kind == "application/json" or kind.endswith("+json"):
        document = _parsed(body)
        if document is not _NO_DOCUMENT:
            return _address(document)
    if len(body) > max_bytes:
        raise too_large(max_bytes)
    return Picture(body)


def caller_of(request: Request) -> str:
    """The trace that the client says it is in, "" for none."""
    return request.headers.get(tracing.TRACEPARENT, "")


def submitted_url(request: Request) -> Address:
    """The `url` of a JSON document, whatever its content type. Raises Rejected."""
    return _address(_parsed(read_body(request, _ROOM)))


def clean_name(text: str) -> str:
    """A name as it is kept: no space around it, no control characters, at most 1,000 characters.

    Raises Rejected("bad_request") for a longer one.
    """
    name = "".join(
        "\N{REPLACEMENT CHARACTER}"
        if unicodedata.category(character) in ("Cc", "Cs")
        else character
        for character in text.strip()
    )
    if len(name) > MAX_NAME:
        raise Rejected("bad_request", f"a name has at most {MAX_NAME:,} characters")
    return name


def checked_url(text: str) -> str:
    """The URL without the space around it. Raises Rejected("bad_url").

    Only its form is looked at here; where it leads is for the worker that fetches it.
    """
    url = text.strip()
    if len(url) > MAX_URL:
        raise Rejected("bad_url", f"a URL has at most {MAX_URL:,} characters")
    if any(unicodedata.category(character)[0] in "CZ" for character in url):
        raise Rejected("bad_url", "a URL has no spaces or control characters in it")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise Rejected("bad_url")
    return url


def _parsed(body: bytes) -> Any:
    """The JSON document that the bytes are; _NO_DOCUMENT when they are none."""
    if len(body) > _ROOM:
        return _NO_DOCUMENT
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return _NO_DOCUMENT


def _address(document: Any) -> Address:
    url = document.get("url") if isinstance(document, dict) else None
    if not isinstance(url, str):
        raise Rejected(
            "bad_request", 'the JSON document has to be of the form {"url": "https://…"}'
        )
    return Address(url)


def _only_file(body: bytes, boundary: bytes, max_bytes: int) -> Picture:
    parser = MultiPartParser(
        stream_factory=_in_memory, max_form_memory_size=_ROOM, max_form_parts=100
    )
    try:
        _, found = parser.parse(BytesIO(body), boundary, len(body))
    except (ValueError, RequestEntityTooLarge):
        raise Rejected("bad_request", "the form cannot be read") from None
    files = list(found.values())
    if len(files) != 1:
        raise Rejected("bad_request", f"a form has to have exactly one file, not {len(files)}")
    data = files[0].stream.read()
    if len(data) > max_bytes:
        raise too_large(max_bytes)
    return Picture(data, files[0].filename or "")


def _in_memory(*_: object, **__: object) -> BytesIO:
    return BytesIO()
