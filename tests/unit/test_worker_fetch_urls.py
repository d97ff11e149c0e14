"""Fetching: any text whatever as a URL ends in a code."""

import socket

import pytest
from fetching import PICTURE, REFUSED, code, limits, refusal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from picture_server import PictureServer

from worker.fetch import MAX_URL, Fetcher

pytest_plugins = ["fetching_fixtures"]
pytestmark = pytest.mark.usefixtures("offline", "no_pause")

NONSENSE = [
    "",
    " ",
    "http",
    "http:",
    "http:/",
    "http://",
    "http:///",
    "http://?",
    "http://#",
    "http://:",
    "http://:80/",
    "http://.",
    "http://..",
    "http://.a",
    "http://*",
    "http://*.invalid/",
    "http://a..invalid/",
    "http://-/",
    "http://_/",
    "http://a_b.invalid/",
    "http://%",
    "http://%zz/",
    "http://%00/",
    "http://[",
    "http://]",
    "http://[]",
    "http://[[::1]]/",
    "http://[::1",
    "http://::1/",
    "http://[::1]:",
    "http://[::1]x/",
    "http://[v1.a]/",
    "http://[:::]/",
    "http://[1.2.3.4]/",
    "http://[::1%]/",
    "http://[fe80::1%25]/",
    "http://a.invalid:/",
    "http://a.invalid:0/",
    "http://a.invalid:-1/",
    "http://a.invalid:65536/",
    "http://a.invalid:99999999999999999999/",
    "http://a.invalid:8o/",
    "http://a.invalid:+80/",
    "http://a.invalid:８０/",
    "http://a.invalid:80:80/",
    "http://a.invalid\x00/",
    "http://a.invalid/\x00",
    "http://a.invalid/\r\nX: y",
    "http://a.invalid/\x7f",
    "http://a.invalid/\x85",
    "http://a.invalid /",
    "http://a b.invalid/",
    "http://\ud800/",
    "http://a.invalid/\udfff",
    "http://\U0010ffff/",
    "http://😀.invalid/😀",
    "http://ß.invalid/",
    "http://" + "ä" * 300 + ".invalid/",
    "http://" + "a" * 64 + ".invalid/",
    "http://" + "a." * 200 + "invalid/",
    "http://xn--/",
    "http://xn--\u00e4/",
    "http://\u0627a.invalid/",
    "http://\u202e.invalid/",
    "http://a.invalid/" + "%" * 500,
    "http://a.invalid/?" + "&" * 500,
    "http://" + "a" * 2_000_000,
    "http://a.invalid/" + "a" * 1_000_000,
    "http://" + "[" * 5000,
    "http://" + "@" * 5000,
    "http://" + ":" * 5000,
    "a" * 1_000_000,
    "\x00" * 1000,
    "ftp://a.invalid/",
    "file:///etc/passwd",
    "data:,",
    "about:blank",
    "mailto:a@b.invalid",
    "://",
    "//",
    "/a.jpg",
    "a.jpg",
    "C:\\a.jpg",
    "\\\\a\\b",
    "{}",
    "<script>",
    "http://a.invalid@",
    "http://@",
    "http://u:p@a.invalid/",
    "http://1.2.3.4.5.6/",
    "http://999.999.999.999/",
    "http://1.2.3.4:http/",
    "http://0x.invalid/",
    "None",
    "hTTp://A.INVALID",
    "http://\u2100.invalid/",
    "http://a\u2025b.invalid/",
    "http://a.invalid\uff0fb/",
    "http://a.invalid\u2028/",
]


@pytest.mark.parametrize("url", NONSENSE, ids=lambda url: ascii(url)[:40])
def test_nonsense_is_refused_with_a_code(url: str) -> None:
    assert code(url, limits(timeout=3.0)) in REFUSED


def test_port_0_is_none_and_not_that_of_the_scheme(server: PictureServer) -> None:
    url = "http://127.0.0.1:0/"
    port_80 = limits(allowed=frozenset({server.address, ("127.0.0.1", 80)}))
    assert code(url, port_80) == "bad_url"
    assert code(server.redirect(url), port_80) == "bad_url"


def test_a_url_may_be_long_but_not_longer_than_the_limit(server: PictureServer) -> None:
    base = server.url("/")
    path = "/" + "a" * (MAX_URL - len(base))
    url = server.serve(PICTURE, path=path)
    assert len(url) == MAX_URL
    assert Fetcher(limits(server)).fetch(url) == PICTURE
    error = refusal(url + "a", limits(server))
    assert error.code == "bad_url"
    assert "aaaa" not in str(error)


def test_names_and_paths_in_any_script_are_understood(server: PictureServer) -> None:
    server.serve(PICTURE, path="/%E7%8C%AB%20%C3%A4.jpg?q=%C3%B6")
    assert Fetcher(limits(server)).fetch(server.url("/猫 ä.jpg?q=ö")) == PICTURE


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.one_of(
        st.text(max_size=80),
        st.text(max_size=60).map("http://".__add__),
        st.text("[]:@/?#\\.%0123456789abcdefx\u0660\uff11", max_size=40).map("http://".__add__),
        st.tuples(st.text(max_size=20), st.text(max_size=20)).map(
            lambda parts: f"http://a.invalid:{parts[0]}/{parts[1]}"
        ),
        st.text(max_size=30).map("https://a.invalid/".__add__),
    )
)
def test_any_text_at_all_ends_in_a_code(url: str) -> None:
    def refused(*_: object, **__: object) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(socket.socket, "connect", refused)  # an address may be public by chance
        assert code(url, limits(timeout=3.0)) in REFUSED


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=60))
def test_any_redirect_at_all_ends_in_a_code(server: PictureServer, target: bytes) -> None:
    answer = b"HTTP/1.1 302 Found\r\nLocation: " + target + b"\r\nContent-Length: 0\r\n\r\n"
    url = server.script(lambda: (answer,), path="/redirecting")
    assert code(url, limits(server, timeout=3.0)) in REFUSED | {
        "http_status",
        "too_many_redirects",
        "fetch_failed",
    }
