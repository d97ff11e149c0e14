"""Has workers search, over their sockets: the api's end of `facematch.searching`.

Where it leads to is asked anew for each search, so that workers may come and go. They are asked in
turns; one that is busy, away or behind is passed over for the next.
"""

import http.client
import itertools
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from facematch.errors import CODES, FacematchError, Misconfigured, Unavailable
from facematch.searching import CONTENT_TYPE, PATH, STATUS, Found, Nobody, Probe, Searcher
from facematch.sidecar import UnixConnection, socket_path
from facematch.wire import decode_error

_UNIX = "unix:"
#: Seconds to connect: a worker that is there takes it at once.
_CONNECT_SECONDS = 2.0
_OK = http.client.OK


@dataclass(frozen=True)
class _Tcp:
    host: str
    port: int

    def connection(self, timeout: float) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)


@dataclass(frozen=True)
class _Unix:
    path: str

    def connection(self, timeout: float) -> http.client.HTTPConnection:
        return UnixConnection(self.path, timeout)


def open_searcher(url: str, most: int) -> Searcher:
    """The workers at `unix:/path`, a folder with a socket of each, or at `http://host:port`, of
    which every address is one; several, with commas between. "": nobody. Nothing is connected yet.

    `most`: searches at a time. Raises Misconfigured for any other URL.
    """
    return SearchWorkers(url, most) if url else Nobody()


def listening_place(url: str, host: str, port: int) -> str | socket.socket | None:
    """Where a worker listens: on a unix socket of its own where the URL is of a folder, else on
    this address, bound by now; None: nowhere, the port is 0. Raises Misconfigured."""
    if url.startswith(_UNIX):
        return str(Path(socket_path(url)) / f"{os.getpid()}.sock")
    if not port:
        return None
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        raise Misconfigured(f"cannot listen on {host} port {port} for searches: {error}") from error


class SearchWorkers:
    """See facematch.searching.Searcher. Safe to share between threads."""

    def __init__(self, url: str, most: int) -> None:
        """See `open_searcher`."""
        self._folder: Path | None = None
        self._hosts: list[tuple[str, int]] = []
        if url.startswith(_UNIX):
            self._folder = Path(socket_path(url))
        else:
            self._hosts = [_host_and_port(one.strip()) for one in url.split(",")]
        self._places = threading.Semaphore(most)
        self._turns = itertools.count()

    def search(self, probe: Probe) -> Found:
        """See Searcher. Waits no longer than the probe says."""
        if not self._places.acquire(blocking=False):
            raise Unavailable("search_busy")
        try:
            return self._search(probe)
        finally:
            self._places.release()

    def _search(self, probe: Probe) -> Found:
        deadline = time.monotonic() + probe.asked.seconds
        met: Unavailable | None = None
        for worker in self._in_turn():
            left = deadline - time.monotonic()
            if left <= 0:
                raise Unavailable("search_busy", "no worker has answered in time")
            asked = replace(probe.asked, seconds=left)
            try:
                return _ask(worker, replace(probe, asked=asked), left)
            except Unavailable as error:
                # Who is busy will be free; what else is wrong says more than that nobody is there.
                if met is None or met.code == "search_unavailable" or error.code == "search_busy":
                    met = error
        raise met or Unavailable("search_unavailable")

    def _in_turn(self) -> list[_Tcp | _Unix]:
        found = list(self._workers())
        first = next(self._turns) % max(1, len(found))
        return found[first:] + found[:first]

    def _workers(self) -> Iterator[_Tcp | _Unix]:
        if self._folder is not None:
            for path in sorted(self._folder.glob("*.sock")):
                yield _Unix(str(path))
        for host, port in self._hosts:
            try:
                told = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError):
                continue  # as long as there is none, it may have no address
            for address in sorted({str(one[4][0]) for one in told}):
                yield _Tcp(address, port)


def _host_and_port(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        if parts.scheme == "http" and parts.hostname and parts.port and parts.path in ("", "/"):
            return parts.hostname, parts.port
    except ValueError:
        pass
    raise Misconfigured("the URL of workers that search is http://host:port or unix:/folder")


def _ask(worker: _Tcp | _Unix, probe: Probe, seconds: float) -> Found:
    """Raises what it answers; Unavailable("search_unavailable") when it is not there."""
    began = time.monotonic()
    with closing(worker.connection(min(_CONNECT_SECONDS, seconds))) as connection:
        try:
            connection.connect()
            connection.sock.settimeout(seconds)
            headers = {"Content-Type": CONTENT_TYPE, "Connection": "close"}
            connection.request("POST", PATH, probe.encode(), headers)
            response = connection.getresponse()
            status, body = response.status, response.read()
        except TimeoutError as error:
            code = "search_busy" if time.monotonic() - began >= seconds else "search_unavailable"
            raise Unavailable(code, f"no answer in {seconds:.0f} s") from error
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable("search_unavailable", f"a worker: {error}") from error
    if status == _OK:
        try:
            return Found.decode(body)
        except ValueError as error:
            raise Unavailable("other_version", "a worker answers in another form") from error
    code, detail = decode_error(body)
    if code not in CODES:
        raise Unavailable("other_version", f"a worker answers {status}, {code}")
    raise STATUS.get(status, FacematchError)(code, detail)
