"""POST /v1/images and GET /v1/jobs: what is taken for what, the limits, the answers."""

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_parts import Api, later, running_api
from flask.testing import FlaskClient

from facematch.faces import image_hash

PICTURE = b"\x89PNG picture bytes"
LIMIT = 1000


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path, max_bytes=LIMIT, backlog_bytes=5 * LIMIT) as api:
        yield api


@pytest.fixture
def client(api: Api) -> FlaskClient:
    return api.app.test_client()


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "image/png",
        "application/octet-stream",
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=abc",
        "text/html; charset=utf-16",
        "nonsense",
    ],
)
def test_raw_bytes_are_taken_whatever_their_content_type(
    api: Api, client: FlaskClient, kind: str | None
) -> None:
    answer = client.post("/v1/images?name=a.png", data=PICTURE, content_type=kind)
    assert answer.status_code == 202
    assert answer.json["hash"] == image_hash(PICTURE)
    assert answer.json["name"] == "a.png"
    assert answer.json["state"] == "accepted"
    assert answer.headers["Location"] == f"/v1/jobs/{answer.json['job']}"
    assert answer.headers["Retry-After"]
    assert api.next_job() == answer.json["job"]
    assert api.store.uploaded(image_hash(PICTURE)) == PICTURE


def test_a_form_with_one_file_is_that_file_and_its_name(api: Api, client: FlaskClient) -> None:
    form = {"note": "hello", "picture": (io.BytesIO(PICTURE), "holiday.png")}
    answer = client.post("/v1/images", data=form)
    assert answer.status_code == 202
    assert (answer.json["hash"], answer.json["name"]) == (image_hash(PICTURE), "holiday.png")
    assert api.store.uploaded(image_hash(PICTURE)) == PICTURE


def test_a_file_in_a_form_may_be_as_large_as_the_limit_and_no_larger(client: FlaskClient) -> None:
    most, more = b"x" * LIMIT, b"x" * (LIMIT + 1)
    assert client.post("/v1/images", data={"f": (io.BytesIO(most), "f")}).status_code == 202
    answer = client.post("/v1/images", data={"f": (io.BytesIO(more), "f")})
    assert (answer.status_code, answer.json["code"]) == (413, "too_large")


@pytest.mark.parametrize("count", [0, 2])
def test_a_form_with_no_or_several_files_is_refused(client: FlaskClient, count: int) -> None:
    form = {f"f{number}": (io.BytesIO(PICTURE), "a") for number in range(count)}
    answer = client.post(
        "/v1/images", data={"text": "t", **form}, content_type="multipart/form-data"
    )
    assert (answer.status_code, answer.json["code"]) == (400, "bad_request")


def test_a_form_cut_short_is_refused(client: FlaskClient) -> None:
    answer = client.post(
        "/v1/images",
        data=b"--abc\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\nxyz",
        content_type="multipart/form-data; boundary=abc",
    )
    assert (answer.status_code, answer.json["code"]) == (400, "bad_request")


def test_json_with_a_url_is_a_url(api: Api, client: FlaskClient) -> None:
    answer = client.post("/v1/images", json={"url": " https://example.com/a.jpg "})
    assert answer.status_code == 202
    assert answer.json["hash"] is None
    assert answer.json["url"] == answer.json["name"] == "https://example.com/a.jpg"
    assert api.store.job(api.next_job()).url == "https://example.com/a.jpg"


def test_json_that_is_not_labelled_as_such_is_bytes(client: FlaskClient) -> None:
    body = json.dumps({"url": "https://example.com/a.jpg"}).encode()
    answer = client.post("/v1/images", data=body, content_type="text/plain")
    assert (answer.status_code, answer.json["hash"]) == (202, image_hash(body))


@pytest.mark.parametrize("document", ["{}", "[]", "7", '{"url": 7}', '{"URL": "https://a.b"}'])
def test_json_without_a_url_is_a_bad_request(client: FlaskClient, document: str) -> None:
    answer = client.post("/v1/images", data=document, content_type="application/json")
    assert (answer.status_code, answer.json["code"]) == (400, "bad_request")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/a.jpg",
        "ftp://example.com/a.jpg",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://",
        "http://:80/",
        "https://[::1",
        "https://example.com:port/",
        "https://example.com:99999/",
        "https://exa mple.com/",
        "https://example.com/\x00",
        "https://example.com/\ud800",
        "https://example.com/a\nb",
        "https://example.com/" + "a" * 2000,
    ],
)
@pytest.mark.parametrize("route", ["/v1/images", "/scan/url?wait=0"])
def test_a_url_that_is_none_is_refused(client: FlaskClient, route: str, url: str) -> None:
    answer = client.post(route, json={"url": url})
    assert (answer.status_code, answer.json["code"]) == (400, "bad_url")


@pytest.mark.parametrize("route", ["/v1/images", "/scan/image/a.jpg"])
def test_no_bytes_are_refused(client: FlaskClient, route: str) -> None:
    answer = client.post(route)
    assert (answer.status_code, answer.json["code"]) == (400, "empty")


