"""The client of the index sidecar: HTTP over a unix socket, frames of `facematch.wire`.

Used by workers to query, by `fsck` and the command line to ask how far the index is.
"""

import http.client
import json
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import TypeVar

from facematch import tracing
from facematch.collection_name import DEFAULT
from facematch.errors import CODES, Misconfigured, Rejected, Unavailable
from facematch.wire import (
    CONTENT_TYPE,
    PAIRS,
    READY,
    REBUILD,
    STATUS,
    WITHIN,
    Candidates,
    OtherVersion,
    Pairs,
    Query,
    decode_error,
    path_of,
)

_Frame = TypeVar("_Frame")


@dataclass(frozen=True)
class IndexStatus:
    """How far the index of a collection is; also the JSON form of a collection's `readyz` and
    `status`.

    `position` and `chain`: the place in the log it reflects. `behind`: how many entries the log
    had more when it last looked. `faces`: those it holds, in about `memory` bytes, of the
    `memory_limit` (0: any) that all collections of the process share. `loaded` of `images`: how
    much of the collection it had to load is there. `reason`: why it is not ready, or cannot follow
    the log; `code`: the same, one of `facematch.errors.CODES`, "" when there is nothing. `exact`:
    none is missing in its answers; `recall`: what part is there, of those it was measured with.
    """

    ready: bool
    position: int = 0
    chain: str = ""
    behind: int = 0
    faces: int = 0
    memory: int = 0
    memory_limit: int = 0
    loaded: int = 0
    images: int = 0
    reason: str = ""
    code: str = ""
    exact: bool = True
    recall: float | None = None

    def encode(self) -> bytes:
        """JSON, UTF-8."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, data: bytes) -> "IndexStatus":
        """The inverse of `encode`. Raises ValueError for anything else."""
        try:
            told = json.loads(data)
            known = {field.name for field in fields(cls)}
            # An index of a newer version may tell more.
            return cls(**{name: value for name, value in told.items() if name in known})
        except (TypeError, AttributeError) as error:
            raise ValueError("not the status of an index") from error


def socket_path(url: str) -> str:
    """The path in the URL of a sidecar, `unix:/path`. Raises Misconfigured for any other."""
    path = url.removeprefix("unix:")
    if path == url or not path.startswith("/") or path.endswith("/"):
        # Not quoted: that of a Milvus may have a password in it.
        raise Misconfigured("the URL of an index sidecar is unix:/path")
    return path


class Sidecar:
    """See facematch.neighbours.Neighbours, of one collection. Safe to share between threads.

    Each query in progress has a connection of its own; idle ones are kept and used again.
    """

    def __init__(self, url: str, collection: str = DEFAULT, timeout: float = 30.0) -> None:
        """`timeout`: seconds the index may be silent. Raises Misconfigured for a bad URL,
        ValueError for what is no name of a collection."""
        self._path = socket_path(url)
        self._within, self._pairs, self._ready, self._state, self._rebuild = (
            path_of(collection, what) for what in (WITHIN, PAIRS, READY, STATUS, REBUILD)
        )
        self._timeout = timeout
        self._idle: deque[UnixConnection] = deque()

    def within(self, query: Query) -> Candidates:
        """See Neighbours. Raises ValueError when the index calls the query malformed."""
        return _read(Candidates.decode, self._answer(self._within, query))

    def pairs(self, query: Query) -> Pairs:
        """See Neighbours and `within`."""
        body = self._answer(self._pairs, query)
        return _read(lambda frame: Pairs.decode(frame, len(query.encodings)), body)

    def check(self) -> None:
        """See Neighbours. A collection that is not loaded because nobody has asked passes: the
        first query has it loaded."""
        status, body = self._ask("GET", self._ready, None)
        if status != http.client.OK:
            raise _unavailable(body)
        _read(IndexStatus.decode, body)

    def status(self) -> IndexStatus:
        """How far the index is, ready or not. Raises Unavailable: index_unavailable, and
        no_collection or store_unavailable when the collection is not known yet."""
        status, body = self._ask("GET", self._state, None)
        if status != http.client.OK:
            raise _unavailable(body)
        return _read(IndexStatus.decode, body)

    def rebuild(self) -> None:
        """Let it forget everything and load anew: it is not ready until it has.

        Raises Unavailable: see `status`.
        """
        status, body = self._ask("POST", self._rebuild, b"")
        if status != http.client.ACCEPTED:
            raise _unavailable(body)

    def close(self) -> None:
        """See Neighbours."""
        while self._idle:
            self._idle.pop().close()

    def _answer(self, path: str, query: Query) -> bytes:
        with tracing.part("ask", "client"):
            status, body = self._ask("POST", path, query.encode())
        if status == http.client.OK:
            return body
        code, detail = decode_error(body)
        if status == http.client.BAD_REQUEST:
            raise ValueError(f"the index refused the query: {detail}")
        if code == "answer_too_large":
            raise Rejected(code, detail)
        raise _unavailable(body)

    def _ask(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = UnixConnection(self._path, self._timeout)
        while True:
            kept = connection.sock is not None
            try:
                answer = _exchange(connection, method, path, body)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                # The index may have closed a kept connection, or been restarted, at any time.
                if kept and not isinstance(error, TimeoutError):
                    continue
                reason = f"no answer at {self._path}: {error or type(error).__name__}"
                raise Unavailable("index_unavailable", reason) from error
            self._idle.append(connection)
            return answer


def _unavailable(body: bytes) -> Unavailable:
    code, detail = decode_error(body)
    return Unavailable(code if code in CODES else "index_unavailable", detail)


def _read(decode: Callable[[bytes], _Frame], body: bytes) -> _Frame:
    try:
        return decode(body)
    except OtherVersion as error:
        raise Unavailable("other_version", str(error)) from error
    except ValueError as error:
        raise Unavailable("index_unavailable", str(error)) from error


class UnixConnection(http.client.HTTPConnection):
    """Connected on first use, and again after `close`."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("index", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket file."""
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connected.settimeout(self.timeout)
            connected.connect(self._path)
        except OSError:
            connected.close()
            raise
        self.sock = connected


def _exchange(
    connection: UnixConnection, method: str, path: str, body: bytes | None
) -> tuple[int, bytes]:
    headers = {"Content-Type": CONTENT_TYPE, **tracing.headers()} if body is not None else {}
    connection.request(method, path, body, headers)
    with connection.getresponse() as response:
        return response.status, response.read()
