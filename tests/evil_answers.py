"""What an evil or broken server answers to who fetches a picture: a table.

Each answer is served by picture_server.PictureServer and has the end that is right: a code, of the
fetch or of the decoder that sees what was fetched, or "picture" where nothing is wrong with it.
Used by tests/unit/test_input_answers.py.
"""

import gzip
import io
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from picture_server import RESET, PictureServer, Script, head
from PIL import Image

#: What is fetched may have so many bytes, and take so many seconds where nothing ends it sooner.
MAX_BYTES = 100_000
SHORT, LONG = 0.7, 6.0


def _drawn() -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((64, 48), 90).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


PICTURE = _drawn()
BOMB = gzip.compress(bytes(50_000_000), 9)
_ZEROS = bytes(65536)
_OK = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = head(transfer_encoding="chunked")


@dataclass(frozen=True)
class Evil:
    """An answer: the end that is right, its scripts, one for each time that it is asked for, the
    last for all others, and the seconds that fetching may take."""

    end: str
    scripts: tuple[Script, ...]
    seconds: float = LONG


def _said(end: str, *scripts: bytes | Script, seconds: float = LONG) -> Evil:
    """Scripts that are bytes say no more than these."""
    made = tuple(script if callable(script) else lambda said=script: (said,) for script in scripts)
    return Evil(end, made, seconds)


def _steps(*steps: bytes | float) -> Script:
    return lambda: steps


def _endless(before: bytes, piece: bytes, pause: float = 0.0) -> Script:
    def answer() -> Iterator[bytes | float]:
        yield before
        while True:
            yield piece
            if pause:
                yield pause

    return answer


def _slow(before: bytes, piece: bytes) -> Evil:
    """Sends on and on, slowly."""
    return _said("fetch_timed_out", _endless(before, piece, 0.05), seconds=SHORT)


def _flood(before: bytes, piece: bytes = _ZEROS, end: str = "too_large") -> Evil:
    """Sends on and on, as fast as it can."""
    return _said(end, _endless(before, piece))


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _with(data: bytes = PICTURE, status: int = 200, **headers: object) -> bytes:
    return head(status, content_length=len(data), **headers) + data


def _away(target: str, end: str, status: int = 302) -> Evil:
    return _said(end, head(status, location=target, content_length=0))


_CRAWLING: dict[str, Evil] = {
    "silence": _said("fetch_timed_out", _steps(60.0), seconds=SHORT),
    "half-a-status-line": _said("fetch_timed_out", _steps(b"HTTP/1.1 2", 60.0), seconds=SHORT),
    "half-a-head": _said("fetch_timed_out", _steps(_OK + b"X: y\r\n", 60.0), seconds=SHORT),
    "half-a-body": _said(
        "fetch_timed_out", _steps(head(content_length=100) + b"a", 60.0), seconds=SHORT
    ),
    "half-a-chunk": _said("fetch_timed_out", _steps(_CHUNKED + b"64\r\nab", 60.0), seconds=SHORT),
    "slow-loris-status-line": _slow(b"HTTP/1.1 200 ", b"O"),
    "slow-loris-header": _slow(_OK + b"X: ", b"y"),
    "slow-loris-headers": _slow(_OK, b"X: y\r\n"),
    "slow-loris-body": _slow(head(content_length=90_000), b"x"),
    "slow-loris-body-without-length": _slow(head(), b"x"),
    "slow-loris-chunks": _slow(_CHUNKED, _chunk(b"x")),
    "slow-loris-chunk-size": _slow(_CHUNKED, b"0"),
    "slow-loris-chunk-extension": _slow(_CHUNKED + b"1;a=", b"b"),
    "slow-loris-trailers": _slow(_CHUNKED + _chunk(b"x") + b"0\r\n", b"X: y\r\n"),
    "slow-loris-continue": _slow(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "slow-loris-after-an-error": _said(
        "fetch_timed_out", head(500, content_length=0), _steps(60.0), seconds=SHORT
    ),
    "redirect-to-silence": _said(
        "fetch_timed_out", head(302, location="/silence", content_length=0), seconds=SHORT
    ),
    "all-of-it-and-no-end": _said("picture", _steps(_with(), 60.0)),
    "all-chunks-and-no-end": _said(
        "picture", _steps(_CHUNKED + _chunk(PICTURE) + b"0\r\n\r\n", 60.0)
    ),
}

_ENDLESS: dict[str, Evil] = {
    "endless-body": _flood(head()),
    "endless-body-called-a-picture": _flood(head(content_type="image/jpeg")),
    "endless-body-of-length-text": _flood(head(content_length="many")),
    "endless-body-of-negative-length": _flood(head(content_length=-1)),
    "endless-body-of-length-with-5000-digits": _flood(head(content_length="9" * 5000)),
    "endless-chunks": _flood(_CHUNKED, _chunk(_ZEROS)),
    "endless-tiny-chunks": _flood(_CHUNKED, _chunk(b"x") * 4000),
    "endless-chunk": _flood(_CHUNKED + b"fffffffffffffff\r\n"),
    "endless-chunk-size": _flood(_CHUNKED, b"0" * 65536, "fetch_failed"),
    "endless-chunk-extension": _flood(_CHUNKED + b"1;", b"a" * 65536, "fetch_failed"),
    "endless-trailers": _flood(_CHUNKED + b"0\r\n", b"X: y\r\n" * 9000, "too_large"),
    "endless-trailer": _flood(_CHUNKED + b"0\r\nX: ", b"y" * 65536, "fetch_failed"),
    "endless-status-line": _flood(b"HTTP/1.1 200 ", b"O" * 65536, "fetch_failed"),
    "endless-header": _flood(_OK + b"X: ", b"y" * 65536, "fetch_failed"),
    "endless-headers": _flood(_OK, b"X: y\r\n" * 9000, "fetch_failed"),
    "endless-continue": _flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 500, "too_large"),
    "endless-early-hints": _flood(b"", b"HTTP/1.1 103 Hints\r\n\r\n" * 500, "http_status"),
    "endless-body-of-a-redirect": _flood(head(302, location="/fine-picture"), end="picture"),
    "endless-body-of-an-error": _flood(head(500), end="http_status"),
    "endless-body-after-its-length": _flood(_with(), end="picture"),
    "a-byte-more-than-the-limit": _said("too_large", head() + bytes(MAX_BYTES + 1)),
    "a-byte-more-announced": _said("too_large", _steps(head(content_length=MAX_BYTES + 1), 60.0)),
    "a-terabyte-announced": _said("too_large", _steps(head(content_length=10**12), 60.0)),
    "200-headers": _said("fetch_failed", _OK + b"X: y\r\n" * 200 + b"\r\n"),
    "a-header-of-200-kilobytes": _said("fetch_failed", _OK + b"X: " + b"y" * 200_000 + b"\r\n\r\n"),
}

