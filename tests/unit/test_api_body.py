"""Uploads that stall or crawl, under real gunicorn: they keep no thread."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import requests
from api_server import Running, serving

FRAMINGS = ("Content-Length: 100000", "Transfer-Encoding: chunked")
THREADS = 4
SILENT = 2.0
WHOLE = 6.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("server")
    few = {"api_threads": str(THREADS), "api_waiters": "1"}
    with serving(folder, str(SILENT), str(WHOLE), **few) as running:
        yield running


def upload(server: Running, framing: str) -> socket.socket:
    """A connection with the head and some of the body of a submission sent."""
    host, port = server.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), 10)
    head = f"POST /v1/images HTTP/1.1\r\nHost: {host}\r\n{framing}\r\n\r\n"
    connection.sendall(head.encode() + b"ff\r\npicture")
    return connection


def answer_of(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    return b"".join(iter(lambda: connection.recv(10_000), b""))


def test_more_stalled_uploads_than_threads_hold_nobody_up_for_long(server: Running) -> None:
    with ExitStack() as stack:
        stalled = [
            stack.enter_context(upload(server, FRAMINGS[number % 2]))
            for number in range(THREADS + 2)
        ]
        time.sleep(0.3)
        before = time.monotonic()
        assert requests.get(f"{server.url}/healthz", timeout=10).status_code == 200
        assert time.monotonic() - before < 2 * SILENT + 1.5
        for connection in stalled:
            answer = answer_of(connection)
            assert answer.startswith(b"HTTP/1.1 400 ")
            assert b"the body came too slowly" in answer
    assert not [line for line in server.logged if "nobody planned" in line or "Traceback" in line]


@pytest.mark.parametrize("framing", FRAMINGS)
def test_an_upload_that_crawls_is_cut_off_after_a_while(server: Running, framing: str) -> None:
    before = time.monotonic()
    with upload(server, framing) as connection:
        connection.settimeout(SILENT / 10)
        answer = b""
        while not answer and time.monotonic() - before < 3 * WHOLE:
            try:
                answer = connection.recv(10_000)
            except TimeoutError:
                connection.sendall(b"x")
        assert WHOLE - 0.1 < time.monotonic() - before < 2 * WHOLE
        connection.settimeout(10)
        answer += answer_of(connection)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"the body came too slowly" in answer


def test_a_slow_client_that_keeps_moving_is_served_and_its_connection_kept(
    server: Running,
) -> None:
    def slowly(number: int) -> Iterator[bytes]:
        for _ in range(5):
            yield b"%d" % number * 100
            time.sleep(SILENT / 3)

    with requests.Session() as session:
        for number in range(2):
            answer = session.post(f"{server.url}/v1/images", data=slowly(number), timeout=10)
            assert answer.status_code == 202
        # Longer than a client may be silent in a body, and within what is kept alive.
        time.sleep(SILENT + 0.3)
        assert session.get(f"{server.url}/healthz", timeout=10).status_code == 200
