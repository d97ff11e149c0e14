"""Batches: what may be sent, what is refused, and that nothing is taken twice."""

import io
import random
import struct
import threading
import tracemalloc
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from api_parts import Api, running_api
from api_server import serving
from flask.testing import FlaskClient
from waiting import eventually
from werkzeug.test import TestResponse

from api import packed
from facematch.client import Client
from facematch.errors import Rejected, Unavailable
from facematch.faces import image_hash
from facematch.keys import EVERY, Scope, new_key
from facematch.policy import PolicyChange

LIMIT, BACKLOG = 1000, 20_000
KEY = {"Idempotency-Key": "one"}
SHORT = "/v1/images:batch"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path, max_bytes=LIMIT, backlog_bytes=BACKLOG) as api:
        yield api


@pytest.fixture
def client(api: Api) -> FlaskClient:
    return api.app.test_client()


def zipped(*files: tuple[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", how) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return written.getvalue()


def send_zip(client: FlaskClient, data: bytes, **headers: str) -> TestResponse:
    return client.post(
        "/v1/images:batch", data=data, content_type="application/zip", headers=headers
    )


def send_urls(client: FlaskClient, urls: Any, **headers: str) -> TestResponse:
    return client.post("/v1/images:batch", json={"urls": urls}, headers=headers)


def items(answer: TestResponse) -> list[tuple[str, str | None, str | None]]:
    return [(item["state"], item["name"], item["code"]) for item in answer.json["items"]]


def test_a_list_of_urls_becomes_as_many_jobs(api: Api, client: FlaskClient) -> None:
    answer = send_urls(client, ["http://x/a", "file:///etc/passwd", " http://x/b "])
    assert answer.status_code == 202
    assert answer.json["counts"] | {"accepted": 2, "refused": 1} == answer.json["counts"]
    assert (answer.json["total"], answer.json["finished"]) == (3, False)
    assert items(answer) == [
        ("accepted", "http://x/a", None),
        ("refused", "file:///etc/passwd", "bad_url"),
        ("accepted", "http://x/b", None),
    ]
    job = answer.json["items"][0]["job"]
    assert client.get(f"/v1/jobs/{job}").json["url"] == "http://x/a"
    assert {api.next_job(), api.next_job()} == {
        item["job"] for item in answer.json["items"] if item["job"]
    }
    assert answer.headers["Location"] == f"/v1/batches/{answer.json['batch']}"


def test_a_batch_is_asked_for_page_by_page_until_it_is_finished(
    api: Api, client: FlaskClient
) -> None:
    pictures = [b"picture %d" % number for number in range(3)]
    files = [(f"folder/{number}.jpg", data) for number, data in enumerate(pictures)]
    where = send_zip(client, zipped(*files, ("large.jpg", b"x" * 1001))).headers["Location"]
    for data in pictures:
        api.finish(data, faces=0)
    first = client.get(f"{where}?limit=3")
    assert [item["hash"] for item in first.json["items"]] == [*map(image_hash, pictures)]
    assert items(first) == [("done", f"{number}.jpg", None) for number in range(3)]
    assert first.json["finished"]
    assert "Retry-After" not in first.headers
    rest = client.get(f"{where}?cursor={first.json['next']}")
    assert items(rest) == [("refused", "large.jpg", "too_large")]
    assert (rest.json["items"][0]["number"], rest.json["next"]) == (3, None)
    assert client.get("/v1/batches/none").status_code == 404
    assert client.get(f"{where}?cursor=x").json["code"] == "bad_cursor"


def test_a_form_may_have_many_files_and_fields_beside_them(client: FlaskClient) -> None:
    answer = client.post(
        "/v1/images:batch",
        data={
            "album": "summer",
            "files": [
                (io.BytesIO(b"one"), "a.jpg"),
                (io.BytesIO(b""), "b.jpg"),
                (io.BytesIO(b"x" * 1001), "c.jpg"),
                (io.BytesIO(b"--x\r\n" * 100), "../d.jpg"),
            ],
        },
    )
    assert answer.status_code == 202
    assert items(answer) == [
        ("accepted", "a.jpg", None),
        ("refused", "b.jpg", "empty"),
        ("refused", "c.jpg", "too_large"),
        ("accepted", "../d.jpg", None),  # a name is only that
    ]
    assert answer.json["items"][3]["hash"] == image_hash(b"--x\r\n" * 100)


def test_folders_and_hidden_files_of_an_archive_are_passed_over(client: FlaskClient) -> None:
    files = ("a/", b""), ("__MACOSX/a/._b.jpg", b"x"), ("a/.DS_Store", b"x"), ("a/b.jpg", b"y")
    assert items(send_zip(client, zipped(*files))) == [("accepted", "b.jpg", None)]


@pytest.mark.parametrize(
    "name", ["../a.jpg", "a/../../b.jpg", "/etc/a.jpg", "c:\\a.jpg", "a\\..\\b.jpg"]
)
def test_an_archive_that_leads_out_of_itself_is_refused(client: FlaskClient, name: str) -> None:
    answer = send_zip(client, zipped(("good.jpg", b"x"), (name, b"y")))
    assert (answer.status_code, answer.json["code"]) == (400, "bad_archive")


def test_an_archive_with_a_link_in_it_is_refused(client: FlaskClient) -> None:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        link = zipfile.ZipInfo("a.jpg")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    assert send_zip(client, written.getvalue()).json["code"] == "bad_archive"


def test_a_file_without_a_name_is_a_picture_like_any_other(client: FlaskClient) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writing:
        info = zipfile.ZipInfo("x")
        info.filename = info.orig_filename = ""
        writing.writestr(info, b"one")
    answer = send_zip(client, archive.getvalue())
    assert items(answer) == [("accepted", image_hash(b"one"), None)]


def test_what_is_packed_small_and_is_large_is_not_unpacked() -> None:
    bomb = zipped(*((f"{number}.jpg", bytes(5 * 10**6)) for number in range(4)))
    assert len(bomb) < 10**6
    tracemalloc.start()
    with pytest.raises(Rejected) as raised:
        list(packed.files_of_zip(io.BytesIO(bomb), LIMIT, 1000, 2 * LIMIT))
    assert raised.value.code == "too_large"
    assert tracemalloc.get_traced_memory()[1] < 5 * 10**6
    tracemalloc.stop()
    (one, *_) = packed.files_of_zip(io.BytesIO(bomb), LIMIT, 1000, 100 * LIMIT)
    assert isinstance(one, packed.Refused)
    assert one.error.code == "too_large"


@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_pictures_may_be_larger_than_a_directory_may(how: int) -> None:
    photograph = random.Random(1).randbytes(2 * 1024**2)
    archive = io.BytesIO(zipped(("a.jpg", photograph), how=how))
    found = list(packed.files_of_zip(archive, len(photograph), 1, len(photograph)))
    assert found == [packed.Picture(photograph, "a.jpg")]


def test_an_archive_with_too_large_a_directory_takes_no_memory() -> None:
    archive = io.BytesIO(zipped(*((f"{number:0150}", b"x") for number in range(8000))))
    tracemalloc.start()
    with pytest.raises(Rejected) as raised:
        list(packed.files_of_zip(archive, LIMIT, 1000, LIMIT))
    assert raised.value.code == "bad_archive"
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()


@pytest.mark.parametrize("how", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_files_packed_in_unusual_ways_are_refused(client: FlaskClient, how: int) -> None:
    answer = send_zip(client, zipped(("a.jpg", b"x"), how=how))
    assert items(answer) == [("refused", "a.jpg", "bad_archive")]


def test_a_broken_file_of_an_archive_is_refused_and_the_others_are_not(
    client: FlaskClient,
) -> None:
    data = bytearray(zipped(("a.jpg", b"A" * 100), ("b.jpg", b"b"), how=zipfile.ZIP_STORED))
    data[data.index(b"A" * 100)] = 0
    encrypted = bytearray(zipped(("a.jpg", b"x"), ("b.jpg", b"b")))
    struct.pack_into("<H", encrypted, encrypted.index(b"PK\x01\x02") + 8, 1)
    for archive in (data, encrypted):
        assert items(send_zip(client, bytes(archive))) == [
            ("refused", "a.jpg", "bad_archive"),
            ("accepted", "b.jpg", None),
        ]


@pytest.mark.parametrize(
    ("kind", "body", "code"),
    [
        ("application/zip", b"PK no", "bad_archive"),
        ("application/zip", b"", "bad_archive"),
        ("application/zip", zipped(), "bad_request"),
        ("application/json", b"[]", "bad_request"),
        ("application/json", b'{"urls": "http://x/"}', "bad_request"),
        ("application/json", b'{"urls": [1]}', "bad_request"),
        ("application/json", b'{"urls": []}', "bad_request"),
        ("application/json", b"[" * 100_000, "too_large"),
        ("application/json", b"[" * 15_000, "bad_request"),
        ("image/jpeg", b"x", "bad_request"),
        ("multipart/form-data", b"x", "bad_request"),
        ("multipart/form-data; boundary=x", b"--x\r\nbroken", "bad_request"),
        ("multipart/form-data; boundary=x", b"--x--\r\n", "bad_request"),
    ],
)
def test_what_is_no_batch_is_refused(
    api: Api, client: FlaskClient, kind: str, body: bytes, code: str
) -> None:
    answer = client.post("/v1/images:batch", data=body, content_type=kind)
    assert answer.json["code"] == code
    assert api.broker.depth() == 0


def test_there_are_at_most_a_thousand(api: Api, client: FlaskClient) -> None:
    urls = [f"http://x/{number}" for number in range(1001)]
    answer = send_urls(client, urls[:1000])
    assert answer.json["counts"]["accepted"] == 1000
    few = [f"x:{number}" for number in range(1001)]
    answer = send_urls(client, few)
    assert (answer.status_code, answer.json["code"]) == (413, "too_large")
    assert send_urls(client, few[1:]).json["counts"]["refused"] == 1000


def test_what_there_is_no_room_for_is_refused_and_loses_nothing(
    api: Api, client: FlaskClient
) -> None:
    for number in range(19):
        client.post("/v1/images", data=b"%d" % number * 500)
    answer = send_zip(client, zipped(*((f"{n}.jpg", bytes([n]) * 800) for n in range(10))))
    assert answer.status_code == 202
    counts = answer.json["counts"]
    assert 0 < counts["refused"] < 10
    assert counts["accepted"] == 10 - counts["refused"]
    assert {code for _, _, code in items(answer)} == {None, "backlog_full"}
    again = send_zip(client, zipped(("x.jpg", b"new" * 300)), **KEY)
    assert (again.status_code, again.json["code"]) == (503, "backlog_full")
    assert "Retry-After" in again.headers
    for _ in range(19 + counts["accepted"]):
        job = api.next_job()
        api.store.fail(job, "bad_image", "")
    assert send_zip(client, zipped(("x.jpg", b"new" * 300)), **KEY).status_code == 202


class Stalled(io.BytesIO):
    """A body that is no archive, and does not come before it is let go on."""

    def __init__(self, go_on: threading.Event) -> None:
        super().__init__(b"no archive")
        self.go_on, self.is_read = go_on, threading.Event()

    def readinto(self, buffer: Any) -> int:
        self.is_read.set()
        self.go_on.wait(30)
        return super().readinto(buffer)


@contextmanager
def held(api: Api, count: int, path: str, key: str) -> Iterator[None]:
    """So many batches that are being received."""
    go_on = threading.Event()

    def send(body: Stalled) -> TestResponse:
        return api.app.test_client().post(
            path,
            input_stream=body,
            headers={"X-Api-Key": key},
            content_type="application/zip",
        )

    with ThreadPoolExecutor(count) as pool:
        bodies = [Stalled(go_on) for _ in range(count)]
        answers = [pool.submit(send, body) for body in bodies]
        try:
            assert all(body.is_read.wait(10) for body in bodies)
            yield
        finally:
            go_on.set()
        assert {answer.result().status_code for answer in answers} == {400}


def test_who_has_slow_batches_received_keeps_nobody_else_from_sending_one(api: Api) -> None:
    def sent(path: str = SHORT, key: str = "") -> tuple[int, str | None]:
        answer = api.app.test_client().post(
            path, json={"urls": ["http://x/"]}, headers={"X-Api-Key": key}
        )
        assert (answer.status_code == 503) == ("Retry-After" in answer.headers)
        return answer.status_code, answer.json.get("code")

    busy, taken = (503, "batch_busy"), (202, None)
    api.collections.create("other", PolicyChange())
    # Where nobody is asked for a key, by collection.
    with held(api, 3, SHORT, ""):
        assert sent() == busy
        assert sent("/v1/collections/other/images:batch") == taken
    assert sent() == taken
    texts = []
    for _ in range(5):
        key, text = new_key("k", list(Scope), [EVERY], 1.0)
        api.keys.add(key)
        texts.append(text)
    eventually(lambda: sent()[0] == 401)
    with held(api, 3, SHORT, texts[0]):
        assert sent(key=texts[0]) == busy
        assert sent("/v1/collections/other/images:batch", texts[0]) == busy
        assert sent(key=texts[1]) == taken
        with held(api, 3, SHORT, texts[1]), held(api, 3, SHORT, texts[2]):
            assert sent(key=texts[3]) == taken
            with held(api, 3, SHORT, texts[3]):
                assert sent(key=texts[4]) == busy
    assert {sent(key=text) for text in texts} == {taken}


def test_a_batch_that_is_sent_again_with_its_key_is_the_same(api: Api, client: FlaskClient) -> None:
    first = send_urls(client, ["http://x/a", "http://x/b"], **KEY)
    assert send_urls(client, ["http://x/a", "http://x/b"], **KEY).json == first.json
    assert send_urls(client, ["http://x/a", "http://x/b"]).json["batch"] != first.json["batch"]
    other = send_urls(client, ["http://x/a"], **KEY)
    assert (other.status_code, other.json["code"]) == (422, "key_reused")
    stranger = send_urls(client, ["http://x/a"], **KEY, Authorization="Bearer another")
    assert stranger.status_code == 202


def test_a_batch_that_was_died_over_is_gone_on_with(
    api: Api, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept, accepted = api.store.accept, []

    def dying(job: Any, backlog: int) -> Any:
        if len(accepted) == 2:
            raise Unavailable("store_unavailable")
        accepted.append(job.id)
        return accept(job, backlog)

    urls = [f"http://x/{number}" for number in range(4)]
    with monkeypatch.context() as patched:
        patched.setattr(api.store, "accept", dying)
        assert send_urls(client, urls, **KEY).status_code == 503
    answer = send_urls(client, urls, **KEY)
    assert [item["job"] for item in answer.json["items"]][:2] == accepted
    assert len(api.store._jobs) == 4


def test_a_submission_that_is_sent_again_with_its_key_is_the_same(
    api: Api, client: FlaskClient
) -> None:
    def send(data: bytes, **headers: str) -> TestResponse:
        return client.post("/v1/images?name=x", data=data, headers=headers)

    first = send(b"a", **KEY)
    assert send(b"a", **KEY).json == first.json
    assert send(b"a").json["job"] != first.json["job"]
    assert send(b"b", **KEY).json["code"] == "key_reused"
    assert client.post("/v1/images?name=y", data=b"a", headers=KEY).status_code == 422
    api.finish(b"a", faces=0)
    done = send(b"a", **KEY)
    assert (done.status_code, done.json["state"], done.json["job"]) == (
        200,
        "done",
        first.json["job"],
    )
    by_url = client.post("/v1/images", json={"url": "http://x/"}, headers={"Idempotency-Key": "2"})
    again = client.post("/v1/images", json={"url": "http://x/"}, headers={"Idempotency-Key": "2"})
    assert by_url.json["job"] == again.json["job"]


def test_what_is_refused_has_not_taken_the_key(api: Api, client: FlaskClient) -> None:
    assert send_zip(client, b"no zip", **KEY).status_code == 400
    assert send_urls(client, [], **KEY).status_code == 400
    assert send_urls(client, ["http://x/a"], **KEY).status_code == 202
    assert client.put("/v1/privacy", json={"strict": True}).status_code == 200
    answer = client.post("/v1/images", data=b"one", headers=KEY)
    assert (answer.status_code, answer.json["code"]) == (422, "no_basis")
    basis = {"Facematch-Purpose": "tests", "Facematch-Legal-Basis": "contract"}
    answer = client.post("/v1/images", data=b"two", headers=KEY | basis)
    assert answer.status_code == 202


@pytest.mark.parametrize("key", ["", "x" * 256, "\xf6"])
def test_what_is_no_key_is_refused(client: FlaskClient, key: str) -> None:
    answer = client.post("/v1/images", data=b"a", headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.json["code"]) == (400, "bad_request")


def test_the_client_sends_batches_and_waits_for_them(tmp_path: Path) -> None:
    with serving(tmp_path) as server, Client(server.url) as client:
        path = tmp_path / "pictures.zip"
        path.write_bytes(zipped(("a.jpg", b"a"), ("b.jpg", b"b"), ("c.jpg", b"")))
        sent = client.batches.submit_zip(path, key="mine")
        assert client.batches.submit_zip(path.read_bytes(), key="mine").batch == sent.batch
        with pytest.raises(Rejected) as raised:
            client.batches.submit_urls(["http://x/"], key="mine")
        assert raised.value.code == "key_reused"
        done = client.batches.wait_for(sent.batch, 20)
        assert (done.total, done.counts["done"], done.counts["refused"]) == (3, 2, 1)
        found = list(client.batches.items(sent.batch))
        assert [item.hash for item in found] == [image_hash(b"a"), image_hash(b"b"), None]
        assert found[2].code == "empty"
        page = client.batches.get(sent.batch, limit=1)
        assert client.batches.get(sent.batch, 1, page.next).items == (found[1],)
        assert client.batches.submit_urls(["http://x/"]).counts["accepted"] == 1
