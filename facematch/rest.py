"""One exchange with the service over HTTP: connections, second tries, errors. Used by the client.

Almost every request may safely be sent twice, so one that finds no service is sent again.
"""

import contextlib
import json
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import IO, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import requests
import urllib3
from pydantic import TypeAdapter, ValidationError
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
    wait_exponential,
    wait_random,
)

from facematch import __version__
from facematch.collection_name import DEFAULT, is_name
from facematch.errors import (
    CODES,
    Denied,
    FacematchError,
    Misconfigured,
    NotFound,
    Rejected,
    Unavailable,
)

KEY_HEADER = "X-API-Key"
#: Where the collections are, and what is of one of them below its name.
COLLECTIONS = "/v1/collections"
_PROBLEM_TYPE = "application/problem+json"
_CONNECT_SECONDS = 10.0
#: A larger file is sent as it is read.
_IN_MEMORY = 32 * 1024**2
#: What a service that is there answers when it, or something before it, cannot work just now.
_LATER = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
_DENIED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_CODE_OF_STATUS: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: "no_key",
    HTTPStatus.FORBIDDEN: "scope_missing",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.GONE: "erased",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too_large",
}

Parameters: TypeAlias = Mapping[str, str | int | float]


class Upload:
    """What is left to be read of a file that is open: read from there again for each try. What
    cannot be read twice, a pipe, say, is first kept in a temporary file."""

    def __init__(self, file: IO[bytes]) -> None:
        """Raises TypeError for a file of text, OSError."""
        self._own = contextlib.ExitStack()
        if not isinstance(file.read(0), bytes):
            raise TypeError("a file to submit is opened in binary mode")
        if not file.seekable():
            kept = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - see __exit__
            self._own.callback(kept.close)
            shutil.copyfileobj(file, kept)
            kept.seek(0)
            file = kept
        self._file, self._start = file, file.tell()

    def __enter__(self) -> "Upload":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._own.close()

    def data(self) -> bytes | IO[bytes]:
        """From the start: the bytes, or, of a large one, the file."""
        size = self._file.seek(0, os.SEEK_END) - self._start
        self._file.seek(self._start)
        return self._file.read() if size <= _IN_MEMORY else self._file


Body: TypeAlias = bytes | Path | Upload | Mapping[str, object] | None


@dataclass(frozen=True)
class _Problem:
    code: str = ""
    title: str = ""
    detail: str = ""

    @property
    def text(self) -> str:
        """What it says, with its code if this version does not know it."""
        said = self.detail or self.title
        return said if not self.code or self.code in CODES else f"{said} [{self.code}]".strip()


_PROBLEM = TypeAdapter(_Problem)


class NotNow(Unavailable):
    """The service does not answer, or asks to come back in `retry_after` seconds (0: any time)."""

    def __init__(self, code: str, detail: str, retry_after: float = 0.0) -> None:
        super().__init__(code, detail)
        self.retry_after = retry_after


