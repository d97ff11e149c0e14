"""Fetching a picture by URL, within limits and from public servers only. Used by the pipeline.

A host's address is looked up once, checked, and connected to; after each redirect too. Private
servers are reached only if they are named, host and port, in `FetchLimits.allowed`.
"""

import socket
import ssl
import threading
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from tenacity import (
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_any,
    stop_before_delay,
    wait_fixed,
)
from urllib3.exceptions import NewConnectionError

from facematch import __version__
from facematch.errors import Rejected
from worker.outbound import PORTS, Budget, GuardedAdapter

MAX_URL = 8192
#: Seconds before the second try.
RETRY_PAUSE = 0.5
HEADERS = {
    "User-Agent": f"facematch/{__version__}",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Connection": "close",
}

_PIECE = 64 * 1024
#: Headers come on top of a picture, and chunks may be framed wastefully. Who sends more than
#: twice what a picture may have, and this, wants us to read without end.
_OVERHEAD = 1024 * 1024


@dataclass(frozen=True)
class FetchLimits:
    """What a fetch may take, all in all: bytes of the picture, seconds, redirects.

    `allowed` are private servers, host name (or address) and port, that may be fetched from.
    """

    max_bytes: int
    timeout: float
    redirects: int
    allowed: frozenset[tuple[str, int]] = frozenset()


class Fetcher:
    """Fetches pictures. Safe to use from several threads; keeps nothing between fetches."""

    def __init__(self, limits: FetchLimits) -> None:
        self._limits = FetchLimits(
            limits.max_bytes, limits.timeout, limits.redirects, as_asked_for(limits.allowed)
        )

    def fetch(self, url: str) -> bytes:
        """The bytes that the URL's server answers with; what they are is not looked at.

        Tries once more when the server cannot be reached or answers with a status of 500 or
        above. Raises Rejected: bad_url, address_not_allowed, unreachable, fetch_timed_out,
        http_status, too_many_redirects, too_large, fetch_failed.
        """
        # A name lookup cannot be given up. So it happens in a thread that can be left alone:
        # whatever it does next finds the time used up.
        outcome: Future[bytes] = Future()
        errand = _Errand(self._limits)
        threading.Thread(target=errand.run, args=(url, outcome), name="fetch", daemon=True).start()
        try:
            return outcome.result(self._limits.timeout)
        except TimeoutError:
            raise _timed_out() from None


def as_asked_for(allowed: Iterable[tuple[str, int]]) -> frozenset[tuple[str, int]]:
    """Hosts and ports in the form in which a request has them."""
    return frozenset((host.strip("[]").lower(), port) for host, port in allowed)


class _MayPass(Rejected):
    """A rejection that a second try may turn into a picture."""


class _Errand:
    """One fetch."""

    def __init__(self, limits: FetchLimits) -> None:
        self._limits = limits
        self._budget = Budget(limits.timeout, 2 * limits.max_bytes + _OVERHEAD)

    def run(self, url: str, outcome: Future[bytes]) -> None:
        retrying = Retrying(
            stop=stop_any(stop_after_attempt(2), stop_before_delay(self._limits.timeout)),
            wait=wait_fixed(RETRY_PAUSE),
            retry=retry_if_exception_type(_MayPass),
            reraise=True,
        )
        try:
            outcome.set_result(retrying(self._follow, url))
        except Exception as error:  # noqa: BLE001  handed on to the caller
            outcome.set_exception(error)

    def _follow(self, url: str) -> bytes:
        what = "the URL"
        for _ in range(self._limits.redirects + 1):
            request = request_to(url, what)
            with translated_for(request, self._budget), self._sent(request) as response:
                if not response.is_redirect:
                    return self._body(response)
                url = _target(str(request.url), response.headers["location"])
            what = "the redirect's target"
        raise Rejected("too_many_redirects", f"more than {self._limits.redirects} redirects")

    @contextmanager
    def _sent(self, request: requests.PreparedRequest) -> Iterator[requests.Response]:
        # Not through a Session: it would read proxies and passwords from the environment, and
        # the whole body of a redirect into memory.
        adapter = GuardedAdapter(
            urlsplit(request.url).scheme == "https", self._limits.allowed, self._budget
        )
        with closing(adapter):
            seconds = self._budget.seconds()
            with adapter.send(request, stream=True, timeout=(seconds, seconds)) as response:
                yield response

    def _body(self, response: requests.Response) -> bytes:
        status = response.status_code
        if status // 100 != 2 or status == HTTPStatus.PARTIAL_CONTENT:
            passes = status >= HTTPStatus.INTERNAL_SERVER_ERROR
            detail = f"the URL's server answered with status {status}"
            raise (_MayPass if passes else Rejected)("http_status", detail)
        if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise Rejected("fetch_failed", "the URL's server encodes what should come as it is")
        limit = self._limits.max_bytes
        announced = response.raw.length_remaining
        if announced is not None and announced > limit:
            raise Rejected("too_large", f"{announced} bytes, the limit is {limit}")
        pieces, size = [], 0
        while piece := response.raw.read(_PIECE, decode_content=False):
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise Rejected("too_large", f"more than the limit of {limit} bytes")
        return b"".join(pieces)


