"""GET /metrics on a port of its own, so that who may ask is not who may use the service.

Used where a process is put together. A small server of the standard library: a monitoring system
asks it every few seconds.
"""

import socket
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import structlog

from facematch.errors import Misconfigured
from facematch.metrics import CONTENT_TYPE
from facematch.settings import Settings

PATH = "/metrics"
_SILENT_SECONDS = 5.0

_log = structlog.get_logger()


class MetricsPort:
    """A port that is listened on from now on, and answered from `serve` on, perhaps in a process
    that was forked meanwhile."""

    def __init__(self, host: str, port: int) -> None:
        """Port 0: any free one. Raises Misconfigured."""
        self._serving = False
        try:
            family, _, _, _, address = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            self._server = _Server(family, (str(address[0]), int(address[1])))
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise Misconfigured(
                f"cannot tell metrics on {host} port {port}: {reason} (FACEMATCH_METRICS_PORT)"
            ) from error

    @property
    def port(self) -> int:
        """That."""
        return int(self._server.server_address[1])

    def serve(self, encode: Callable[[], bytes]) -> None:
        """Answer with what `encode` gives, in a thread of its own."""
        self._server.encode = encode
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()
        self._serving = True
        _log.info("tells metrics", port=self.port)

    def close(self) -> None:
        """Answer no more."""
        if self._serving:
            self._server.shutdown()
        self._server.server_close()


def open_port(settings: Settings) -> MetricsPort | None:
    """That of a process with these settings; None where they want none. Raises Misconfigured."""
    if settings.metrics_port == 0:
        return None
    return MetricsPort(settings.metrics_host, settings.metrics_port)


class _Server(ThreadingHTTPServer):
    encode: Callable[[], bytes]

    def __init__(self, family: int, address: tuple[str, int]) -> None:
        self.address_family = family
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # HTTPServer's own looks up the host's name, which may take long.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "", self.server_address[1]

    def handle_error(self, request: object, client_address: object) -> None:
        if isinstance(sys.exception(), OSError):
            return  # who asked went away meanwhile
        _log.exception("metrics cannot be told")


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _SILENT_SECONDS

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != PATH:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        body = self.server.encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        return "facematch"

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: it would be a line every few seconds."""
