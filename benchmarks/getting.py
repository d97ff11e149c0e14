"""GET requests as cheap as Python makes them, over connections that are kept: for load."""

import http.client
from collections import deque
from collections.abc import Callable
from urllib.parse import urlsplit

_SECONDS = 30.0


class Refused(Exception):
    """An answer with another status than 200, which is `code`."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.code = str(status)


class Getter:
    """Safe to share between threads: each request under way has a connection of its own."""

    def __init__(self, url: str, path_of: Callable[[int], str]) -> None:
        """`path_of`: what to get of the service at `url`, by the number of the request."""
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port
        self._path_of = path_of
        self._idle: deque[http.client.HTTPConnection] = deque()

    def __call__(self, number: int) -> None:
        """Get one and read it all. Raises Refused, OSError, HTTPException."""
        try:
            self._get(self._path_of(number))
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            # A server may end a connection while it is idle.
            self.close()
            self._get(self._path_of(number))

    def close(self) -> None:
        """End the connections that are idle."""
        while self._idle:
            self._idle.pop().close()

    def _get(self, path: str) -> None:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=_SECONDS)
        try:
            connection.request("GET", path)
            with connection.getresponse() as response:
                response.read()
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        if response.status != http.client.OK:
            raise Refused(response.status)
