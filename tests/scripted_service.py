"""A small real HTTP server that answers as a test tells it, well-behaved or not.

    with scripted(lambda request: Reply(503, headers={"Retry-After": "1"})) as service:
        Client(service.url)

`None` instead of a reply breaks the connection off.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Request:
    """What a client sent. `number` counts from 1; header names are in lower case."""

    number: int
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What to answer: a JSON document, or text."""

    status: int = 200
    body: object = None
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


Script = Callable[[Request], Reply | None]


def problem(status: int, code: str, detail: str = "", **headers: str) -> Reply:
    """An error answer of the service."""
    body = {"type": "about:blank", "title": "A title", "status": status, "code": code}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, body | {"detail": detail}, "application/problem+json", named)


def job(state: str = "done", **more: object) -> Reply:
    """The answer to a submission."""
    body = {
        "job": "j1",
        "state": state,
        "hash": "a" * 64,
        "name": "a.jpg",
        "url": None,
        "attempts": 1,
        "faces": 1,
        "code": None,
        "detail": None,
    }
    return Reply(200 if state in ("done", "failed", "erased") else 202, body | more)


class Scripted:
    """A server; `requests` are all that came so far."""

    def __init__(self, script: Script) -> None:
        self.requests: list[Request] = []
        scripted, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                parts = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with lock:
                    request = Request(
                        len(scripted.requests) + 1,
                        self.command,
                        parts.path,
                        dict(parse_qsl(parts.query)),
                        {name.lower(): value for name, value in self.headers.items()},
                        body,
                    )
                    scripted.requests.append(request)
                reply = script(request)
                if reply is None:
                    self.close_connection = True
                    return
                text = reply.body if isinstance(reply.body, str) else json.dumps(reply.body)
                data = b"" if reply.status == 204 else text.encode()
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", reply.kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_DELETE = handle_any

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def scripted(script: Script) -> Iterator[Scripted]:
    """A server that answers each request with what `script` gives for it."""
    service = Scripted(script)
    try:
        yield service
    finally:
        service.close()
