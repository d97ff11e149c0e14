"""What comes before there is a request for the application: its head, which has to come in time,
and the answer to who sends something that is none. Used by `api.server`.
"""

import socket
import threading
import time
from http import HTTPStatus
from typing import Any, Protocol

from api.parting import stop_listening
from api.problems import CONTENT_TYPE, problem

#: Within which a head comes, however it trickles: a thread reads it, and there are only so many.
#: The second is for when many are awaited at once.
HEAD_SECONDS, HURRIED_SECONDS = 10.0, 1.0
_LOOK_SECONDS = 0.5
_NOT_A_REQUEST = "that is no request that can be read"


class Connection(Protocol):
    """Of gunicorn's connections."""

    sock: socket.socket


class Heads:
    """The connections on which a head is awaited. Safe to share between threads."""

    def __init__(self, many: int) -> None:
        """`many`: if more than so many are awaited at once, each has HURRIED_SECONDS."""
        self._many = many
        self._lock = threading.Lock()
        self._since: dict[Connection, float] = {}

    def start(self) -> None:
        """Look after them from now on, in a thread that ends with the process."""
        threading.Thread(target=self._look, name="heads", daemon=True).start()

    def begin(self, connection: Connection) -> None:
        """A thread begins to read a head."""
        with self._lock:
            self._since[connection] = time.monotonic()

    def end(self, connection: Connection) -> None:
        """It has it, or gives up. No-op for one that it was told of before."""
        with self._lock:
            self._since.pop(connection, None)

    def _look(self) -> None:
        while True:
            time.sleep(_LOOK_SECONDS)
            with self._lock:
                hurried = len(self._since) > self._many
                late = time.monotonic() - (HURRIED_SECONDS if hurried else HEAD_SECONDS)
                overdue = [one for one, since in self._since.items() if since < late]
            for one in overdue:
                stop_listening(one.sock)


class AsProblem:
    """A socket to which gunicorn writes a page that says what is wrong, in place of which a problem
    goes out."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def sendall(self, page: bytes) -> None:
        """See socket.socket; `page`: status line, headers and body."""
        status = HTTPStatus(int(page.split(b" ", 2)[1]))
        ours = status == HTTPStatus.INTERNAL_SERVER_ERROR
        code, detail = ("internal_error", "") if ours else ("bad_request", _NOT_A_REQUEST)
        body = problem(code, detail, status=status).get_data()
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}",
            "Connection: close",
            "Cache-Control: no-store",
            f"Content-Type: {CONTENT_TYPE}",
            f"Content-Length: {len(body)}",
        )
        self._connection.sendall("\r\n".join((*head, "", "")).encode() + body)
