"""The routes of the course client, exactly as it knows them, and the web page."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_parts import Api, later, running_api
from flask.testing import FlaskClient

from api.reading import Reading
from facematch.faces import image_hash
from facematch.store import Cursor, MatchPage

URL = "https://example.com/a.jpg"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as api:
        yield api


@pytest.fixture
def client(api: Api) -> FlaskClient:
    return api.app.test_client()


def scanned(api: Api, client: FlaskClient, data: bytes, *others: tuple[bytes, float]) -> str:
    answer = client.post(f"/scan/image/{data.decode()}", data=data)
    assert answer.status_code == 200
    assert api.finish(data, others) == answer.json["hash"]
    return str(answer.json["hash"])


def test_an_image_is_answered_with_its_hash_and_nothing_else(api: Api, client: FlaskClient) -> None:
    answer = client.post("/scan/image/a.jpg", data=b"bytes")
    assert (answer.status_code, answer.json) == (200, {"hash": image_hash(b"bytes")})
    assert api.store.job(api.next_job()).name == "a.jpg"


@pytest.mark.parametrize("name", ["folder/a b.jpg", "https://example.com//a.jpg", "é.jpg", "a%b"])
def test_the_path_is_the_name_as_it_is(api: Api, client: FlaskClient, name: str) -> None:
    path = name.replace("%", "%25")
    assert client.post(f"/scan/image/{path}", data=b"bytes").status_code == 200
    assert api.store.job(api.next_job()).name == name


def test_an_image_without_a_file_name_is_404(client: FlaskClient) -> None:
    assert client.post("/scan/image/", data=b"bytes").status_code == 404


def test_a_url_is_answered_with_the_hashes_of_its_matches(api: Api, client: FlaskClient) -> None:
    far, near = scanned(api, client, b"far"), scanned(api, client, b"near")
    later(lambda: api.finish(b"a", [(b"far", 0.5), (b"near", 0.1)]))
    answer = client.post("/scan/url", json={"url": URL})
    assert answer.status_code == 200
    assert answer.json == {"hash": image_hash(b"a"), "matches": [near, far]}


def test_a_url_without_a_match_says_so(api: Api, client: FlaskClient) -> None:
    later(lambda: api.finish(b"a"))
    answer = client.post("/scan/url", json={"url": URL})
    assert answer.status_code == 200
    assert answer.json == {
        "hash": image_hash(b"a"),
        "matches": [],
        "message": "no matches found",
    }


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", None])
def test_a_url_is_found_whatever_the_content_type(client: FlaskClient, kind: str | None) -> None:
    body = b'{"url": "https://example.com/a.jpg"}'
    assert client.post("/scan/url?wait=0", data=body, content_type=kind).status_code == 202


@pytest.mark.parametrize("body", [b"", b"url=https://example.com", b"{}", b"[" * 60_000, b"\xff"])
def test_a_body_without_a_url_is_a_bad_request(client: FlaskClient, body: bytes) -> None:
    answer = client.post("/scan/url", data=body)
    assert (answer.status_code, answer.json["code"]) == (400, "bad_request")


def test_a_url_not_ready_in_time_is_202_with_the_job(api: Api, client: FlaskClient) -> None:
    answer = client.post("/scan/url?wait=0.1", json={"url": URL})
    assert (answer.status_code, answer.json["state"]) == (202, "accepted")
    assert answer.json["job"] == api.next_job()
    assert answer.headers["Location"] == f"/v1/jobs/{answer.json['job']}"


def test_a_url_waits_for_about_five_seconds(client: FlaskClient) -> None:
    before = time.monotonic()
    assert client.post("/scan/url", json={"url": URL}).status_code == 202
    assert 4.9 < time.monotonic() - before < 12


def test_a_url_that_cannot_be_processed_is_422_with_the_code(api: Api, client: FlaskClient) -> None:
    later(lambda: api.store.fail(api.next_job(), "unreachable", "no such host"))
    answer = client.post("/scan/url", json={"url": URL})
    assert (answer.status_code, answer.content_type) == (422, "application/problem+json")
    assert (answer.json["code"], answer.json["detail"]) == ("unreachable", "no such host")


def test_a_failed_url_is_422_even_when_its_code_has_another_status(
    api: Api, client: FlaskClient
) -> None:
    later(lambda: api.store.fail(api.next_job(), "too_large", ""))
    answer = client.post("/scan/url", json={"url": URL})
    assert (answer.status_code, answer.json["code"]) == (422, "too_large")


def test_a_url_whose_image_is_erased_meanwhile_is_410(api: Api, client: FlaskClient) -> None:
    def commit_and_erase() -> None:
        commit = api.commit(api.next_job(), b"a")
        api.store.erase(commit.image)

    later(commit_and_erase)
    answer = client.post("/scan/url", json={"url": URL})
    assert (answer.status_code, answer.json["code"]) == (410, "erased")


def test_matches_are_a_list_of_all_names_nearest_first(api: Api, client: FlaskClient) -> None:
    scanned(api, client, b"far")
    scanned(api, client, b"near")
    client.post("/scan/image/near-2", data=b"near")
    client.post("/scan/image/far", data=b"near")
    image = scanned(api, client, b"a", (b"far", 0.5), (b"near", 0.1))
    answer = client.get(f"/match/{image}")
    assert (answer.status_code, answer.json) == (200, ["far", "near", "near-2"])
    assert answer.content_type == "application/json"
    assert client.get(f"/match/{image_hash(b'far')}").json == ["a"]


def test_matches_are_all_there_when_they_fill_many_pages(
    api: Api, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.reading._PORTION", 4)
    others = [(b"%d" % n, n / 100) for n in range(11)]
    for data, _ in others:
        scanned(api, client, data)
    image = scanned(api, client, b"image", *others)
    assert client.get(f"/match/{image}").json == [data.decode() for data, _ in others]


def test_nothing_is_an_empty_list(api: Api, client: FlaskClient) -> None:
    waiting = client.post("/scan/image/a", data=b"a").json["hash"]
    assert client.get(f"/match/{waiting}").json == []
    api.finish(b"a", faces=0)
    alone = scanned(api, client, b"b")
    for image in (waiting, alone, "0" * 64, "no-hash", "A" * 64):
        answer = client.get(f"/match/{image}")
        assert (answer.status_code, answer.json) == (200, [])


def test_an_erased_image_has_no_matches_and_is_none(api: Api, client: FlaskClient) -> None:
    other = scanned(api, client, b"b")
    image = scanned(api, client, b"a", (b"b", 0.3))
    api.store.erase(image)
    assert client.get(f"/match/{image}").json == []
    assert client.get(f"/match/{other}").json == []


def test_a_read_touches_nothing_but_the_matches_in_the_store(api: Api, client: FlaskClient) -> None:
    scanned(api, client, b"b")
    image = scanned(api, client, b"a", (b"b", 0.3))
    asked: list[int] = []

    class OnlyMatches:
        def matches(self, image: str, limit: int, after: Cursor | None = None) -> MatchPage:
            asked.append(limit)
            return api.store.matches(image, limit, after)

    reading = Reading(OnlyMatches(), api.waiting)  # type: ignore[arg-type]
    assert [match.names for match in reading.every_match(image)] == [("b",)]
    assert asked == [1000]


def test_the_page_needs_nothing_from_outside_and_runs_nothing_inline(
    client: FlaskClient,
) -> None:
    answer = client.get("/")
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    html = answer.text
    assert not re.search(r"(src|href)=\"(https?:)?//", html)
    assert not re.search(r"\son\w+=|style=|<style|<script>", html)
    assets = re.findall(r'(?:src|href)="(/[^"]*)"', html)
    assert any(path.endswith(".js") for path in assets)
    assert any(path.endswith(".css") for path in assets)
    for path in assets:
        with client.get(path) as found:
            assert found.status_code == 200, path
            assert not re.search(r"url\(\s*['\"]?https?:|@import", found.text), path
