"""Fetching from evil servers: bytes, time and nonsense have an end."""

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fetching import PICTURE, assert_all_end, code, limits, refusal
from picture_server import Canary, PictureServer, head

from worker.fetch import Fetcher

pytest_plugins = ["fetching_fixtures"]
pytestmark = pytest.mark.usefixtures("offline", "no_pause")


def test_the_limit_of_bytes_is_inclusive(server: PictureServer) -> None:
    for url in (server.serve(PICTURE), server.script(lambda: (head(), PICTURE))):
        assert Fetcher(limits(server, max_bytes=len(PICTURE))).fetch(url) == PICTURE
        assert code(url, limits(server, max_bytes=len(PICTURE) - 1)) == "too_large"


def test_an_announced_length_is_refused_before_it_comes(server: PictureServer) -> None:
    url = server.script(lambda: (head(content_length=10**12), 60.0))
    started = time.monotonic()
    error = refusal(url, limits(server))
    assert error.code == "too_large"
    assert str(10**12) in str(error)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    "headers",
    [{}, {"content_length": "many"}, {"content_length": "-1"}, {"content_length": "9" * 5000}],
    ids=["none", "text", "negative", "5000 digits"],
)
def test_an_endless_body_is_too_large(server: PictureServer, headers: dict[str, str]) -> None:
    assert code(server.endless(**headers), limits(server)) == "too_large"


def test_endless_chunks_are_too_large(server: PictureServer) -> None:
    piece = b"1000\r\n" + bytes(0x1000) + b"\r\n"
    assert code(server.endless(piece, transfer_encoding="chunked"), limits(server)) == "too_large"


@pytest.mark.parametrize("size", [b"-1\r\n", b"fffffffff\r\n", b"a" * 70_000])
def test_chunks_of_a_nonsensical_size_do_not_fill_the_memory(
    server: PictureServer, size: bytes
) -> None:
    def answer() -> Iterator[bytes]:
        yield head(transfer_encoding="chunked") + size
        while True:
            yield bytes(65536)

    assert code(server.script(answer), limits(server)) in {"too_large", "fetch_failed"}


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "nonsense"])
def test_an_encoded_answer_is_refused(server: PictureServer, encoding: str) -> None:
    answer = head(content_encoding=encoding, content_length=3), b"abc"
    assert code(server.script(lambda: answer), limits(server)) == "fetch_failed"


def test_an_answer_called_identity_is_not_encoded(server: PictureServer) -> None:
    answer = head(content_encoding="Identity", content_length=3), b"abc"
    assert Fetcher(limits(server)).fetch(server.script(lambda: answer)) == b"abc"


def test_the_body_of_a_redirect_is_not_read(server: PictureServer) -> None:
    target = server.serve(PICTURE)
    url = server.script(lambda: (head(302, location=target, content_length=10**12), 60.0))
    started = time.monotonic()
    assert Fetcher(limits(server)).fetch(url) == PICTURE
    assert time.monotonic() - started < 10


# -- time -------------------------------------------------------------------------------------
def dripping_head() -> Iterator[bytes | float]:
    yield b"HTTP/1.1 200 OK\r\n"
    while True:
        yield b"X"
        yield 0.05


def dripping_headers() -> Iterator[bytes | float]:
    yield b"HTTP/1.1 200 OK\r\n"
    for number in range(1000):
        yield b"X-%d: y\r\n" % number
        yield 0.05


def dripping_continues() -> Iterator[bytes | float]:
    while True:
        yield b"HTTP/1.1 100 Continue\r\n\r\n"
        yield 0.05


def dripping_trailers() -> Iterator[bytes | float]:
    yield head(transfer_encoding="chunked") + b"1\r\na\r\n0\r\n"
    while True:
        yield b"X-T: y\r\n"
        yield 0.05


@pytest.mark.parametrize(
    "script",
    [
        lambda: (60.0,),
        lambda: (b"HTTP/1.1 200", 60.0),
        lambda: (head(content_length=100), b"a", 60.0),
        dripping_head,
        dripping_headers,
        dripping_continues,
        dripping_trailers,
    ],
    ids=["silence", "half a line", "half a body", "head", "headers", "continues", "trailers"],
)
def test_nothing_takes_longer_than_the_timeout(server: PictureServer, script: Any) -> None:
    started = time.monotonic()
    assert code(server.script(script), limits(server, timeout=0.7)) == "fetch_timed_out"
    assert 0.6 < time.monotonic() - started < 10
    assert_all_end()


def test_a_dripping_body_ends_at_the_timeout(server: PictureServer) -> None:
    started = time.monotonic()
    assert code(server.slow(PICTURE), limits(server, timeout=0.7)) == "fetch_timed_out"
    assert time.monotonic() - started < 10
    assert_all_end()


def test_slow_redirects_share_one_timeout(server: PictureServer) -> None:
    url = server.serve(PICTURE)
    for _ in range(3):
        url = server.script(lambda to=url: (0.4, head(302, location=to, content_length=0)))
    started = time.monotonic()
    assert code(url, limits(server, timeout=0.8)) == "fetch_timed_out"
    assert time.monotonic() - started < 10


def test_a_slow_body_within_the_timeout_is_fetched(server: PictureServer) -> None:
    url = server.slow(PICTURE, piece=2048, pause=0.05)
    assert Fetcher(limits(server)).fetch(url) == PICTURE