_ENCODED: dict[str, Evil] = {
    "gzip-bomb": _said("fetch_failed", _with(BOMB, content_encoding="gzip")),
    "gzip-bomb-in-a-gzip-bomb": _said(
        "fetch_failed", _with(gzip.compress(BOMB), content_encoding="gzip, gzip")
    ),
    "gzip-a-hundred-times": _said(
        "fetch_failed", _with(BOMB, content_encoding=", ".join(["gzip"] * 100))
    ),
    "gzip-twice-in-two-headers": _said(
        "fetch_failed", _OK + b"Content-Encoding: gzip\r\n" * 2 + b"\r\n" + BOMB
    ),
    "deflate-bomb": _said(
        "fetch_failed", _with(zlib.compress(bytes(20_000_000)), content_encoding="deflate")
    ),
    "brotli": _said("fetch_failed", _with(content_encoding="br")),
    "zstd": _said("fetch_failed", _with(content_encoding="zstd")),
    "an-encoding-nobody-knows": _said("fetch_failed", _with(content_encoding="pied-piper")),
    "gzip-that-is-not-said": _said("not_an_image", _with(BOMB)),
    "gzip-as-transfer-encoding": _said(
        "not_an_image",
        head(transfer_encoding="gzip, chunked") + _chunk(gzip.compress(PICTURE)) + b"0\r\n\r\n",
    ),
    "identity": _said("picture", _with(content_encoding="identity")),
}

