"""The routes of webhooks."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from api_parts import Api, running_api
from flask.testing import FlaskClient

from facematch.webhooks import MOST_WEBHOOKS


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as api:
        yield api


@pytest.fixture
def client(api: Api) -> FlaskClient:
    return api.app.test_client()


def test_a_webhook_is_made_shown_and_removed(api: Api, client: FlaskClient) -> None:
    client.post("/v1/images", data=b"before")
    api.finish(b"before", faces=0)
    made = client.post("/v1/webhooks", json={"url": " https://example.com/hook "})
    assert made.status_code == 201
    assert made.json["url"] == "https://example.com/hook"
    assert made.json["secret"].startswith("whsec_")
    where = made.headers["Location"]
    shown = client.get(where).json
    assert shown == {
        "webhook": made.json["webhook"],
        "url": "https://example.com/hook",
        "created": shown["created"],
        "after": "1-0",
        "delivered": None,
        "failures": 0,
        "since": None,
        "error": None,
        "dead": False,
    }
    assert client.get("/v1/webhooks").json == {"webhooks": [shown]}
    assert client.delete(where).status_code == 204
    for answer in (client.get(where), client.delete(where), client.post(f"{where}/redeliver")):
        assert (answer.status_code, answer.json["code"]) == (404, "not_found")
    assert client.get("/v1/webhooks").json == {"webhooks": []}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "bad_request"),
        (b"[]", "bad_request"),
        (b'{"url": 1}', "bad_request"),
        (b'{"url": "ftp://x/"}', "bad_url"),
    ],
)
def test_what_is_no_webhook_is_refused(client: FlaskClient, body: bytes, code: str) -> None:
    answer = client.post("/v1/webhooks", data=body)
    assert (answer.status_code, answer.json["code"]) == (400, code)


def test_it_is_redelivered_from_any_event(client: FlaskClient) -> None:
    where = client.post("/v1/webhooks", json={"url": "http://x/"}).headers["Location"]
    assert client.post(f"{where}/redeliver").json["after"] == "0-0"
    assert client.post(f"{where}/redeliver", json={"after": "7-0"}).json["after"] == "7-0"
    refused = client.post(f"{where}/redeliver", json={"after": "x"})
    assert (refused.status_code, refused.json["code"]) == (400, "bad_cursor")


def test_there_are_only_so_many(client: FlaskClient) -> None:
    for number in range(MOST_WEBHOOKS):
        assert client.post("/v1/webhooks", json={"url": f"http://x/{number}"}).status_code == 201
    refused = client.post("/v1/webhooks", json={"url": "http://x/"})
    assert (refused.status_code, refused.json["code"]) == (409, "too_many_webhooks")
