"""The HTTP face of the sidecar: the frames of `facematch.wire` on a unix socket, and probes.

Of the process: GET /healthz (it lives), /readyz (the default collection answers, in the edition
that is served), /status (the collections held and the memory they take), /metrics. Of each
collection: see `facematch.wire`.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from http import HTTPStatus
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import structlog

from facematch import probe, tracing
from facematch.errors import CODES, FacematchError, Misconfigured, Rejected, Unavailable
from facematch.faces import ENCODING_BYTES
from facematch.http_server import HttpServer
from facematch.metrics import CONTENT_TYPE as METRICS_TYPE
from facematch.metrics_port import PATH as METRICS
from facematch.wire import (
    CONTENT_TYPE,
    MAX_ENCODINGS,
    PAIRS,
    READY,
    REBUILD,
    WITHIN,
    Candidates,
    OtherVersion,
    Pairs,
    Query,
    encode_error,
    parse_path,
    path_of,
)
from index.collections import Collections
from index.metrics import Metrics

_JSON = "application/json"
_MOST_REQUEST_BYTES = (MAX_ENCODINGS + 1) * ENCODING_BYTES
#: So many that queries for pairs, which take long, never occupy all: a worker asks for some at a
#: time in each of its slots.
_THREADS = 32

_Answer = tuple[HTTPStatus, str, bytes]

_log = structlog.get_logger()


class Server:
    """The server process's one server. Only one may serve a socket at a time."""

    def __init__(self, collections: Collections, metrics: Metrics, path: str) -> None:
        """Bind to the socket file `path`, in place of one left behind by a dead process.

        Raises Misconfigured when another process serves it or it cannot be made.
        """
        try:
            self._server = HttpServer(
                create_app(collections, metrics),
                path,
                part="index",
                threads=_THREADS,
                most_bytes=_MOST_REQUEST_BYTES,
            )
        except OSError as error:
            raise Misconfigured(f"cannot listen on {path}: {error}") from error

    def run(self) -> None:
        """Serve until `stop`."""
        self._server.run()

    def stop(self) -> None:
        """Make `run` return, from any thread: no new connection, an answer in work a second."""
        self._server.stop()


def create_app(collections: Collections, metrics: Metrics) -> WSGIApplication:
    """The WSGI application that answers from these collections."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        status, kind, body = _answer(collections, metrics, environ)
        headers = [("Content-Type", kind), ("Content-Length", str(len(body)))]
        start_response(f"{status.value} {status.phrase}", headers)
        return [body]

    return app


def _answer(collections: Collections, told: Metrics, environ: WSGIEnvironment) -> _Answer:
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    try:
        parts = parse_path(path_of(collections.served, READY) if path == probe.READY else path)
    except ValueError as error:
        return _error(HTTPStatus.BAD_REQUEST, "bad_request", str(error))
    if parts is None and path not in (probe.ALIVE, "/status", METRICS):
        return _error(HTTPStatus.NOT_FOUND, "not_found")
    if method != ("POST" if parts and parts[1] in (WITHIN, PAIRS, REBUILD) else "GET"):
        return _error(HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed")
    if parts is not None:
        return _of_collection(collections, *parts, environ)
    if path == METRICS:
        return HTTPStatus.OK, METRICS_TYPE, told.encode()
    return HTTPStatus.OK, _JSON, b"{}" if path == probe.ALIVE else _status(collections)


def _of_collection(
    collections: Collections, name: str, what: str, environ: WSGIEnvironment
) -> _Answer:
    try:
        if what in (WITHIN, PAIRS):
            body = environ["wsgi.input"].read(_MOST_REQUEST_BYTES)
            ask = collections.pairs if what == PAIRS else collections.within
            with tracing.answering(what, _told(environ)) as for_job:
                # Ranges of a reindex, fsck and the like ask without end.
                return _asked(ask, name, body, _log.info if for_job else _log.debug)
        if what == REBUILD:
            collections.rebuild(name)
            return HTTPStatus.ACCEPTED, _JSON, b"{}"
        welcome, status = collections.status(name)
        if what == READY and not welcome:
            return _error(HTTPStatus.SERVICE_UNAVAILABLE, status.code, status.reason)
        return HTTPStatus.OK, _JSON, status.encode()
    except Unavailable as error:
        unknown = error.code == "no_collection"
        code = HTTPStatus.NOT_FOUND if unknown else HTTPStatus.SERVICE_UNAVAILABLE
        return _error(code, error.code, str(error))
    except Rejected as error:
        return _error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, error.code, str(error))


def _asked(
    answer: Callable[[str, Query], Candidates | Pairs],
    name: str,
    body: bytes,
    tell: Callable[..., object],
) -> _Answer:
    try:
        query = Query.decode(body)
    except OtherVersion as error:
        return _error(HTTPStatus.SERVICE_UNAVAILABLE, "other_version", str(error))
    except ValueError as error:
        return _error(HTTPStatus.BAD_REQUEST, "bad_request", str(error))
    began = time.perf_counter()
    try:
        found = answer(name, query)
    except FacematchError as error:
        tell("refused", collection=name, code=error.code)
        raise
    seconds = round(time.perf_counter() - began, 6)
    position = found.tail.position
    tell("answered", collection=name, position=position, exact=found.exact, seconds=seconds)
    return HTTPStatus.OK, CONTENT_TYPE, found.encode()


def _told(environ: WSGIEnvironment) -> Mapping[str, str]:
    named = {name: f"HTTP_{name.upper()}" for name in (tracing.TRACEPARENT, tracing.BAGGAGE)}
    return {name: environ[variable] for name, variable in named.items() if variable in environ}


def _status(collections: Collections) -> bytes:
    """The process: what is held of which collection, and when it was last used."""
    budget = collections.budget
    held = {
        name: {**asdict(status), "memory_limit": budget.limit, "idle_seconds": round(idle, 1)}
        for name, (status, idle) in collections.held().items()
    }
    told = {"memory": budget.used, "memory_limit": budget.limit, "collections": held}
    return json.dumps(told).encode()


def _error(status: HTTPStatus, code: str, detail: str = "") -> _Answer:
    return status, _JSON, encode_error(code, detail or CODES[code])