_REDIRECTING: dict[str, Evil] = {
    "redirect-to-file": _away("file:///etc/passwd", "bad_url"),
    "redirect-to-ftp": _away("ftp://127.0.0.1/a.jpg", "bad_url"),
    "redirect-to-gopher": _away("gopher://127.0.0.1:6379/_FLUSHALL", "bad_url"),
    "redirect-to-dict": _away("dict://127.0.0.1:6379/info", "bad_url"),
    "redirect-to-ldap": _away("ldap://127.0.0.1/", "bad_url"),
    "redirect-to-data": _away("data:image/png;base64,AAAA", "bad_url"),
    "redirect-to-javascript": _away("javascript:alert(1)", "bad_url"),
    "redirect-to-a-unix-socket": _away("http+unix://%2Frun%2Fredis.sock/", "bad_url"),
    "redirect-to-who-with-a-password": _away("http://me:secret@127.0.0.1/", "bad_url"),
    "redirect-to-port-0": _away("http://127.0.0.1:0/", "bad_url"),
    "redirect-to-port-99999": _away("http://127.0.0.1:99999/", "bad_url"),
    "redirect-to-half-an-address": _away("http://[::1", "bad_url"),
    "redirect-to-a-name-that-is-not": _away("http://no-such-host.invalid/", "unreachable"),
    "redirect-to-a-url-of-20-kilobytes": _away("/" + "a" * 20_000, "bad_url"),
    "redirect-in-a-circle": _away("/redirect-in-a-circle", "too_many_redirects"),
    "redirect-to-nowhere": _away("", "too_many_redirects"),
    "redirect-without-a-target": _said("http_status", head(302, content_length=0)),
    "redirect-with-a-choice": _away("/fine-picture", "http_status", 300),
    "redirect-by-a-header-of-browsers": _said(
        "not_an_image", _with(b"<html>", refresh="0; url=http://127.0.0.1/")
    ),
    "redirect-by-html": _said(
        "not_an_image",
        _with(b'<meta http-equiv="refresh" content="0; url=http://127.0.0.1/">'),
    ),
    "redirect-with-two-targets": _said(
        "http_status",
        b"HTTP/1.1 302 F\r\nLocation: /fine-picture\r\nLocation: http://127.0.0.1/\r\n\r\n",
    ),
    "redirect-that-is-fine": _away("/fine-picture", "picture"),
    "50-hops": _away("/hop-1", "too_many_redirects"),
}

