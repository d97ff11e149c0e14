"""Requests that nobody who means well sends, for hypothesis to choose from.

Each is of the form in which werkzeug's test client takes them: see Asked. Used by
tests/unit/test_input_requests.py.
"""

import base64
import io
import json
import stat
import struct
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

#: What is there: see the test.
PICTURE = b"a picture that is there"
COLLECTION = "holiday"


@dataclass(frozen=True)
class Asked:
    """A request: what it is sent as, with which parameters, headers and body."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""


# -- texts ----------------------------------------------------------------------------------------
#: Characters that have a meaning to somebody: Redis, Lua, JSON, URLs, shells, terminals.
_ODD = "\x00\x01\x1b\x7f\r\n\t \"'\\{}[]:;|&$`<>%/?#~*.,=+-_éß中\u00ad\u200b\u202e\ufeff\U0001f600"
_SAYINGS = (
    *("", " ", ".", "..", "/", "//", "../../etc/passwd", "..%2f..%2f", "%00", "%", "%zz", "%ff"),
    *("null", "None", "undefined", "true", "NaN", "Infinity", "-0", "1e999", "0x10", "9" * 400),
    *("-1", "2147483648", "9223372036854775808", "18446744073709551616", "1.0", "١", "１"),
    *("{default}", "fm:{default}:seq", "default~1", "default?", "a" * 64, "f" * 64, "A" * 64),
    *("f" * 63, "f" * 65, "g" * 64, "f" * 64 + ":0", "f" * 64 + ":-1", "f" * 64 + ":256"),
    *("'; FLUSHALL; --", "\r\nFLUSHALL\r\n", "<script>alert(1)</script>", "${jndi:ldap://a}"),
    *("a" * 1001, "é" * 1001, "\U0001f600" * 600, "a" * 5000, "http://a.invalid/", "javascript:0"),
    *("default", COLLECTION, "nobody", "0-0", "1-1", "99999999999999999-1", "1-0-5-7", "-", "0"),
)
#: No surrogates: what is sent is UTF-8.
_CHARACTERS = st.characters(exclude_categories=["Cs"])
texts = st.one_of(
    st.sampled_from(_SAYINGS),
    st.text(_CHARACTERS, max_size=40),
    st.text(_ODD, max_size=20),
    st.tuples(st.sampled_from(_SAYINGS), st.text(_ODD, max_size=4)).map("".join),
    st.text("abcdef0123456789", min_size=62, max_size=66),
    st.integers().map(str),
    st.floats().map(str),
)
_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/"
cursors = st.one_of(
    texts,
    st.text(_BASE64, max_size=24),
    st.sampled_from(
        ["AAAAAAAAAAAAAAAAAAAAAA", "f_AAAAAAAAAAAAAAAAAAAA", "MA", "MSBh", "e30", "LTE"]
    ),
    st.binary(min_size=16, max_size=16).map(
        lambda data: base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    ),
)

# -- paths ----------------------------------------------------------------------------------------
_GETS = (
    *("/v1/images/{}", "/v1/images/{}/matches", "/v1/images/{}/people", "/v1/images/{}/thumbnail"),
    *("/v1/jobs/{}", "/v1/batches/{}", "/v1/faces/{}/matches", "/v1/people/{}", "/v1/people"),
    *("/v1/webhooks/{}", "/v1/webhooks", "/v1/failed", "/v1/status", "/v1/privacy", "/v1/{}"),
    *("/v1/collections", "/v1/collections/{}", "/v1/collections/{}/images/{}", "/match/{}", "/{}"),
    *("/v1/collections/{}/status", "/images/{}", "/people/{}", "/static/{}", "/docs/{}"),
)
_DELETES = ("/v1/images/{}", "/v1/webhooks/{}", "/v1/collections/nobody-{}", "/v1/people/{}")
#: Those that read a document.
_DOCUMENTS = (
    *(("POST", "/v1/images"), ("POST", "/v1/images:batch"), ("POST", "/scan/url")),
    *(("PATCH", "/v1/people/{}"), ("POST", "/v1/people/{}/merge"), ("POST", "/v1/people/{}/split")),
    *(("POST", "/v1/people/{}/exclude"), ("PUT", "/v1/privacy"), ("POST", "/v1/webhooks")),
    *(("POST", "/v1/webhooks/{}/redeliver"), ("POST", "/v1/collections"), ("POST", "/v1/search")),
    *(("POST", "/v1/images:erase"), ("POST", "/v1/jobs/{}/retry"), ("POST", "/v1/collections/{}")),
    ("POST", f"/v1/collections/{COLLECTION}/images"),
)
_PARAMETERS = (
    *("limit", "cursor", "wait", "max_distance", "max_false_matches", "detail", "face", "fewest"),
    *("code", "after", "name", "confirm", "purpose", "legal_basis", "consent_ref", "nobody_asked"),
)


def _filled(pattern: str, words: Sequence[str]) -> str:
    """With `words` in the places of {}, as they come: the test client quotes what it must."""
    parts = pattern.split("{}")
    return "".join(a + b for a, b in zip(parts, [*words[: len(parts) - 1], ""], strict=True))


def _paths(patterns: Sequence[str]) -> st.SearchStrategy[str]:
    return st.builds(_filled, st.sampled_from(patterns), st.lists(texts, min_size=3, max_size=3))


_queries = st.dictionaries(st.sampled_from(_PARAMETERS), st.one_of(texts, cursors), max_size=3)
gets = st.builds(Asked, st.sampled_from(["GET", "HEAD", "OPTIONS"]), _paths(_GETS), _queries)
deletes = st.builds(Asked, st.just("DELETE"), _paths(_DELETES), _queries)
methods = st.builds(
    Asked, st.sampled_from(["PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "BREW"]), _paths(_GETS)
)

# -- documents ------------------------------------------------------------------------------------
_NAMES = (
    *("url", "urls", "name", "people", "faces", "image", "number", "keep_days", "strict", "after"),
    *("threshold", "max_false_matches", "max_matches", "", "__proto__", "__class__"),
)
_leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), texts, st.just([]), st.just({})
)
_values = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(_NAMES), inner, max_size=4)
    ),
    max_leaves=8,
)
_RAW = (
    *(b"", b" ", b"{", b"[", b'"', b"nul", b"{}{}", b"[]", b"\xff", b"\xef\xbb\xbf{}", b"NaN"),
    *(b"[" * 50_000, b'{"a":' * 20_000, b'{"url": 1e999}', b'{"url":"\\ud800"}', b"1" * 5000),
    *(b'{"urls": [' + b'"http://a.invalid/",' * 1200 + b'"x"]}', b'{"url":"a","url":"b"}'),
    *(b'{"name":"' + b"a" * 70_000 + b'"}', '{"url":"http://a/"}'.encode("utf-16"), b"\x00{}"),
    *(b'{"keep_days":1e400}', b'{"keep_days":"1"}', b'{"threshold":true}', b'{"number":1e2}'),
)
_documents = st.one_of(
    _values.map(lambda value: json.dumps(value).encode()),
    st.dictionaries(st.sampled_from(_NAMES), _leaves, min_size=1, max_size=3).map(
        lambda value: json.dumps(value).encode()
    ),
    st.sampled_from(_RAW),
    st.binary(max_size=60),
)
_TYPES = (
    *("application/json", "application/JSON; charset=utf-16", "application/x+json", "text/plain"),
    *("application/x-www-form-urlencoded", "application/zip", "application/x-zip-compressed", ""),
    *("multipart/form-data", "multipart/form-data; boundary=b", "multipart/mixed; boundary=b"),
    *("multipart/form-data; boundary=" + "b" * 300, 'multipart/form-data; boundary="\xff"', "x"),
    *("image/png", "application/json, application/zip", ";;;", "a/b; c=" + "d" * 900),
)
_types = st.sampled_from(_TYPES).map(lambda kind: (("Content-Type", kind),))
documents = st.builds(
    lambda route, words, kind, body: Asked(route[0], _filled(route[1], words), {}, kind, body),
    st.sampled_from(_DOCUMENTS),
    st.lists(texts, min_size=3, max_size=3),
    _types,
    _documents,
)

# -- names, headers -------------------------------------------------------------------------------
names = st.one_of(
    st.builds(
        lambda name, body: Asked("POST", "/v1/images", {"name": name}, (), body),
        texts,
        st.binary(max_size=20),
    ),
    st.builds(
        lambda name, body: Asked("POST", f"/scan/image/{name}", {}, (), body),
        texts,
        st.binary(max_size=20),
    ),
    st.builds(
        lambda name, number: Asked(
            "POST", "/v1/collections", body=json.dumps({"name": name, "threshold": number}).encode()
        ),
        texts,
        st.one_of(st.none(), st.just(0.5), st.floats()),
    ),
)
_HEADERS = (
    *("Idempotency-Key", "If-None-Match", "If-Modified-Since", "Accept", "Accept-Encoding"),
    *("Authorization", "X-Api-Key", "traceparent", "baggage", "Range", "Origin", "Host"),
    *("Facematch-Purpose", "Facematch-Legal-Basis", "Facematch-Consent-Ref", "Last-Event-ID"),
    *(
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-HTTP-Method-Override",
        "Cookie",
        "Content-Encoding",
    ),
    *("Access-Control-Request-Method", "Expect", "Transfer-Encoding", "Content-Range", "Referer"),
)
#: As WSGI has them: Latin-1, and no ends of lines, which no server lets through.
_header_texts = st.one_of(
    texts.map(lambda text: text.encode().decode("latin-1")),
    st.sampled_from(["Bearer ", "Basic OjpA", "*", '""', 'W/"a"', "gzip;q=nan", "bytes=-1--1"]),
).map(lambda text: text.replace("\r", "").replace("\n", "")[:3000])
headers = st.builds(
    lambda route, sent, body: Asked(route[0], route[1], {}, tuple(sent), body),
    st.sampled_from(
        (
            *(("POST", "/v1/images"), ("POST", "/v1/images:batch"), ("GET", "/v1/people")),
            *(("GET", "/"), ("POST", f"/v1/collections/{COLLECTION}/images")),
            ("GET", "/v1/status"),
        )
    ),
    st.lists(st.tuples(st.sampled_from(_HEADERS), _header_texts), min_size=1, max_size=4),
    st.sampled_from([b"", b"x", PICTURE, b'{"urls": ["http://a.invalid/"]}']),
)


# -- archives -------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Entry:
    name: str
    data: bytes
    how: int = zipfile.ZIP_DEFLATED
    is_link: bool = False


def _zip(entries: Sequence[_Entry]) -> bytes:
    written = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(written, "w") as archive:
        warnings.simplefilter("ignore")  # two of one name
        for entry in entries:
            info = zipfile.ZipInfo("x")
            info.filename = info.orig_filename = entry.name  # ZipInfo() cuts at a zero
            info.compress_type = entry.how
            if entry.is_link:
                info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, entry.data)
    return written.getvalue()


_entry_names = st.one_of(
    texts.map(lambda name: name[:200]),
    st.sampled_from(
        (
            *("../a", "a/../../b", "/etc/passwd", "C:\\a", "a\\..\\b", "a/", ".hidden"),
            *("__MACOSX/a", "a\x00.jpg", "con", "a" * 300, "good.jpg", "é.jpg"),
        )
    ),
)
_nested = _zip([_Entry("inner.zip", _zip([_Entry("bomb", bytes(500_000))] * 3))])
_entry_data = st.one_of(
    st.binary(max_size=60), st.sampled_from([b"", bytes(2_000_000), _nested, PICTURE])
)
_entries = st.lists(
    st.builds(
        _Entry,
        _entry_names,
        _entry_data,
        st.sampled_from(
            [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
        ),
        st.booleans(),
    ),
    max_size=4,
)


def _lying(archive: bytes, edits: Sequence[tuple[int, bytes]], cut: int) -> bytes:
    """With bytes put over others, counted from the end, where the directory is, and cut off."""
    data = bytearray(archive)
    for place, new in edits:
        at = len(data) - 1 - place % max(1, len(data))
        data[at : at + len(new)] = new
    return bytes(data[: len(data) - cut])


_HUGE = [struct.pack("<I", number) for number in (0, 1, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)]
_edits = st.lists(
    st.tuples(
        st.integers(0, 300), st.one_of(st.sampled_from(_HUGE), st.binary(min_size=1, max_size=3))
    ),
    max_size=5,
)
#: What a zip of one file looks like when it says that all are encrypted, many, or of many bytes.
_many = _zip([_Entry(f"{number}.jpg", b"") for number in range(1100)])
_same = _zip([_Entry("a.jpg", b"x")] * 3)
_archives = st.one_of(
    _entries.map(_zip),
    st.builds(_lying, _entries.map(_zip), _edits, st.sampled_from([0, 0, 0, 1, 5, 30])),
    st.builds(_lying, st.just(_same), _edits, st.just(0)),
    st.sampled_from([_nested, _many, _zip([]), _zip([_Entry("bomb", bytes(40_000_000))])]),
)

_FORM = (
    b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.jpg"\r\n\r\nbytes\r\n--b--\r\n'
)
_forms = st.one_of(
    st.builds(_lying, st.just(_FORM), _edits, st.integers(0, 60)),
    st.builds(
        lambda name, data: (
            b'--b\r\nContent-Disposition: form-data; name="f"; filename="'
            + name.encode()
            + b'"\r\nContent-Type: a\r\n\r\n'
            + data
            + b"\r\n--b--\r\n"
        ),
        texts,
        st.binary(max_size=40),
    ),
    st.sampled_from(
        [b"--b", b"--b--", b"", b"--b\r\n" * 500, _FORM * 3, b"--b\r\n" + b"A: b\r\n" * 9000]
    ),
)
packed = st.builds(
    lambda path, sent, key: Asked("POST", path, {}, (*sent[0], *key), sent[1]),
    st.sampled_from(["/v1/images:batch", "/v1/images:batch", "/v1/images"]),
    st.one_of(
        st.tuples(st.just((("Content-Type", "application/zip"),)), _archives),
        st.tuples(st.just((("Content-Type", "multipart/form-data; boundary=b"),)), _forms),
    ),
    st.sampled_from([(), (), (("Idempotency-Key", "k"),)]),
)

#: Each kind by its name.
KINDS = {
    "paths": gets,
    "names": names,
    "deletes": deletes,
    "methods": methods,
    "documents": documents,
    "headers": headers,
    "packed": packed,
}