@pytest.mark.parametrize("route", ["/v1/images", "/scan/image/a.jpg"])
@pytest.mark.parametrize("times", [1.01, 5, 50])
def test_more_bytes_than_the_limit_are_refused(
    client: FlaskClient, route: str, times: float
) -> None:
    assert client.post(route, data=b"x" * LIMIT).status_code in (200, 202)
    answer = client.post(route, data=b"x" * int(LIMIT * times))
    assert (answer.status_code, answer.json["code"]) == (413, "too_large")


def test_a_body_that_ends_early_is_refused(client: FlaskClient) -> None:
    answer = client.post("/v1/images", data=PICTURE, environ_overrides={"CONTENT_LENGTH": "100"})
    assert (answer.status_code, answer.json["code"]) == (400, "bad_request")


def test_bytes_without_a_name_are_named_by_their_hash(client: FlaskClient) -> None:
    answer = client.post("/v1/images?name=%20", data=PICTURE)
    assert answer.json["name"] == image_hash(PICTURE)


def test_control_characters_in_a_name_are_replaced(client: FlaskClient) -> None:
    answer = client.post("/v1/images?name=%20a%00b%0A%C3%A9.jpg%0A", data=PICTURE)
    assert answer.json["name"] == "a�b�é.jpg"


def test_a_name_has_at_most_a_thousand_characters(client: FlaskClient) -> None:
    assert client.post("/v1/images?name=" + "é" * 1000, data=PICTURE).status_code == 202
    answer = client.post("/v1/images?name=" + "é" * 1001, data=PICTURE)
    assert (answer.status_code, answer.json["code"]) == (400, "bad_request")


def test_too_many_waiting_bytes_are_503_with_a_time_to_retry(client: FlaskClient) -> None:
    answers = [client.post("/v1/images", data=bytes([n]) * LIMIT) for n in range(6)]
    assert [answer.status_code for answer in answers] == [202] * 5 + [503]
    assert answers[-1].json["code"] == "backlog_full"
    assert int(answers[-1].headers["Retry-After"]) > 0


@pytest.mark.parametrize("wait", ["-1", "31", "nan", "inf", "soon"])
def test_a_wait_out_of_range_is_a_bad_request(client: FlaskClient, wait: str) -> None:
    answer = client.post(f"/v1/images?wait={wait}", data=PICTURE)
    assert (answer.status_code, answer.json["code"]) == (400, "bad_request")
    assert "wait" in answer.json["detail"]


def test_a_job_finished_within_the_wait_is_200(api: Api, client: FlaskClient) -> None:
    later(lambda: api.finish(PICTURE))
    before = time.monotonic()
    answer = client.post("/v1/images?wait=20", data=PICTURE)
    assert time.monotonic() - before < 5
    assert (answer.status_code, answer.json["state"]) == (200, "done")
    assert "Retry-After" not in answer.headers


def test_a_job_that_fails_within_the_wait_is_200_with_its_code(
    api: Api, client: FlaskClient
) -> None:
    later(lambda: api.store.fail(api.next_job(), "not_an_image", "it is a poem"))
    answer = client.post("/v1/images?wait=20", data=PICTURE)
    assert (answer.status_code, answer.json["state"]) == (200, "failed")
    assert (answer.json["code"], answer.json["detail"]) == ("not_an_image", "it is a poem")


def test_a_job_not_finished_within_the_wait_is_202(api: Api, client: FlaskClient) -> None:
    later(lambda: api.commit(api.next_job(), PICTURE), 0.1)
    answer = client.post("/v1/images?wait=3", data=PICTURE)
    assert (answer.status_code, answer.json["state"]) == (202, "indexed")


def test_bytes_seen_before_are_done_at_once_and_not_published(
    api: Api, client: FlaskClient
) -> None:
    client.post("/v1/images?name=one", data=PICTURE)
    image = api.finish(PICTURE)
    answer = client.post("/v1/images?name=two", data=PICTURE)
    assert (answer.status_code, answer.json["state"]) == (200, "done")
    assert client.get(f"/v1/images/{image}").json["names"] == ["one", "two"]
    assert api.broker.receive(0.1) is None


def test_a_job_tells_how_far_it_is(api: Api, client: FlaskClient) -> None:
    job = client.post("/v1/images", json={"url": "https://example.com/a"}).json["job"]
    accepted = client.get(f"/v1/jobs/{job}")
    assert (accepted.status_code, accepted.json["state"]) == (200, "accepted")
    assert accepted.headers["Retry-After"]
    commit = api.commit(api.next_job(), PICTURE)
    indexed = client.get(f"/v1/jobs/{job}")
    assert (indexed.json["state"], indexed.json["hash"]) == ("indexed", image_hash(PICTURE))
    assert indexed.json["attempts"] == 1
    later(lambda: api.link(commit))
    done = client.get(f"/v1/jobs/{job}?wait=20")
    assert done.json["state"] == "done"
    assert "Retry-After" not in done.headers
    assert client.delete(f"/v1/images/{commit.image}").status_code == 204
    assert client.get(f"/v1/jobs/{job}").json["state"] == "erased"


def test_an_unknown_job_is_404(client: FlaskClient) -> None:
    answer = client.get("/v1/jobs/nothing")
    assert (answer.status_code, answer.json["code"]) == (404, "not_found")
