"""What a collection asks of submissions, and for how long it keeps images."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from api_parts import Api, running_api
from flask.testing import FlaskClient
from waiting import eventually

from api.retention import Retention, destroy
from facematch.errors import Unavailable
from facematch.faces import image_hash
from facematch.memory_privacy import MemoryPrivacy
from facematch.privacy import MOST_WORD, Rules

WHY = {"purpose": "a reunion", "legal_basis": "consent", "consent_ref": "form 17"}
HEADERS = {
    "Facematch-Purpose": WHY["purpose"],
    "Facematch-Legal-Basis": WHY["legal_basis"],
    "Facematch-Consent-Ref": WHY["consent_ref"],
}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as running:
        yield running


@pytest.fixture
def client(api: Api) -> FlaskClient:
    return api.app.test_client()


def strict(client: FlaskClient, where: str = "/v1") -> None:
    answer = client.put(f"{where}/privacy", json={"strict": True})
    assert (answer.status_code, answer.json) == (200, {"keep_days": None, "strict": True})


def test_at_first_nothing_is_asked_for_and_all_is_kept(client: FlaskClient) -> None:
    assert client.get("/v1/privacy").json == {"keep_days": None, "strict": False}
    assert client.post("/v1/images", data=b"a").status_code == 202


@pytest.mark.parametrize(
    "wrong",
    [
        {"keep_days": 0},
        {"keep_days": -1},
        {"keep_days": 1e9},
        {"keep_days": True},
        {"strict": 1},
        {"keep": 1},
    ],
)
def test_rules_that_are_none_are_refused(client: FlaskClient, wrong: dict[str, object]) -> None:
    answer = client.put("/v1/privacy", json=wrong)
    assert (answer.status_code, answer.json["code"]) == (400, "bad_request")
    assert client.get("/v1/privacy").json == {"keep_days": None, "strict": False}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/images", {"data": b"a"}),
        ("/v1/images", {"json": {"url": "http://example.com/a.jpg"}}),
        ("/scan/image/a.jpg", {"data": b"a"}),
        ("/scan/url", {"json": {"url": "http://example.com/a.jpg"}}),
    ],
)
def test_a_strict_collection_refuses_whoever_does_not_say_why(
    client: FlaskClient, path: str, body: dict[str, object]
) -> None:
    strict(client)
    for said in (
        {},
        {"purpose": "x"},
        {"legal_basis": "x"},
        {"purpose": "x", "legal_basis": "consent"},
    ):
        answer = client.post(path, query_string={"wait": "0", **said}, **body)  # type: ignore[arg-type]
        assert (answer.status_code, answer.json["code"]) == (422, "no_basis"), said
    assert client.post(path, query_string={"wait": "0"}, headers=HEADERS, **body).status_code in (
        200,
        202,
    )  # type: ignore[arg-type]


def test_a_strict_collection_refuses_each_item_of_a_batch(client: FlaskClient) -> None:
    strict(client)
    urls = {"urls": ["http://example.com/a.jpg", "http://example.com/b.jpg"]}
    refused = client.post("/v1/images:batch", json=urls)
    assert [item["code"] for item in refused.json["items"]] == ["no_basis", "no_basis"]
    taken = client.post("/v1/images:batch", json=urls, headers=HEADERS)
    assert taken.json["counts"]["accepted"] == 2


def test_one_collection_is_strict_and_another_is_not(client: FlaskClient) -> None:
    for name in ("a", "b"):
        assert client.post("/v1/collections", json={"name": name}).status_code == 201
    strict(client, "/v1/collections/a")
    assert client.post("/v1/collections/a/images", data=b"x").status_code == 422
    assert client.post("/v1/collections/b/images", data=b"x").status_code == 202
    assert client.put("/v1/collections/c/privacy", json={}).status_code == 404
    assert client.get("/v1/collections/c/privacy").status_code == 404


def test_what_was_said_is_told_of_the_image_until_it_is_erased(
    api: Api, client: FlaskClient
) -> None:
    client.post("/v1/images", query_string=WHY, data=b"a")
    client.post("/v1/images", headers=HEADERS, data=b"b")
    for data in (b"a", b"b"):
        image = api.finish(data)
        assert client.get(f"/v1/images/{image}").json["bases"] == [WHY]
    client.delete(f"/v1/images/{image_hash(b'a')}")
    assert api.store.image(image_hash(b"a")).bases == ()


@pytest.mark.parametrize("word", ["a" * (MOST_WORD + 1), "a\x00b", "a\nb"])
def test_words_that_are_none_are_refused(client: FlaskClient, word: str) -> None:
    answer = client.post("/v1/images", query_string={"purpose": word}, data=b"a")
    assert (answer.status_code, answer.json["code"]) == (400, "bad_request")


def test_what_is_too_old_is_erased_for_good(api: Api, client: FlaskClient) -> None:
    for data in (b"a", b"b"):
        client.post("/v1/images", data=data)
        api.finish(data)
    privacy = api.parts.privacy
    assert destroy(privacy, api.collections.store, api.ledger) == 0
    privacy.rule("default", Rules(keep_days=30))
    assert destroy(privacy, api.collections.store, api.ledger) == 0
    privacy.rule("gone", Rules(keep_days=1e-9))
    privacy.rule("default", Rules(keep_days=1e-9))
    retention = Retention(privacy, api.collections.store, api.ledger, seconds=0.05)
    retention.start()
    for data in (b"a", b"b"):
        path = f"/v1/images/{image_hash(data)}"
        eventually(lambda path=path: client.get(path).status_code == 410, "it is erased", 10)
    retention.stop()
    # What is hidden is in the ledger already.
    assert {one.image for one in api.ledger.erasures()} == {image_hash(b"a"), image_hash(b"b")}


class Meanwhile(MemoryPrivacy):
    """Where something happens between finding what is too old and erasing it."""

    def __init__(self, api: Api, happens: Callable[[str], object]) -> None:
        super().__init__(api.collections.store)
        self._happens = happens

    def older_than(self, collection: str, days: float) -> Iterator[tuple[str, int]]:
        found = list(super().older_than(collection, days))
        self._happens(collection)
        return iter(found)


def test_what_was_put_in_again_meanwhile_is_not_too_old(api: Api, client: FlaskClient) -> None:
    image = client.post("/v1/images", data=b"a").json["hash"]
    api.finish(b"a")

    def put_in_again(collection: str) -> None:
        assert client.delete(f"/v1/images/{image}").status_code == 204
        assert client.post("/v1/images", data=b"a").status_code == 202

    privacy = Meanwhile(api, put_in_again)
    privacy.rule("default", Rules(keep_days=1e-9))
    assert destroy(privacy, api.collections.store, api.ledger) == 1
    assert client.get(f"/v1/images/{image}").json["state"] == "accepted"


def test_what_is_in_the_way_in_one_collection_is_not_in_that_of_the_others(
    api: Api, client: FlaskClient
) -> None:
    image = client.post("/v1/images", data=b"a").json["hash"]

    def erasing(collection: str) -> None:
        if collection == "another":
            raise Unavailable("collection_erasing")

    privacy = Meanwhile(api, erasing)
    client.post("/v1/collections", json={"name": "another"})
    for name in ("another", "default"):
        privacy.rule(name, Rules(keep_days=1e-9))
    assert destroy(privacy, api.collections.store, api.ledger) == 1
    assert client.get(f"/v1/images/{image}").status_code == 410


def test_an_erasure_that_was_cut_short_is_in_the_ledger_and_finished(
    api: Api, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = client.post("/v1/images", data=b"a").json["hash"]
    privacy = api.parts.privacy
    privacy.rule("default", Rules(keep_days=1e-9))

    def away(image: str, upto: int = 0) -> None:
        raise Unavailable("store_unavailable")

    with monkeypatch.context() as cut:
        cut.setattr(api.store, "erase", away)
        assert destroy(privacy, api.collections.store, api.ledger) == 0
    assert [one.image for one in api.ledger.erasures()] == [image]
    assert destroy(privacy, api.collections.store, api.ledger) == 1
    assert client.get(f"/v1/images/{image}").status_code == 410
    assert [one.image for one in api.ledger.erasures()] == [image]
