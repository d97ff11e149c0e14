"""What is sent to the api's port and is no request, or does not become one, under real gunicorn."""

import json
import os
import random
import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import pytest
import requests
from api_server import Running, serving

from api.heads import Heads
from api.problems import CONTENT_TYPE
from facematch.errors import CODES

THREADS = 4
HEAD, STUCK = 1.0, 1.5
GARBAGE = int(os.environ.get("INPUT_EXAMPLES", "60"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("server")
    few = {"api_threads": str(THREADS), "api_waiters": "1"}
    with serving(folder, "1.0", "3.0", str(HEAD), str(STUCK), **few) as running:
        yield running


def connected(server: Running, room: int = 0) -> socket.socket:
    """`room`: bytes that the connection holds for who does not read."""
    host, port = server.url.removeprefix("http://").split(":")
    connection = socket.socket()
    connection.settimeout(10)
    if room:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    connection.connect((host, int(port)))
    return connection


def answer_to(server: Running, sent: bytes) -> bytes:
    """All that comes back to who sends this and no more."""
    with connected(server) as connection, suppress(ConnectionError):
        with suppress(ConnectionError):  # it may have heard enough
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))
    return b""


NONE = {
    "nonsense": (b"nonsense\r\n\r\n", 400),
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100) + b"\r\n\r\n", 400),
    "http-2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "redis": (b"*1\r\n$8\r\nFLUSHALL\r\n\r\n", 400),
    "a version that is not": (b"GET / HTTP/9.9\r\n\r\n", 400),
    "a method that is none": (b"G\x00T / HTTP/1.1\r\n\r\n", 400),
    "a path with a zero": (b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a long path": (b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\n\r\n", 414),
    "a header without a colon": (b"GET / HTTP/1.1\r\nnonsense\r\n\r\n", 400),
    "a header with a space": (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    "a header over two lines": (b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", 400),
    "a header with a zero": (b"GET / HTTP/1.1\r\nA: \x00\r\n\r\n", 400),
    "a long header": (b"GET / HTTP/1.1\r\nA: " + b"b" * 20_000 + b"\r\n\r\n", 431),
    "many headers": (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431),
    "two lengths": (
        b"POST /v1/images HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        400,
    ),
    "a negative length": (b"POST /v1/images HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
    "a length of letters": (b"POST /v1/images HTTP/1.1\r\nContent-Length: a\r\n\r\n", 400),
    "a length with a sign": (b"POST /v1/images HTTP/1.1\r\nContent-Length: +1\r\n\r\na", 400),
    "length and chunks": (
        b"POST /v1/images HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\n",
        400,
    ),
    "an encoding that is not": (
        b"POST /v1/images HTTP/1.1\r\nTransfer-Encoding: pied-piper\r\n\r\n",
        501,
    ),
    "a chunk of letters": (
        b"POST /v1/images HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        400,
    ),
    "an expectation that is not": (b"GET / HTTP/1.1\r\nExpect: wonders\r\n\r\n", 417),
}


@pytest.mark.parametrize("name", NONE)
def test_what_is_no_request_is_answered_with_a_problem(server: Running, name: str) -> None:
    sent, status = NONE[name]
    head, _, body = answer_to(server, sent).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert f"Content-Type: {CONTENT_TYPE}".encode() in head
    told = json.loads(body)
    assert (told["code"], told["status"]) == ("bad_request", status)


def test_more_half_heads_than_threads_hold_nobody_up_for_long(server: Running) -> None:
    with ExitStack() as stack:
        stalled = [stack.enter_context(connected(server)) for _ in range(3 * THREADS)]
        for number, connection in enumerate(stalled):
            connection.sendall(b"GET / HTTP/1.1\r\nX: y\r\n"[: 5 + number])
        time.sleep(0.3)
        before = time.monotonic()
        assert requests.get(f"{server.url}/healthz", timeout=20).status_code == 200
        assert time.monotonic() - before < 15


def test_who_says_nothing_at_all_holds_nobody_up(server: Running) -> None:
    with ExitStack() as stack:
        for _ in range(6 * THREADS):
            stack.enter_context(connected(server))
        before = time.monotonic()
        assert requests.get(f"{server.url}/healthz", timeout=20).status_code == 200
        assert time.monotonic() - before < 15


@dataclass(eq=False)
class Awaited:
    sock: socket.socket


@pytest.mark.parametrize("awaited", [2, 3])
def test_where_many_heads_are_awaited_each_has_less_time(
    awaited: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.heads.HURRIED_SECONDS", 0.1)
    heads = Heads(many=2)
    heads.start()
    with ExitStack() as stack:
        pairs = [socket.socketpair() for _ in range(awaited)]
        for ours, theirs in pairs:
            stack.enter_context(ours)
            stack.enter_context(theirs)
            heads.begin(Awaited(ours))
        ready, _, _ = select.select([ours for ours, _ in pairs], [], [], 20 if awaited > 2 else 1.5)
        assert bool(ready) == (awaited > 2)


def test_a_head_that_trickles_is_cut_off(server: Running) -> None:
    before = time.monotonic()
    with connected(server) as connection, suppress(ConnectionError):
        connection.settimeout(0.1)
        connection.sendall(b"GET / HTTP/1.1\r\nX: ")
        while time.monotonic() - before < 10 * HEAD:
            with suppress(TimeoutError):
                if not connection.recv(100):
                    break
            connection.sendall(b"y")
    assert HEAD - 0.5 < time.monotonic() - before < 9 * HEAD


def test_who_sends_nonsense_and_stays_holds_nobody_up(server: Running) -> None:
    before = time.monotonic()
    with ExitStack() as stack:
        for _ in range(4):
            connection = stack.enter_context(connected(server))
            connection.sendall(b"nonsense\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
        assert requests.get(f"{server.url}/healthz", timeout=20).status_code == 200
        assert time.monotonic() - before < 7


@pytest.mark.parametrize("path", ["/openapi.json", "/static/page.css"])
def test_who_takes_nothing_of_the_answers_is_left(server: Running, path: str) -> None:
    asked = f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    with ExitStack() as stack:
        for _ in range(THREADS):
            connection = stack.enter_context(connected(server, room=4096))
            connection.sendall(asked * 20)
        time.sleep(STUCK + 1)
        answered = requests.get(f"{server.url}/healthz", timeout=20)
        assert answered.status_code == 200
        assert not [line for line in server.logged if "Traceback" in line]


def test_a_connection_that_is_kept_may_be_silent_for_longer(server: Running) -> None:
    with connected(server) as connection:
        for _ in range(2):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = b""
            while b'"ok"' not in answer and (piece := connection.recv(1000)):
                answer += piece
            assert answer.startswith(b"HTTP/1.1 200 ")
            time.sleep(HEAD + 1)


def test_any_bytes_at_all_are_answered_with_a_code(
    server: Running, figure: Callable[[str], None]
) -> None:
    chance = random.Random(1)
    request = (
        b"POST /v1/images?name=a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
        b"Content-Type: image/png\r\nTransfer-Encoding: identity\r\n\r\nhello"
    )
    codes: Counter[str] = Counter()
    for _ in range(GARBAGE):
        data = bytearray(request)
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(len(data))
            data[at : at + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
        head, _, body = answer_to(server, bytes(data)).partition(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1]) if head else 0
        assert status != 500
        if status >= 400:
            assert f"Content-Type: {CONTENT_TYPE}".encode() in head
            code = json.loads(body)["code"]
            assert code in CODES
            codes[code] += 1
        else:
            codes[str(status)] += 1
    figure(f"bytes sent to the port: {len(NONE) + GARBAGE}, each answered or hung up on: {codes}")
    assert codes["bad_request"] > GARBAGE / 4
    assert requests.get(f"{server.url}/healthz", timeout=10).status_code == 200
    assert not [line for line in server.logged if "nobody planned" in line or "Traceback" in line]
