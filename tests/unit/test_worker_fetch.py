"""Fetching: what works, what is followed, what is tried again."""

import socket
import threading
import time
from pathlib import Path

import pytest
from fetching import PICTURE, code, limits, refusal
from picture_server import Canary, PictureServer, head

from facematch import __version__
from worker.fetch import Fetcher

pytest_plugins = ["fetching_fixtures"]
pytestmark = pytest.mark.usefixtures("offline", "no_pause")


def test_a_picture_is_fetched_byte_for_byte(server: PictureServer) -> None:
    assert Fetcher(limits(server)).fetch(server.serve(PICTURE)) == PICTURE


@pytest.mark.parametrize("content_type", ["text/html", "application/json", "nonsense", ""])
def test_the_content_type_does_not_matter(server: PictureServer, content_type: str) -> None:
    url = server.serve(PICTURE, content_type)
    assert Fetcher(limits(server)).fetch(url) == PICTURE


def test_an_empty_answer_is_fetched_as_no_bytes(server: PictureServer) -> None:
    for url in (server.serve(b""), server.script(lambda: (head(204),))):
        assert Fetcher(limits(server)).fetch(url) == b""


def test_a_chunked_answer_is_fetched(server: PictureServer) -> None:
    chunks = b"".join(b"%x\r\n%b\r\n" % (100, PICTURE[i : i + 100]) for i in range(0, 1000, 100))
    answer = head(transfer_encoding="chunked"), chunks, b"0\r\n\r\n"
    assert Fetcher(limits(server)).fetch(server.script(lambda: answer)) == PICTURE[:1000]


def test_an_answer_that_ends_with_the_connection_is_fetched(server: PictureServer) -> None:
    url = server.script(lambda: (head(), PICTURE))
    assert Fetcher(limits(server)).fetch(url) == PICTURE


def test_the_request_says_who_asks_and_asks_for_no_encoding(server: PictureServer) -> None:
    Fetcher(limits(server)).fetch(server.serve(PICTURE))
    sent = server.requests[0].headers
    assert sent["user-agent"] == f"facematch/{__version__}"
    assert sent["accept-encoding"] == "identity"
    assert sent["host"] == "{}:{}".format(*server.address)
    assert not {"cookie", "authorization"} & set(sent)


def test_proxies_and_passwords_of_the_environment_are_not_used(
    server: PictureServer, canary: Canary, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{canary.port}")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert Fetcher(limits(server)).fetch(server.serve(PICTURE)) == PICTURE
    assert canary.connections == 0
    assert "authorization" not in server.requests[0].headers


def test_redirects_are_followed_up_to_the_limit(server: PictureServer) -> None:
    url = server.serve(PICTURE)
    for status in (301, 303, 308):
        url = server.redirect(url, status)
    assert Fetcher(limits(server, redirects=3)).fetch(url) == PICTURE
    assert code(url, limits(server, redirects=2)) == "too_many_redirects"
    assert code(url, limits(server, redirects=0)) == "too_many_redirects"


def test_relative_redirects_are_followed(server: PictureServer) -> None:
    server.serve(PICTURE, path="/pictures/a b")
    server.serve(PICTURE, path="/pictures/a%20b")
    url = server.redirect("../pictures/a b#top", path="/album/1")
    assert Fetcher(limits(server)).fetch(url) == PICTURE


def test_redirects_in_a_circle_end(server: PictureServer) -> None:
    url = server.redirect("/round", path="/round")
    assert code(url, limits(server)) == "too_many_redirects"
    assert len(server.requests) == 4


def test_several_threads_fetch_with_one_fetcher(server: PictureServer) -> None:
    fetcher, fetched = Fetcher(limits(server)), []
    pictures = [bytes([number]) * 5000 for number in range(8)]
    urls = [server.serve(picture) for picture in pictures]
    threads = [
        threading.Thread(target=lambda url=url: fetched.append(fetcher.fetch(url))) for url in urls
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(fetched) == pictures


# -- statuses and second tries ----------------------------------------------------------------
@pytest.mark.parametrize("status", [206, 304, 400, 401, 403, 404, 410, 429, 451])
def test_an_error_status_is_told_and_not_tried_again(server: PictureServer, status: int) -> None:
    error = refusal(server.serve(PICTURE, status=status), limits(server))
    assert (error.code, len(server.requests)) == ("http_status", 1)
    assert str(status) in str(error)


def test_a_server_error_is_tried_once_more(server: PictureServer) -> None:
    busy = head(503, content_length=0)
    good = head(content_length=len(PICTURE))
    url = server.script(lambda: (busy,), lambda: (good, PICTURE))
    assert Fetcher(limits(server)).fetch(url) == PICTURE
    assert len(server.requests) == 2


def test_a_server_error_is_not_tried_a_third_time(server: PictureServer) -> None:
    error = refusal(server.serve(b"sorry", status=500), limits(server))
    assert (error.code, len(server.requests)) == ("http_status", 2)
    assert "500" in str(error)


def test_a_second_try_that_would_come_too_late_is_left_out(
    server: PictureServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.fetch.RETRY_PAUSE", 20.0)
    assert code(server.serve(b"", status=502), limits(server, timeout=10.0)) == "http_status"
    assert len(server.requests) == 1


def test_nobody_listening_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    allowed = frozenset({("127.0.0.1", port)})
    error = refusal(f"http://127.0.0.1:{port}/", limits(allowed=allowed))
    assert error.code == "unreachable"
    assert "refused" in str(error)


def test_a_server_that_comes_up_is_reached_by_the_second_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("worker.fetch.RETRY_PAUSE", 3.0)
    with socket.socket() as later:
        later.bind(("127.0.0.1", 0))
        port = later.getsockname()[1]
        answer = threading.Thread(target=_answer_once, args=(later, 0.3))
        answer.start()
        fetcher = Fetcher(limits(allowed=frozenset({("127.0.0.1", port)})))
        assert fetcher.fetch(f"http://127.0.0.1:{port}/") == PICTURE
        answer.join()


def _answer_once(listening: socket.socket, after: float) -> None:
    time.sleep(after)
    listening.listen()
    connection, _ = listening.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(head(content_length=len(PICTURE)) + PICTURE)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a.b.c.invalid", "xn--a"])
def test_an_unknown_name_is_unreachable(host: str) -> None:
    error = refusal(f"http://{host}/a.jpg", limits())
    assert error.code == "unreachable"
    assert host in str(error)