class Rest:
    """A service at a URL. Safe to share between threads: each exchange has its own connection."""

    def __init__(
        self,
        url: str,
        key: str | None,
        timeout: float,
        attempts: int,
        collection: str = DEFAULT,
        headers: Mapping[str, bytes] | None = None,
    ) -> None:
        """See `facematch.client.Client`; `headers`: of each request besides. Raises Misconfigured
        for what is no HTTP URL."""
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise Misconfigured(f"the service's URL is of the form http://host:port, not {url!r}")
        if key and not (key.isascii() and key.isprintable()):
            raise Misconfigured("the key has characters that cannot be sent")
        self._url = url.rstrip("/")
        if not is_name(collection):
            raise Misconfigured(f"{collection!r} is no name of a collection")
        #: Where the collection is, below the URL; "" for the default one.
        self.below = "" if collection == DEFAULT else f"{COLLECTIONS}/{collection}"
        #: For messages: the URL without a password.
        self.shown = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/")
        self._headers: dict[str, str | bytes] = {
            "User-Agent": f"facematch/{__version__}",
            "Accept": "application/json",
            **(headers or {}),
        }
        if key:
            self._headers[KEY_HEADER] = key
        self._timeout = timeout
        self._attempts = attempts
        self._idle: deque[requests.Session] = deque()

    def ask(
        self,
        method: str,
        path: str,
        parameters: Parameters | None = None,
        body: Body = None,
        wait: float = 0.0,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """The answer of success. `wait`: seconds that the service may take on purpose.

        Raises what `error_of` says; OSError for a file that cannot be read.
        """

        def once() -> requests.Response:
            return self._success(self.exchange(method, path, parameters, body, wait, headers))

        tries = Retrying(
            retry=retry_if_exception_type(NotNow),
            wait=_pause,
            stop=stop_after_attempt(self._attempts) | stop_before_delay(wait + self._timeout),
            reraise=True,
        )
        return tries(once)

    def ask_once(
        self,
        method: str,
        path: str,
        body: Body,
        parameters: Parameters | None = None,
        wait: float = 0.0,
    ) -> requests.Response:
        """The answer of success to a request that may not be sent twice, because the second
        would do something else or more. Otherwise as `ask`."""
        return self._success(self.exchange(method, path, parameters, body, wait))

    def _success(self, response: requests.Response) -> requests.Response:
        if not HTTPStatus.OK <= response.status_code < HTTPStatus.MULTIPLE_CHOICES:
            raise error_of(response, self.shown)
        return response

    def exchange(
        self,
        method: str,
        path: str,
        parameters: Parameters | None = None,
        body: Body = None,
        wait: float = 0.0,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Whatever is answered, to one request. Raises NotNow when nothing is, Misconfigured."""
        sent = dict(self._headers)
        with contextlib.ExitStack() as stack:
            data = _data(body, sent, stack)
            session = self._session()
            try:
                response = session.request(
                    method,
                    f"{self._url}{self._mounted(path)}",
                    params=parameters,
                    data=data,
                    headers=sent | dict(headers or {}),
                    timeout=(min(_CONNECT_SECONDS, self._timeout), wait + self._timeout),
                    # A redirect would make a GET of a POST, and carry the key elsewhere.
                    allow_redirects=False,
                )
            except BaseException as error:
                session.close()
                if isinstance(error, requests.RequestException | urllib3.exceptions.HTTPError):
                    raise self._no_answer(error) from error
                raise
            self._idle.append(session)
            return response

    def _mounted(self, path: str) -> str:
        """Where this is, of the collection: below its name there is what is below /v1."""
        of_none = not path.startswith("/v1/") or path.partition("/v1/collections")[0] == ""
        return path if of_none or not self.below else self.below + path.removeprefix("/v1")

    @contextlib.contextmanager
    def stream(
        self, path: str, headers: Mapping[str, str], silence: float
    ) -> Iterator[Iterator[str]]:
        """The lines of an answer as they come. `silence`: seconds that none need come. Asks once;
        raises what `error_of` says."""
        with requests.Session() as session:
            try:
                response = session.get(
                    f"{self._url}{self._mounted(path)}",
                    headers={**self._headers, **headers},
                    timeout=(min(_CONNECT_SECONDS, self._timeout), silence),
                    stream=True,
                    allow_redirects=False,
                )
                if response.status_code != HTTPStatus.OK:
                    raise error_of(response, self.shown)
                # What comes by chunks is there at once; otherwise more would be waited for.
                size = None if getattr(response.raw, "chunked", False) else 1
                yield response.iter_lines(size, decode_unicode=True)
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                raise self._no_answer(error) from error

    def _session(self) -> requests.Session:
        try:
            return self._idle.pop()
        except IndexError:
            return requests.Session()

    def close(self) -> None:
        """Close the connections that are not in use."""
        while self._idle:
            self._idle.pop().close()

    def _no_answer(self, error: Exception) -> FacematchError:
        reason = _reason(error)
        if isinstance(error, ValueError) or "CERTIFICATE_VERIFY_FAILED" in str(error):
            return Misconfigured(f"{self.shown} cannot be asked: {reason}")
        return NotNow("service_unavailable", f"no answer from {self.shown}: {reason}")


def error_of(response: requests.Response, url: str) -> FacematchError:
    """The error that an answer other than one of success is.

    NotFound (404, 410), Denied (401, 403; also that of what stands before the service), Rejected
    (the rest of 4xx), Unavailable (408, 429, 502, 503, 504), the root FacematchError (the rest of
    5xx), and Misconfigured for what is no such service. A code that this version does not know is
    replaced by a general one.
    """
    status = response.status_code
    named = f"{status} {response.reason or ''}".strip()
    problem = _problem(response)
    detail = problem.text if problem else ""
    code = problem.code if problem and problem.code in CODES else ""
    if status in _LATER:
        detail = detail or f"{url} answers {named}"
        return NotNow(code or "service_unavailable", detail, _retry_after(response))
    general = _CODE_OF_STATUS.get(status, "bad_request")
    if status in _DENIED:
        return Denied(code or general, f"{url} refuses the request: {detail or named}")
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return Rejected(code or general, detail)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return FacematchError(code or "internal_error", detail or f"{url} answers {named}")
    if problem is None:
        where = response.headers.get("Location")
        hint = f" (it redirects to {where})" if where else ""
        return Misconfigured(f"{url} answers {named}{hint}: that is no facematch service")
    return (NotFound if status in _GONE else Rejected)(code or general, detail)


_backoff = wait_exponential(0.2, max=5.0) + wait_random(0, 0.2)


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, NotNow) else 0.0
    return max(asked, _backoff(state))


def _data(
    body: Body,
    headers: dict[str, str | bytes],
    stack: contextlib.ExitStack,
) -> bytes | IO[bytes] | None:
    """What to send. A file is read before: it may change, or fail, while it is being sent."""
    if body is None:
        return None
    if isinstance(body, Mapping):
        headers["Content-Type"] = "application/json"
        return json.dumps(dict(body)).encode()
    headers["Content-Type"] = "application/octet-stream"
    if isinstance(body, bytes):
        return body
    if isinstance(body, Upload):
        return body.data()
    return Upload(stack.enter_context(body.open("rb"))).data()


def _problem(response: requests.Response) -> _Problem | None:
    if response.headers.get("Content-Type", "").partition(";")[0].strip() != _PROBLEM_TYPE:
        return None
    try:
        return _PROBLEM.validate_json(response.content)
    except ValidationError:
        return None


def _retry_after(response: requests.Response) -> float:
    try:
        return max(0.0, min(float(response.headers.get("Retry-After", "0")), 3600.0))
    except ValueError:
        return 0.0


def _reason(error: BaseException) -> str:
    """The few words at the bottom of a pile of exceptions."""
    if isinstance(error, requests.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, requests.Timeout):
        return "it takes too long"
    while (below := error.__cause__ or error.__context__) is not None:
        error = below
    return (error.strerror if isinstance(error, OSError) else "") or str(error)