def test_a_name_server_that_does_not_answer_does_not_hold_us_up(
    monkeypatch: pytest.MonkeyPatch, canary: Canary
) -> None:
    answered, real = threading.Event(), socket.getaddrinfo

    def slow(host: Any, *arguments: Any, **named: Any) -> Any:
        answered.wait(60)
        return real("127.0.0.1", *arguments[:1])

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    started = time.monotonic()
    url = f"http://slow.example:{canary.port}/"
    try:
        assert code(url, limits(timeout=0.5)) == "fetch_timed_out"
        assert time.monotonic() - started < 10
    finally:
        answered.set()
    assert_all_end()
    assert canary.connections == 0


# -- nonsense ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00" * 100,
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/9.9 nonsense\r\n\r\n",
        b"HTTP/1.1 99999 Many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000,
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nabc",
        head(content_length=100) + b"only this",
        head(transfer_encoding="chunked") + b"zz\r\nabc",
        head(transfer_encoding="chunked") + b"5\r\nab",
    ],
)
def test_an_answer_that_is_broken_off_or_nonsense_has_failed(
    server: PictureServer, answer: bytes
) -> None:
    url = server.script(lambda: (answer,))
    assert code(url, limits(server)) == "fetch_failed"
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("file:///etc/passwd", "bad_url"),
        ("ftp://127.0.0.1/a", "bad_url"),
        ("gopher://127.0.0.1:6379/_x", "bad_url"),
        ("data:image/png;base64,AAAA", "bad_url"),
        ("javascript:alert(1)", "bad_url"),
        ("http://", "too_many_redirects"),
        ("http://[::1", "bad_url"),
        ("http://me:secret@127.0.0.1/", "bad_url"),
        ("http://127.0.0.1:99999/", "bad_url"),
        ("//no-such-host.invalid/", "unreachable"),
        ("http://\xff\xfe/", "bad_url"),
        ("/" + "a" * 20_000, "bad_url"),
        ("", "too_many_redirects"),
    ],
)
def test_redirects_are_checked_like_urls(server: PictureServer, target: str, expected: str) -> None:
    error = refusal(server.redirect(target), limits(server))
    assert error.code == expected
    assert "secret" not in str(error)


# -- TLS --------------------------------------------------------------------------------------
def test_a_server_without_tls_is_unreachable_by_https(server: PictureServer) -> None:
    url = server.serve(PICTURE).replace("http:", "https:")
    error = refusal(url, limits(server))
    assert error.code == "unreachable"
    assert "TLS" in str(error)


NAMES = "IP:127.0.0.1,DNS:pictures.example"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate signed by nobody, with its key."""
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("there is no openssl to make a certificate")
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    options = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=test", "-addext", f"subjectAltName={NAMES}"]
    files = ["-keyout", str(path), "-out", str(path.with_suffix(".crt"))]
    subprocess.run([openssl, "req", *options, *names, *files], check=True, capture_output=True)
    path.write_text(path.read_text() + path.with_suffix(".crt").read_text())
    return path


def test_a_certificate_of_nobody_we_trust_is_unreachable(certificate: Path) -> None:
    with PictureServer(tls=str(certificate)) as server:
        error = refusal(server.serve(PICTURE), limits(server))
        assert error.code == "unreachable"
        assert "certificate" in str(error)
        assert server.requests == []


def test_https_is_fetched_within_the_same_limits(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(certificate))
    with PictureServer(tls=str(certificate)) as server, PictureServer() as plain:
        assert Fetcher(limits(server)).fetch(server.serve(PICTURE)) == PICTURE
        assert code(server.endless(), limits(server)) == "too_large"
        assert code(server.slow(PICTURE), limits(server, timeout=0.7)) == "fetch_timed_out"
        assert code(server.script(dripping_head), limits(server, timeout=0.7)) == "fetch_timed_out"
        assert_all_end()
        both = limits(allowed=frozenset({server.address, plain.address}))
        downgrade = server.redirect(plain.serve(PICTURE))
        assert code(downgrade, both) == "bad_url"
        assert plain.requests == []
        assert Fetcher(both).fetch(plain.redirect(server.serve(PICTURE))) == PICTURE


def test_a_tls_handshake_that_never_ends_ends_at_the_timeout(canary: Canary) -> None:
    allowed = frozenset({("127.0.0.1", canary.port)})
    started = time.monotonic()
    url = f"https://127.0.0.1:{canary.port}/"
    assert code(url, limits(allowed=allowed, timeout=0.5)) == "fetch_timed_out"
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("name", ["pictures.example", "others.example"])
def test_a_certificate_is_for_the_name_although_the_address_is_pinned(
    name: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(certificate))
    pinned = "requests_hardened.ip_filter_adapter.filter_host"
    monkeypatch.setattr(pinned, lambda *_, **__: "127.0.0.1")
    monkeypatch.setattr("worker.outbound._is_public", lambda _: True)
    with PictureServer(tls=str(certificate)) as server:
        url = server.serve(PICTURE).replace("127.0.0.1", name)
        if name == "pictures.example":
            assert Fetcher(limits()).fetch(url) == PICTURE
            assert server.requests[0].headers["host"] == f"{name}:{server.port}"
        else:
            assert code(url, limits()) == "unreachable"
            assert server.requests == []
