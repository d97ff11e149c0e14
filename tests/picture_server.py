"""A small real HTTP server that serves what a test tells it to, well-behaved or not.

    with PictureServer() as server:
        url = server.serve(data)
        away = server.redirect("http://elsewhere/")

It listens on 127.0.0.1, on a free port. An answer is a script: the raw bytes to send, one after
another, and numbers: seconds to wait in between, or RESET, which breaks the connection off.
"""

import contextlib
import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

Script = Callable[[], Iterable[bytes | float]]
RESET = float("inf")
_AT_ONCE = struct.pack("ii", 1, 0)


def head(status: int = 200, **headers: object) -> bytes:
    """The head of an answer; `content_type="a"` becomes `Content-Type: a`."""
    lines = [f"HTTP/1.1 {status} So"]
    lines += [f"{name.replace('_', '-').title()}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@dataclass
class Request:
    """What a client sent: the path and, by lower-case name, the headers."""

    path: str
    headers: dict[str, str] = field(default_factory=dict)


class PictureServer:
    """Serves scripts by path. `requests` are all so far; `tls` a certificate file with its key,
    or what is to be spoken."""

    def __init__(self, tls: str | ssl.SSLContext = "") -> None:
        self.requests: list[Request] = []
        self._scripts: dict[str, list[Script]] = {}
        self._stopping = threading.Event()
        self._server = _Server(("127.0.0.1", 0), self._handle)
        self._scheme = "http"
        if tls:
            if isinstance(tls, str):
                certificate, tls = tls, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                tls.load_cert_chain(certificate)
            self._server.tls = tls
            self._scheme = "https"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    @property
    def address(self) -> tuple[str, int]:
        """Its host and port, as an allow-list takes them."""
        return "127.0.0.1", self.port

    def url(self, path: str) -> str:
        """The URL of a path here."""
        return f"{self._scheme}://127.0.0.1:{self.port}{path}"

    def serve(
        self, data: bytes, content_type: str = "image/jpeg", status: int = 200, path: str = ""
    ) -> str:
        """The URL at which these bytes are from now on."""
        first = head(status, content_type=content_type, content_length=len(data))
        return self.script(lambda: (first, data), path=path)

    def redirect(self, target: str, status: int = 302, path: str = "") -> str:
        """The URL that from now on redirects to `target`."""
        return self.script(lambda: (head(status, location=target, content_length=0),), path=path)

    def slow(self, data: bytes, piece: int = 1, pause: float = 0.05) -> str:
        """The URL at which these bytes drip from now on."""

        def dripping() -> Iterator[bytes | float]:
            yield head(content_length=len(data))
            for start in range(0, len(data), piece):
                yield data[start : start + piece]
                yield pause

        return self.script(dripping)

    def endless(self, piece: bytes = bytes(65536), **headers: object) -> str:
        """The URL of a body that never ends."""

        def forever() -> Iterator[bytes]:
            yield head(200, **headers)
            while True:
                yield piece

        return self.script(forever)

    def script(self, *scripts: Script, path: str = "") -> str:
        """The URL that from now on answers with one script after the other, then the last."""
        path = path or f"/{len(self._scripts)}"
        self._scripts[path] = list(scripts)
        return self.url(path)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handle(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            request = _read_request(connection)
            self.requests.append(request)
            scripts = self._scripts.get(request.path, [lambda: (head(404, content_length=0),)])
            script = scripts.pop(0) if len(scripts) > 1 else scripts[0]
            for step in script():
                if self._stopping.is_set():
                    return
                if isinstance(step, bytes):
                    connection.sendall(step)
                elif step == RESET:
                    # Closed so, TCP says RST and not FIN.
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                    connection.close()
                    return
                else:
                    self._stopping.wait(step)


class _Server(socketserver.ThreadingTCPServer):
    request_queue_size = 128
    daemon_threads = False
    tls: ssl.SSLContext | None = None

    def __init__(self, address: tuple[str, int], handle: Callable[[socket.socket], None]) -> None:
        super().__init__(address, socketserver.BaseRequestHandler)
        self._handle = handle

    def finish_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        del client_address
        request.settimeout(10)
        if self.tls is None:
            self._handle(request)
            return
        with contextlib.suppress(OSError), self.tls.wrap_socket(request, server_side=True) as tls:
            self._handle(tls)


def _read_request(connection: socket.socket) -> Request:
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65536)
        received += piece
        if not piece or not received.startswith(b"GET "):
            connection.sendall(head(400, content_length=0))
            raise ConnectionError("no request")
    first, *lines = received.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    headers = (line.partition(":") for line in lines)
    return Request(first.split(" ")[1], {name.lower(): value.strip() for name, _, value in headers})


class Canary:
    """Listens on one port of all addresses, IPv4 and IPv6, and counts who connects."""

    def __init__(self) -> None:
        self._count = 0
        self._sockets = [socket.create_server(("0.0.0.0", 0), backlog=128)]
        self.port = int(self._sockets[0].getsockname()[1])
        if socket.has_ipv6:
            with contextlib.suppress(OSError):  # no IPv6 on this machine
                self._sockets.append(
                    socket.create_server(("::", self.port), family=socket.AF_INET6, backlog=128)
                )
        for listening in self._sockets:
            listening.setblocking(False)

    @property
    def connections(self) -> int:
        """How many connections were made so far, answered or not."""
        for listening in self._sockets:
            with contextlib.suppress(BlockingIOError):
                while True:
                    listening.accept()[0].close()
                    self._count += 1
        return self._count

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for listening in self._sockets:
            listening.close()