def request_to(
    url: str,
    what: str,
    method: str = "GET",
    headers: Mapping[str, str] = HEADERS,
    body: bytes | None = None,
) -> requests.PreparedRequest:
    """The request to a URL. Raises Rejected: bad_url."""
    if len(url) > MAX_URL:
        raise Rejected("bad_url", f"{what} is longer than {MAX_URL} characters")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in url):
        raise Rejected("bad_url", f"{what} contains control characters")
    try:
        request = requests.Request(method, url, headers=dict(headers), data=body).prepare()
        given, understood = urlsplit(url), urlsplit(str(request.url))
        # requests leaves out a port 0, so that it is the scheme's.
        ports = given.port, understood.port
    except Exception as error:
        raise Rejected("bad_url", f"{what} is not of the form http://host/path") from error
    if given.scheme not in PORTS or understood.scheme not in PORTS or not understood.hostname:
        raise Rejected("bad_url", f"{what} is not an http or https URL with a host")
    if "@" in given.netloc or "@" in understood.netloc:
        raise Rejected("bad_url", f"{what} contains a user name or password")
    if 0 in ports:
        raise Rejected("bad_url", f"{what} has port 0")
    return request


def _target(url: str, location: str) -> str:
    """Where a redirect leads. Raises Rejected: bad_url."""
    try:
        # http.client takes headers for Latin-1; servers that send other than ASCII mean UTF-8.
        target = urljoin(url, location.encode("latin-1").decode("utf-8", "replace"))
    except ValueError as error:
        raise Rejected("bad_url", "the redirect's target is no URL") from error
    if url.startswith("https:") and target.lower().startswith("http:"):
        raise Rejected("bad_url", "the URL redirects from https to http")
    return target


@contextmanager
def translated_for(request: requests.PreparedRequest, budget: Budget) -> Iterator[None]:
    """Turn what goes wrong with a request into Rejected."""
    try:
        yield
    except Rejected:
        raise
    except Exception as error:
        host = str(urlsplit(str(request.url)).hostname)[:100]
        raise _rejection(error, host, budget) from error


def _rejection(error: Exception, host: str, budget: Budget) -> Rejected:
    chain = list(_chain(error))
    if budget.overdrawn:
        return Rejected("too_large", f"{host} sends without end")
    if isinstance(error, TimeoutError | requests.Timeout | urllib3.exceptions.TimeoutError):
        return _timed_out()
    if isinstance(error, requests.exceptions.InvalidURL | urllib3.exceptions.LocationValueError):
        return Rejected("bad_url", f"{host} cannot be a host's name")
    if isinstance(error, requests.exceptions.SSLError):
        return _MayPass("unreachable", f"{host}: no TLS connection: {_reason(chain[-1])}")
    if any(isinstance(one, NewConnectionError | socket.gaierror) for one in chain):
        return _MayPass("unreachable", f"{host}: {_reason(chain[-1])}")
    return Rejected("fetch_failed", f"{host} broke off or does not speak HTTP")


def _timed_out() -> Rejected:
    return Rejected("fetch_timed_out")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it was made of, the innermost last: requests wraps several times."""
    for _ in range(10):
        if error is None:
            return
        yield error
        inner = (getattr(error, "reason", None), *error.args, error.__cause__)
        error = next((one for one in inner if isinstance(one, BaseException)), None)


def _reason(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return str(error.reason)
    return getattr(error, "strerror", None) or type(error).__name__
