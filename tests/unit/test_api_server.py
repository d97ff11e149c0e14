"""The api under real gunicorn: waiting starves nobody, large and broken bodies, stops, starts."""

import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from api_server import LIMIT, Running, serving, start
from waiting import eventually

from facematch.redis_connection import connect


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("server")) as running:
        yield running


def wait_for(server: Running, number: int) -> requests.Response:
    return requests.post(f"{server.url}/v1/images?wait=30", data=b"slow %d" % number, timeout=60)


def test_a_hundred_waiting_clients_starve_nobody_and_are_let_go_at_a_stop(
    tmp_path: Path,
) -> None:
    with serving(tmp_path) as server, ThreadPoolExecutor(100) as clients:
        waiting = [clients.submit(wait_for, server, number) for number in range(100)]
        # A submission that was accepted and is not answered is one that waits.
        eventually(lambda: sum("put aside" in line for line in [*server.logged]) == 100)
        assert not any(answer.done() for answer in waiting)
        times = []
        with requests.Session() as session:
            for number in range(40):
                before = time.monotonic()
                assert session.get(f"{server.url}/healthz", timeout=10).status_code == 200
                assert session.get(f"{server.url}/match/{'0' * 64}", timeout=10).json() == []
                picture = b"quick %d" % number
                answer = session.post(f"{server.url}/v1/images?wait=5", data=picture, timeout=10)
                assert answer.json()["state"] == "done"
                times.append(time.monotonic() - before)
        assert sorted(times)[30] < 5, times
        assert not any(answer.done() for answer in waiting)

        server.process.send_signal(signal.SIGTERM)
        before = time.monotonic()
        answers = [answer.result() for answer in waiting]
        assert {answer.status_code for answer in answers} == {202}
        assert server.process.wait(30) == 0
        assert time.monotonic() - before < 10


def test_a_body_without_a_length_is_taken_up_to_the_limit(server: Running) -> None:
    def chunks(total: int) -> Iterator[bytes]:
        for _ in range(total // 1000):
            yield b"x" * 1000

    url = f"{server.url}/v1/images"
    assert requests.post(url, data=chunks(LIMIT), timeout=20).status_code == 202
    answer = requests.post(url, data=chunks(LIMIT + 1000), timeout=20)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize("times", [1.01, 7])
@pytest.mark.parametrize("path", ["/v1/images", "/scan/image/a.jpg"])
def test_who_sends_too_much_gets_to_hear_it(server: Running, path: str, times: float) -> None:
    answer = requests.post(server.url + path, data=b"x" * int(LIMIT * times), timeout=20)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_a_body_cut_short_is_no_picture(server: Running) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    for framing in ("Content-Length: 1000", "Transfer-Encoding: chunked"):
        with socket.create_connection((host, int(port)), 10) as connection:
            head = f"POST /v1/images HTTP/1.1\r\nHost: {host}\r\n{framing}\r\n\r\n"
            connection.sendall(head.encode() + b"ff\r\npicture")
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(10_000)
        assert answer.startswith(b"HTTP/1.1 400 "), framing
        assert b"application/problem+json" in answer
    assert not [line for line in server.logged if "nobody planned" in line]


def test_a_kept_alive_connection_serves_many_requests(server: Running) -> None:
    with requests.Session() as session:
        for number in range(20):
            answer = session.post(f"{server.url}/scan/image/a", data=b"%d" % number, timeout=10)
            assert answer.status_code == 200


def test_requests_sent_ahead_and_one_after_a_pause_are_answered_in_turn(server: Running) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    request = f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    with socket.create_connection((host, int(port)), 10) as connection:
        # Longer than a thread stays with a connection, and shorter.
        for pause in (0.2, 0.01):
            connection.sendall(request * 3)
            answered = b""
            while answered.count(b'{"status":"ok"}') < 3:
                more = connection.recv(10_000)
                assert more, answered
                answered += more
            assert answered.count(b"HTTP/1.1 200 OK") == 3
            time.sleep(pause)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = process.communicate(timeout=30)
    return process.returncode, errors.splitlines()[-1]


def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, last = finish(start(tmp_path, ["api"], port=port))
    assert code == 1
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in last


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [
        ("ledger", "/dev/null/ledger", "the erasure ledger cannot be written"),
        ("api_waiters", "500", "none would be left"),
        ("broker_url", "http://broker", "a broker URL begins with"),
        ("redis_url", "http://redis", "a Redis URL is"),
        ("port", "seventy", "FACEMATCH_PORT"),
        ("failpoint", "nowhere:kill", "no such failpoint"),
    ],
)
def test_what_cannot_work_is_refused_at_the_start(
    tmp_path: Path, setting: str, value: str, reason: str
) -> None:
    code, last = finish(start(tmp_path, ["api"], **{setting: value}))
    assert code == 1
    assert reason in last


def test_a_redis_that_may_lose_what_it_took_is_refused_at_the_start(
    tmp_path: Path, redis_url: str
) -> None:
    with connect(redis_url) as client:
        before = client.config_get("appendfsync")["appendfsync"]
        client.config_set("appendfsync", "everysec")
        try:
            code, last = finish(start(tmp_path, ["api"], redis_url=redis_url))
        finally:
            client.config_set("appendfsync", before)
    assert code == 1
    assert "appendfsync is everysec" in last


def test_an_api_without_redis_waits_and_says_so(tmp_path: Path) -> None:
    process = start(tmp_path, ["api"], redis_url="redis://127.0.0.1:1/0")
    assert process.stderr is not None
    try:
        lines = iter(process.stderr.readline, "")
        found = next(line for line in lines if "waiting for Redis" in line)
        assert json.loads(found)["level"] == "warning"
        assert process.poll() is None
    finally:
        process.terminate()
        process.wait(10)
        process.stderr.close()
