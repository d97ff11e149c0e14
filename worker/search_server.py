"""Where the api asks a worker to search: the frames of `facematch.searching`, on a socket.

A bounded number of searches is in hand at a time; who comes beyond that is sent away at once, and
asks another worker.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import structlog

from facematch.errors import CODES, FacematchError, Misconfigured
from facematch.http_server import HttpServer
from facematch.searching import MOST_HEAD, PATH, Found, Probe, status_of
from facematch.wire import encode_error
from worker.stages import begin

#: Searches in hand for each slot: one is looked at, one is fetched or compared, one waits.
PER_SLOT = 4
#: Those that are sent away need threads, too.
_SPARE_THREADS = 2
_SPARE_CONNECTIONS = 16

_Answer = tuple[int, str, bytes]

_log = structlog.get_logger()


class SearchServer:
    """Serves in a thread of its own from `start` to `stop`."""

    def __init__(
        self,
        search: Callable[[Probe], Found],
        where: str | socket.socket,
        *,
        most: int,
        max_bytes: int,
        told: Callable[[str, float], None] = lambda code, seconds: None,
    ) -> None:
        """`where`: see HttpServer. `most`: searches in hand at a time; `max_bytes`: of a picture.
        `told`: of each search its code, "" for none, and its seconds. Raises Misconfigured."""
        places = threading.Semaphore(most)
        try:
            self._server = HttpServer(
                create_app(search, places, told),
                where,
                part="worker",
                threads=most + _SPARE_THREADS,
                most_bytes=max_bytes + MOST_HEAD + 1024,
                most_connections=most + _SPARE_CONNECTIONS,
            )
        except OSError as error:
            raise Misconfigured(f"cannot listen for searches: {error}") from error
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def start(self) -> None:
        """Serve from now on."""
        self._thread.start()

    def stop(self, seconds: float = 5.0) -> None:
        """No more searches; those in hand have so many seconds."""
        if self._thread.is_alive():
            self._server.stop(seconds)
            self._thread.join(seconds + 1)


def create_app(
    search: Callable[[Probe], Found],
    places: threading.Semaphore,
    told: Callable[[str, float], None],
) -> WSGIApplication:
    """The WSGI application that answers searches."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        began = time.perf_counter()
        status, code, body = _answer(search, places, environ, began)
        told(code, time.perf_counter() - began)
        named = HTTPStatus(status)
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response(f"{named.value} {named.phrase}", headers)
        return [body]

    return app


def _answer(
    search: Callable[[Probe], Found],
    places: threading.Semaphore,
    environ: WSGIEnvironment,
    began: float,
) -> _Answer:
    """Status, code ("" for none) and body."""
    if environ["PATH_INFO"] != PATH:
        return _error(HTTPStatus.NOT_FOUND, "not_found")
    if environ["REQUEST_METHOD"] != "POST":
        return _error(HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed")
    if not places.acquire(blocking=False):
        return _error(HTTPStatus.SERVICE_UNAVAILABLE, "search_busy")
    try:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        try:
            probe = Probe.decode(body)
        except ValueError as error:
            return _error(HTTPStatus.BAD_REQUEST, "bad_request", str(error))
        seconds = begin()
        code, faces = "", 0
        try:
            found = search(probe)
            faces = len(found.faces)
            return HTTPStatus.OK, "", found.encode()
        except FacematchError as error:
            code = error.code
            return _error(status_of(error), code, str(error))
        finally:
            # Of the picture, its URL and its faces there is nothing in the log.
            took = round(time.perf_counter() - began, 6)
            why = {"code": code} if code else {}
            _log.info("searched", faces=faces, seconds=seconds | {"all": took}, **why)
    except Exception:  # noqa: BLE001 - the asker hears of it
        _log.exception("a search met an error of ours")
        return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error")
    finally:
        places.release()


def _error(status: int, code: str, detail: str = "") -> _Answer:
    return int(status), code, encode_error(code, detail or CODES[code])
