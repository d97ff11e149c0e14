"""The routes about collections, and those of one: each answers for its own and no other."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from api_parts import MODEL, Api, FindsNothing, running_api
from flask.testing import FlaskClient
from waiting import eventually

from api.collection_of import LONG
from api.ledger import Ledger, Record, replay
from facematch.collections import MOST_NAMES
from facematch.errors import Unavailable
from facematch.faces import image_hash
from facematch.job import Message
from facematch.policy import PolicyChange

HASH = image_hash(b"a")


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path, searcher=FindsNothing()) as api:
        yield api


@pytest.fixture
def client(api: Api) -> FlaskClient:
    return api.app.test_client()


def made(client: FlaskClient, name: str = "holiday", **policy: object) -> str:
    """Where a collection is that was made."""
    answer = client.post("/v1/collections", json={"name": name, **policy})
    assert answer.status_code == 201
    return str(answer.headers["Location"])


def test_a_collection_is_made_once_and_shown(client: FlaskClient) -> None:
    answer = client.post("/v1/collections", json={"name": "holiday", "threshold": 0.5})
    shown = {
        "name": "holiday",
        "model": MODEL,
        "threshold": 0.5,
        "max_false_matches": None,
        "max_matches": 10_000,
        "images": 0,
        "faces": 0,
        "pending": 0,
        "jobs": 0,
    }
    assert (answer.status_code, answer.json) == (201, shown)
    assert answer.headers["Location"] == "/v1/collections/holiday"
    assert client.get("/v1/collections/holiday").json == shown
    again = client.post("/v1/collections", json={"name": "holiday"})
    assert (again.status_code, again.json) == (200, shown)
    other = client.post("/v1/collections", json={"name": "holiday", "threshold": 0.6})
    assert (other.status_code, other.json["code"]) == (409, "collection_exists")


@pytest.mark.parametrize(
    "body",
    [
        *({}, [], {"name": None}, {"name": ""}, {"name": "A"}, {"name": "a/b"}, {"name": "a" * 64}),
        *({"name": "a~1"}, {"name": "a", "threshold": 0}, {"name": "a", "threshold": 2.1}),
        *({"name": "a", "max_matches": -1}, {"name": "a", "max_false_matches": "many"}),
        {"name": "a", "thresold": 0.5},
    ],
)
def test_what_is_no_collection_is_a_bad_request(client: FlaskClient, body: object) -> None:
    answer = client.post("/v1/collections", json=body)
    assert (answer.status_code, answer.json["code"]) == (400, "bad_request")
    assert [one["name"] for one in client.get("/v1/collections").json["collections"]] == ["default"]


def test_pages_of_collections_follow_each_other(client: FlaskClient) -> None:
    for name in ("b", "z", "a", "e"):
        made(client, name)
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = client.get("/v1/collections", query_string={"limit": 2, "cursor": cursor}).json
        found += [one["name"] for one in page["collections"]]
        cursor = page["next"]
    assert found == ["a", "b", "default", "e", "z"]
    for query in ({"cursor": "x"}, {"limit": 0}, {"limit": MOST_NAMES + 1}):
        assert client.get("/v1/collections", query_string=query).status_code == 400


def test_a_submission_is_one_of_its_collection_and_no_other(api: Api, client: FlaskClient) -> None:
    where = made(client)
    answer = client.post(f"{where}/images", data=b"a")
    assert answer.status_code == 202
    location = answer.headers["Location"]
    assert location == f"{where}/jobs/{answer.json['job']}"
    assert client.get(location).json["hash"] == HASH
    assert client.get(f"/v1/jobs/{answer.json['job']}").status_code == 404
    assert client.get(f"{where}/images/{HASH}").json["state"] == "accepted"
    assert client.get(f"/v1/images/{HASH}").status_code == 404
    assert client.get(f"/match/{HASH}").json == []
    delivery = api.broker.receive(5)
    assert delivery is not None
    told = Message.decode(delivery.body)
    assert (told.job, told.collection) == (answer.json["job"], "holiday")
    assert client.get("/v1/collections/holiday").json["jobs"] == 1
    assert api.collections.touched(60) == ["default", "holiday"]


def test_the_long_form_of_the_default_one_is_the_short_one(api: Api, client: FlaskClient) -> None:
    where = LONG.replace("<collection>", "default")
    answer = client.post(f"{where}/images", data=b"a")
    assert answer.headers["Location"] == f"/v1/jobs/{answer.json['job']}"
    assert api.finish(b"a") == HASH
    short, long = (client.get(f"{one}/images/{HASH}/matches") for one in ("/v1", where))
    assert short.json == long.json


def test_a_wait_in_a_collection_ends_when_its_image_is_done(api: Api, client: FlaskClient) -> None:
    where = made(client)
    store = api.collections.store("holiday")
    client.post(f"{where}/images", data=b"a")

    def fail() -> None:
        delivery = api.broker.receive(5)
        assert delivery is not None
        store.fail(Message.decode(delivery.body).job, "not_an_image", "a poem")

    from api_parts import later

    later(fail)
    answer = client.get(f"{where}/images/{HASH}/matches?wait=20")
    assert (answer.status_code, answer.json["code"]) == (200, "not_an_image")


@pytest.mark.parametrize("name", ["nobody", "NOBODY", "a~1", "~", "%20", "a" * 64, "é"])
def test_every_route_of_one_that_is_not_there_says_that_there_is_none(
    api: Api, client: FlaskClient, name: str
) -> None:
    answers = []
    for rule in api.app.url_map.iter_rules():
        if not rule.rule.startswith(LONG):
            continue
        path = rule.rule.replace("<collection>", name).replace("<image>", HASH)
        path = path.replace("<job>", "j").replace("<person>", "p").replace("<face>", f"{HASH}:0")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            body = BODIES.get(path.rpartition("/")[2])
            sent = {"json": body} if body else {"data": b"a"}
            answers.append(client.open(path, method=method, **sent))
    assert len(answers) >= 10
    for answer in answers:
        told = answer.status_code, answer.json["code"]
        assert told == (404, "unknown_collection"), answer.request.path
    assert len({answer.data for answer in answers}) == 1
    assert api.broker.depth() == 0
    assert api.collections.names() == ["default"]


_FACES = {"faces": [{"image": HASH, "number": 0}]}
#: By the end of the path: what a route takes that takes a document.
BODIES = {
    "p": {"name": "Ann"},
    "merge": {"people": ["q"]},
    "split": _FACES,
    "exclude": _FACES,
    "images:batch": {"urls": ["http://x/"]},
    "webhooks": {"url": "http://x/"},
    "redeliver": {"after": ""},
}


def test_an_erased_collection_is_in_the_ledger_and_gone_at_once(
    api: Api, client: FlaskClient
) -> None:
    where = made(client)
    client.post(f"{where}/images", data=b"a")
    assert client.delete(where).status_code == 204
    assert client.get(f"{where}/images/{HASH}").json["code"] == "unknown_collection"
    assert client.post(f"{where}/images", data=b"b").status_code == 404
    assert client.delete(where).status_code == 204  # what is being erased may be erased again
    busy = client.post("/v1/collections", json={"name": "holiday"})
    assert (busy.status_code, busy.json["code"]) == (503, "collection_erasing")
    assert int(busy.headers["Retry-After"]) > 0
    assert api.collections.drop_some("holiday")
    assert client.delete(where).status_code == 404
    records = list(api.ledger.records())
    assert {(one.collection, one.image) for one in records} == {("holiday", "")}
    made(client)
    replay(api.collections.store, api.collections, api.ledger)
    assert client.get(where).status_code == 200


def test_the_default_one_is_emptied_and_stays(api: Api, client: FlaskClient) -> None:
    client.post("/v1/images", data=b"a")
    api.finish(b"a")
    assert client.delete("/v1/collections/default").status_code == 204
    answer = client.get(f"/v1/images/{HASH}")
    assert (answer.status_code, answer.json["code"]) == (503, "collection_erasing")
    api.collections.drop_some("default")
    assert client.get(f"/v1/images/{HASH}").status_code == 404
    assert client.get("/v1/collections/default").json["images"] == 0


def test_the_erasure_of_an_image_is_one_in_its_collection(api: Api, client: FlaskClient) -> None:
    where = made(client)
    for prefix in ("/v1", where):
        client.post(f"{prefix}/images", data=b"a")
    assert client.delete(f"{where}/images/{HASH}").status_code == 204
    assert client.get(f"{where}/images/{HASH}").status_code == 410
    assert client.get(f"/v1/images/{HASH}").status_code == 200
    assert [(one.collection, one.image) for one in api.ledger.records()] == [("holiday", HASH)]


def test_replay_erases_what_a_backup_brought_back_in_each_collection(
    api: Api, client: FlaskClient
) -> None:
    for name in ("one", "two", "gone"):
        client.post(f"{made(client, name)}/images", data=b"a")
    ledger = Ledger(api.ledger._folder, host="another")
    later = 10**16
    ledger.of("two").append_dropped(later)
    ledger.of("never").append_dropped(later)
    api.collections.drop("gone")
    api.collections.drop_some("gone")
    for name in ("one", "two", "gone"):
        image = Record(name, HASH, later - 1)
        ledger._append({"image": image.image, "upto": image.upto} | {"of": name})
        with open(ledger._file, "ab") as lines:
            lines.write(
                b'{"image": "%b", "upto": %d, "collection": "%b"}\n'
                % (HASH.encode(), later - 1, name.encode())
            )
    replay(api.collections.store, api.collections, api.ledger)
    assert client.get(f"/v1/collections/one/images/{HASH}").status_code == 410
    assert client.get("/v1/collections/two").status_code == 404
    assert client.get("/v1/collections/gone").status_code == 404
    # Erasures in the default one are those that were written without another name.
    assert client.get(f"/v1/images/{HASH}").status_code == 410


def test_a_ledger_that_cannot_be_written_leaves_the_erasure_to_be_repeated(
    api: Api, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = made(client)

    def fail(self: Ledger, what: object) -> None:
        raise Unavailable("ledger_unavailable")

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "_append", fail)
        assert client.delete(where).status_code == 503
    assert client.delete(where).status_code == 204
    eventually(lambda: [one.collection for one in api.ledger.records()] == ["holiday"])


def test_without_a_worker_there_is_no_model_to_make_one_with(
    api: Api, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(name: str, policy: PolicyChange) -> None:
        raise Unavailable("store_unavailable")

    monkeypatch.setattr(api.collections, "create", away)
    answer = client.post("/v1/collections", json={"name": "holiday"})
    assert (answer.status_code, answer.json["code"]) == (503, "store_unavailable")
