"""A small HTTP server for one process to ask another with: waitress, on a unix socket or TCP.

Used by the index, and by workers for searches. Bodies stay in memory: none goes through a file.
"""

import socket
from pathlib import Path
from wsgiref.types import WSGIApplication

from waitress.server import create_server

from facematch.errors import Misconfigured

_MOST_ANSWER_BYTES = 1024**3


class HttpServer:
    """Serves one application, once."""

    def __init__(
        self,
        app: WSGIApplication,
        where: str | socket.socket,
        *,
        part: str,
        threads: int,
        most_bytes: int,
        most_connections: int = 100,
    ) -> None:
        """`where`: the path of a unix socket, made in place of one that a dead process has left; or
        a socket of TCP that is bound. `part`: who serves, for messages. `most_bytes`: of a request.

        Raises Misconfigured when another process serves that path, OSError when it cannot be made.
        """
        self._path = Path(where) if isinstance(where, str) else None
        self._map: dict[int, object] = {}
        place: dict[str, object] = {"sockets": [where]}
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path.exists() and not self._path.is_socket():
                raise Misconfigured(f"cannot listen on {where}: there is something else")
            if _is_served(str(where)):
                raise Misconfigured(f"cannot listen on {where}: another {part} does")
            place = {"unix_socket": where, "unix_socket_perms": "660"}
        self._server = create_server(
            app,
            map=self._map,
            **place,
            threads=threads,
            ident="",
            connection_limit=most_connections,
            max_request_body_size=most_bytes,
            # Above these they would go through temporary files on disk.
            inbuf_overflow=most_bytes,
            outbuf_overflow=_MOST_ANSWER_BYTES,
        )

    def run(self) -> None:
        """Serve until `stop`."""
        self._server.run()

    def stop(self, seconds: float = 1.0) -> None:
        """Make `run` return, from any thread: no new connection, an answer in work so many
        seconds."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

        def end() -> None:
            self._server.task_dispatcher.shutdown(timeout=seconds)
            self._server.asyncore.close_all(self._map)

        self._server.trigger.pull_trigger(end)


def _is_served(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(1)
        try:
            asking.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        return True
