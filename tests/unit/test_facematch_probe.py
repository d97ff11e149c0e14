"""The probe asks over TCP and over a unix socket, and says why something is not well."""

import http.server
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from facematch.probe import ask, main

ROOT = Path(__file__).parents[2]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        well = self.path == "/healthz"
        body = b"{}" if well else b'{"code": "index_loading", "detail": "3 of 10 loaded"}'
        self.send_response(200 if well else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return ""

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(params=["tcp", "unix"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Of a server, without a path."""
    if request.param == "tcp":
        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        with serving(server):
            yield f"http://127.0.0.1:{server.server_port}"
    else:
        path = tmp_path / "s"
        with serving(socketserver.UnixStreamServer(str(path), Handler)):
            yield f"unix:{path}:"


def test_what_is_well_is_so_and_what_is_not_says_why(url: str) -> None:
    assert ask(f"{url}/healthz") == ""
    assert ask(f"{url}/readyz") == "503 3 of 10 loaded"


def test_the_exit_status_is_what_an_orchestrator_looks_at(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"{url}/healthz"]) == 0
    assert main([f"{url}/readyz"]) == 1
    assert capsys.readouterr().err == "503 3 of 10 loaded\n"


def test_nobody_there_is_not_well(tmp_path: Path) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert "refused" in ask(f"http://127.0.0.1:{bound.getsockname()[1]}/healthz")
    assert "No such file" in ask(f"unix:{tmp_path}/none:/healthz")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["one", "two"],
        ["/run/index.sock"],
        ["unix:/run/index.sock"],
        ["https://x/"],
        ["http:///x"],
        ["http://x y/"],
    ],
)
def test_another_use_is_said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("usage: ")


def test_it_imports_nothing_that_takes_time() -> None:
    code = "import sys, facematch.probe; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).split()
    assert {"numpy", "pydantic", "structlog", "requests"}.isdisjoint(loaded)
    assert [name for name in loaded if name.startswith("facematch")] == [
        "facematch",
        "facematch.probe",
    ]
