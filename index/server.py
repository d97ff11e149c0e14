"""The HTTP face of the sidecar: the frames of `facematch.wire` on a unix socket, and probes.

POST /within; GET /healthz (the process lives), /readyz and /status (how far the index is).
"""

import socket
from collections.abc import Iterable
from http import HTTPStatus
from pathlib import Path
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from waitress.server import create_server

from facematch.errors import CODES, Misconfigured, Unavailable
from facematch.faces import ENCODING_BYTES
from facematch.sidecar import READY_PATH, STATUS_PATH
from facematch.wire import CONTENT_TYPE, MAX_ENCODINGS, PATH, Query, encode_error
from index.follower import Follower

_JSON = "application/json"
_MOST_REQUEST_BYTES = (MAX_ENCODINGS + 1) * ENCODING_BYTES
_MOST_ANSWER_BYTES = 1024**3

_Answer = tuple[HTTPStatus, str, bytes]


class Server:
    """The server process's one server. Only one may serve a socket at a time."""

    def __init__(self, follower: Follower, path: str) -> None:
        """Bind to the socket file `path`, in place of one left behind by a dead process.

        Raises Misconfigured when another process serves it or it cannot be made.
        """
        self._path = Path(path)
        self._map: dict[int, object] = {}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path.exists() and not self._path.is_socket():
                raise Misconfigured(f"cannot listen on {path}: there is something else")
            if _is_served(path):
                raise Misconfigured(f"cannot listen on {path}: another index does")
            self._server = create_server(
                create_app(follower),
                map=self._map,
                unix_socket=path,
                unix_socket_perms="660",
                threads=4,
                ident="",
                max_request_body_size=_MOST_REQUEST_BYTES,
                # Above it an answer would go through a temporary file on disk.
                outbuf_overflow=_MOST_ANSWER_BYTES,
            )
        except OSError as error:
            raise Misconfigured(f"cannot listen on {path}: {error}") from error

    def run(self) -> None:
        """Serve until `stop`."""
        self._server.run()

    def stop(self) -> None:
        """Make `run` return, from any thread: no new connection, an answer in work a second."""
        self._path.unlink(missing_ok=True)
        self._server.trigger.pull_trigger(self._end)

    def _end(self) -> None:
        self._server.task_dispatcher.shutdown(timeout=1)
        self._server.asyncore.close_all(self._map)


def create_app(follower: Follower) -> WSGIApplication:
    """The WSGI application that answers from this follower."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        status, kind, body = _answer(follower, environ)
        headers = [("Content-Type", kind), ("Content-Length", str(len(body)))]
        start_response(f"{status.value} {status.phrase}", headers)
        return [body]

    return app


def _answer(follower: Follower, environ: WSGIEnvironment) -> _Answer:
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    if path not in (PATH, "/healthz", READY_PATH, STATUS_PATH):
        return _error(HTTPStatus.NOT_FOUND, "not_found")
    if method != ("POST" if path == PATH else "GET"):
        return _error(HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed")
    if path == PATH:
        return _within(follower, environ["wsgi.input"].read(_MOST_REQUEST_BYTES))
    if path == "/healthz":
        return HTTPStatus.OK, _JSON, b"{}"
    status = follower.status()
    unready = path == READY_PATH and not status.ready
    code = HTTPStatus.SERVICE_UNAVAILABLE if unready else HTTPStatus.OK
    return code, _JSON, status.encode()


def _within(follower: Follower, body: bytes) -> _Answer:
    try:
        query = Query.decode(body)
    except ValueError as error:
        return _error(HTTPStatus.BAD_REQUEST, "bad_request", str(error))
    try:
        return HTTPStatus.OK, CONTENT_TYPE, follower.within(query).encode()
    except Unavailable as error:
        return _error(HTTPStatus.SERVICE_UNAVAILABLE, error.code, str(error))


def _error(status: HTTPStatus, code: str, detail: str = "") -> _Answer:
    return status, _JSON, encode_error(code, detail or CODES[code])


def _is_served(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        return True
