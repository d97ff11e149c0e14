"""POST /v1/images:erase: nothing goes that was not looked at."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from api_parts import Api, running_api
from flask.testing import FlaskClient
from searching_worker import ADAS, BOBS, BOTH, Worker

from facematch.faces import image_hash
from facematch.keys import Scope, new_key

ERASE = "/v1/images:erase"


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def api(tmp_path: Path, worker: Worker) -> Iterator[Api]:
    with running_api(tmp_path, worker.store, worker, max_bytes=10_000) as api:
        yield api


@pytest.fixture
def client(api: Api) -> FlaskClient:
    return api.app.test_client()


def there(client: FlaskClient, hashes: list[str]) -> list[bool]:
    return [client.get(f"/v1/images/{one}").status_code == 200 for one in hashes]


def test_what_was_confirmed_is_erased_and_nothing_else(
    api: Api, client: FlaskClient, worker: Worker
) -> None:
    adas, bob = [worker.submit(picture) for picture in ADAS[1:]], worker.submit(BOBS[0])
    looked = client.post(ERASE, data=ADAS[0])
    assert looked.status_code == 200
    assert {one["hash"] for one in looked.json["images"]} == set(adas)
    assert (looked.json["face"], looked.json["more"], looked.json["erased"]) == (0, False, False)
    assert there(client, [*adas, bob]) == [True] * 4
    done = client.post(ERASE, query_string={"confirm": looked.json["confirm"]}, data=ADAS[0])
    assert done.json == looked.json | {"erased": True}
    assert there(client, [*adas, bob]) == [False] * 3 + [True]
    assert {one.image for one in api.ledger.erasures()} == set(adas)
    # The picture itself was never there.
    assert client.get(f"/v1/images/{image_hash(ADAS[0])}").status_code == 404
    again = client.post(ERASE, query_string={"confirm": looked.json["confirm"]}, data=ADAS[0])
    assert (again.status_code, again.json["code"]) == (409, "not_confirmed")


def test_nothing_is_erased_when_others_match_by_then(client: FlaskClient, worker: Worker) -> None:
    first = worker.submit(ADAS[1])
    confirm = client.post(ERASE, data=ADAS[0]).json["confirm"]
    second = worker.submit(ADAS[2])
    answer = client.post(ERASE, query_string={"confirm": confirm}, data=ADAS[0])
    assert (answer.status_code, answer.json["code"]) == (409, "not_confirmed")
    assert there(client, [first, second]) == [True, True]


def test_of_several_faces_one_is_meant(client: FlaskClient, worker: Worker) -> None:
    ada, bob = worker.submit(ADAS[1]), worker.submit(BOBS[0])
    answer = client.post(ERASE, data=BOTH)
    assert (answer.status_code, answer.json["code"]) == (400, "bad_request")
    shown = client.post(ERASE, query_string={"face": 1}, data=BOTH)
    assert [one["hash"] for one in shown.json["images"]] == [bob]
    confirm = shown.json["confirm"]
    # What was confirmed of one face is not of the other.
    other = client.post(ERASE, query_string={"face": 0, "confirm": confirm}, data=BOTH)
    assert other.status_code == 409
    assert client.post(ERASE, query_string={"face": 1, "confirm": confirm}, data=BOTH).json[
        "erased"
    ]
    assert there(client, [ada, bob]) == [True, False]


@pytest.mark.parametrize("scopes", [[Scope.SEARCH], [Scope.ERASE], [Scope.READ, Scope.SUBMIT]])
def test_it_takes_both_scopes(
    api: Api, client: FlaskClient, worker: Worker, scopes: list[Scope]
) -> None:
    worker.submit(ADAS[1])
    key, text = new_key("anna", scopes, ["*"], 0.0)
    api.keys.add(key)
    answer = client.post(ERASE, data=ADAS[0], headers={"X-Api-Key": text})
    assert (answer.status_code, answer.json["code"]) == (403, "scope_missing")
    assert worker.probes == []