_LENGTHS: dict[str, Evil] = {
    "length-more-than-comes": _said("fetch_failed", head(content_length=90_000) + PICTURE),
    "length-less-than-comes": _said(
        "truncated_image", head(content_length=len(PICTURE) // 2) + PICTURE
    ),
    "length-0-and-a-picture": _said("empty", head(content_length=0) + PICTURE),
    "length-negative": _said("picture", head(content_length=-1) + PICTURE),
    "length-of-letters": _said("picture", head(content_length="abc") + PICTURE),
    "length-in-hexadecimal": _said("picture", head(content_length="0x10") + PICTURE),
    "two-lengths": _said(
        "fetch_failed", _OK + b"Content-Length: 10\r\nContent-Length: 20\r\n\r\n" + PICTURE
    ),
    "two-lengths-in-one": _said("fetch_failed", head(content_length="10, 20") + PICTURE),
    "length-and-chunks": _said(
        "picture",
        head(content_length=5, transfer_encoding="chunked") + _chunk(PICTURE) + b"0\r\n\r\n",
    ),
    "chunk-size-of-letters": _said("fetch_failed", _CHUNKED + b"zz\r\nabc\r\n0\r\n\r\n"),
    "chunk-size-negative": _said("fetch_failed", _CHUNKED + b"-5\r\nabcde\r\n0\r\n\r\n"),
    "chunk-size-empty": _said("fetch_failed", _CHUNKED + b"\r\nabc\r\n0\r\n\r\n"),
    "chunk-size-more-than-comes": _said("fetch_failed", _CHUNKED + b"64\r\nabc"),
    "chunk-size-less-than-comes": _said("fetch_failed", _CHUNKED + b"2\r\nabcdef\r\n0\r\n\r\n"),
    "chunk-size-beyond-64-bits": _said("fetch_failed", _CHUNKED + b"f" * 40 + b"\r\nab"),
    "chunks-without-an-end": _said("fetch_failed", _CHUNKED + _chunk(PICTURE)),
    "chunks-with-extension-and-trailer": _said(
        "picture",
        _CHUNKED
        + b"%x;a=b\r\n%b\r\n" % (len(PICTURE), PICTURE)
        + b"0\r\nContent-Length: 9\r\n\r\n",
    ),
}

_TYPES: dict[str, Evil] = {
    "fine-picture": _said("picture", _with(content_type="image/png")),
    "picture-called-html": _said("picture", _with(content_type="text/html")),
    "picture-without-a-type": _said("picture", _with()),
    "picture-of-an-empty-type": _said("picture", _with(content_type="")),
    "html-called-a-picture": _said(
        "not_an_image", _with(b"<!doctype html><title>a</title>", content_type="image/jpeg")
    ),
    "html": _said("not_an_image", _with(b"<html>" * 99, content_type="text/html")),
    "json": _said("not_an_image", _with(b'{"a": 1}', content_type="application/json")),
    "svg": _said("not_an_image", _with(b"<svg xmlns='http://www.w3.org/2000/svg'/>")),
    "empty": _said("empty", _with(b"")),
    "empty-chunks": _said("empty", _CHUNKED + b"0\r\n\r\n"),
    "half-a-picture": _said("truncated_image", _with(PICTURE[: len(PICTURE) // 2])),
}

_STATUSES: dict[str, Evil] = {
    "status-204": _said("empty", head(204)),
    "status-205": _said("picture", _with(status=205)),
    "status-101": _said("http_status", head(101, upgrade="websocket")),
} | {
    f"status-{status}": _said("http_status", _with(status=status, **headers))
    for status, headers in {
        206: {"content_range": "bytes 0-9/99"},
        304: {},
        400: {},
        401: {"www_authenticate": 'Basic realm="give me your password"'},
        403: {},
        404: {},
        407: {"proxy_authenticate": "Basic"},
        418: {},
        429: {"retry_after": 10**9},
        451: {},
        500: {},
        503: {"retry_after": "Fri, 31 Dec 9999 23:59:59 GMT"},
        599: {},
        999: {},
    }.items()
}

_BROKEN: dict[str, Evil] = {
    "closed-at-once": _said("fetch_failed", b""),
    "reset-at-once": _said("fetch_failed", _steps(RESET)),
    "reset-in-the-head": _said("fetch_failed", _steps(_OK, 0.05, RESET)),
    "reset-in-the-body": _said(
        "fetch_failed", _steps(head(content_length=90_000) + b"x" * 900, 0.05, RESET)
    ),
    "reset-in-a-body-without-length": _said(
        "fetch_failed", _steps(head() + b"x" * 900, 0.05, RESET)
    ),
    "closed-in-the-head": _said("empty", _OK + b"X: "),
    "http-0.9": _said("fetch_failed", PICTURE),
    "http-2": _said("fetch_failed", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "http-9.9": _said("fetch_failed", b"HTTP/9.9 200 OK\r\n\r\n" + PICTURE),
    "ssh": _said("fetch_failed", b"SSH-2.0-OpenSSH_9.2\r\n"),
    "redis": _said("fetch_failed", b"-ERR wrong number of arguments\r\n"),
    "zeros": _said("fetch_failed", bytes(1000)),
    "garbage-before-the-status-line": _said("fetch_failed", b"garbage\r\n" + _with()),
    "empty-lines-before-the-status-line": _said("fetch_failed", b"\r\n\r\n" + _with()),
    "status-of-letters": _said("fetch_failed", b"HTTP/1.1 abc OK\r\n\r\n"),
    "status-99999": _said("fetch_failed", b"HTTP/1.1 99999 Many\r\n\r\n"),
    "status-negative": _said("fetch_failed", b"HTTP/1.1 -200 OK\r\n\r\n"),
    "nothing-but-continue": _said("fetch_failed", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "lines-that-end-with-lf-only": _said("picture", b"HTTP/1.1 200 OK\n\n" + PICTURE),
    "a-status-without-a-reason": _said("picture", b"HTTP/1.1 200\r\n\r\n" + PICTURE),
    "a-header-without-a-colon": _said("picture", _OK + b"nonsense\r\n\r\n" + PICTURE),
    "a-header-over-two-lines": _said("picture", _OK + b"X: y\r\n z\r\n\r\n" + PICTURE),
    "a-header-of-zeros": _said("picture", _OK + b"X\x00: \x00\r\n\r\n" + PICTURE),
    "a-header-that-is-no-ascii": _said(
        "picture", _OK + b"X-\xff: \xfe\xe2\x82\xac\r\n\r\n" + PICTURE
    ),
    "a-cookie-of-50-kilobytes": _said(
        "picture", _OK + b"Set-Cookie: a=" + b"b" * 50_000 + b"\r\n\r\n" + PICTURE
    ),
}

#: Answers by name, which is their path.
ANSWERS: Mapping[str, Evil] = {
    **_CRAWLING,
    **_ENDLESS,
    **_ENCODED,
    **_REDIRECTING,
    **_LENGTHS,
    **_TYPES,
    **_STATUSES,
    **_BROKEN,
}


def leading_to(port: int) -> dict[str, Evil]:
    """Redirects to a port of this machine, at which nobody is to be asked."""
    hosts = {
        "this-machine": "127.0.0.1",
        "this-machine-by-name": "localhost",
        "this-machine-in-ipv6": "[::1]",
        "this-machine-as-a-number": "2130706433",
        "this-machine-mapped": "[::ffff:7f00:1]",
        "any-address": "0.0.0.0",
        "the-metadata-of-a-cloud": "169.254.169.254",
        "a-private-net": "10.0.0.1",
    }
    return {
        f"redirect-to-{name}": _away(f"http://{host}:{port}/", "address_not_allowed", status)
        for (name, host), status in zip(
            hosts.items(), (301, 302, 303, 307, 308, 302, 302, 302), strict=True
        )
    }


def served(server: PictureServer, answers: Mapping[str, Evil]) -> dict[str, str]:
    """The URL of each from now on."""
    for hop in range(1, 51):
        server.redirect(f"/hop-{hop + 1}" if hop < 50 else "/fine-picture", path=f"/hop-{hop}")
    return {name: server.script(*evil.scripts, path=f"/{name}") for name, evil in answers.items()}
