"""The routes about people: pages, names, corrections, and what they refuse."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from api_parts import MODEL, Api, running_api
from flask.testing import FlaskClient
from submitting import RATED

from facematch.faces import image_hash
from facematch.memory_people import MemoryPeople
from facematch.memory_store import MemoryStore
from facematch.people import Regrouped, face_id

A, B = image_hash(b"a"), image_hash(b"b")
UNKNOWN = "0" * 64


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    store = MemoryStore()
    store.create(MODEL, 0.6, RATED)
    with running_api(tmp_path, store) as api:
        yield api


@pytest.fixture
def client(api: Api) -> FlaskClient:
    """Two pictures with two faces each: ada is on both, bob and eve on one."""
    client = api.app.test_client()
    people = MemoryPeople(api.store)
    for data in (b"a", b"b"):
        client.post("/v1/images", data=data, query_string={"name": f"{data.decode()}.jpg"})
        api.finish(data, faces=2)
    faces = [face_id(position, number) for position in (1, 2) for number in (0, 1)]
    placed = dict(zip(faces, ("ada", "bob", "ada", "eve"), strict=True))
    due = people.due(10)
    people.commit(Regrouped(due.revision, placed, {1: due.marks[1]}))
    return client


def test_people_are_listed_with_most_faces_first_page_by_page(client: FlaskClient) -> None:
    everybody = client.get("/v1/people").json
    assert everybody == {
        "people": [
            {"id": "ada", "name": None, "faces": 2},
            {"id": "bob", "name": None, "faces": 1},
            {"id": "eve", "name": None, "faces": 1},
        ],
        "ungrouped": 1,
        "next": None,
    }
    first = client.get("/v1/people?limit=2").json
    assert [one["id"] for one in first["people"]] == ["ada", "bob"]
    second = client.get("/v1/people", query_string={"limit": 2, "cursor": first["next"]}).json
    assert [one["id"] for one in second["people"]] == ["eve"]
    assert second["next"] is None
    assert len(client.get("/v1/people?fewest=2").json["people"]) == 1


def test_a_person_has_faces_and_images(client: FlaskClient) -> None:
    ada = client.get("/v1/people/ada").json
    box = {"top": 1, "right": 20, "bottom": 30, "left": 4}
    assert ada == {
        "id": "ada",
        "name": None,
        "count": 2,
        "faces": [
            {"image": A, "names": ["a.jpg"], "number": 0, "box": box},
            {"image": B, "names": ["b.jpg"], "number": 0, "box": box},
        ],
        "images": [A, B],
        "ungrouped": 1,
        "next": None,
    }
    first = client.get("/v1/people/ada?limit=1").json
    assert first["images"] == [A]
    second = client.get("/v1/people/ada", query_string={"limit": 1, "cursor": first["next"]}).json
    assert (second["images"], second["next"]) == ([B], None)


def test_who_is_on_an_image(client: FlaskClient) -> None:
    shown = client.get(f"/v1/images/{A}/people").json
    assert shown["hash"] == A
    assert [(one["number"], one["person"]["id"]) for one in shown["faces"]] == [
        (0, "ada"),
        (1, "bob"),
    ]
    assert client.get(f"/v1/images/{UNKNOWN}/people").status_code == 404
    assert client.get("/v1/images/xyz/people").json["code"] == "bad_hash"


def test_a_person_is_named(client: FlaskClient) -> None:
    named = client.patch("/v1/people/ada", json={"name": "  Ada\n"})
    assert named.json == {"id": "ada", "name": "Ada", "faces": 2}
    assert client.get("/v1/people/ada").json["name"] == "Ada"
    assert client.patch("/v1/people/ada", json={"name": ""}).json["name"] is None


def test_corrections_are_seen_at_once(client: FlaskClient) -> None:
    assert client.post("/v1/people/ada/merge", json={"people": ["bob"]}).json["faces"] == 3
    assert client.get("/v1/people/bob").status_code == 404
    faces = {"faces": [{"image": A, "number": 0}, {"image": A, "number": 1}]}
    (other,) = client.post("/v1/people/ada/split", json=faces).json["people"]
    assert other["faces"] == 2
    assert client.get("/v1/people/ada").json["images"] == [B]
    assert client.get(f"/v1/people/{other['id']}").json["images"] == [A]
    out = {"faces": [{"image": A, "number": 1}]}
    (nobody,) = client.post(f"/v1/people/{other['id']}/exclude", json=out).json["people"]
    assert nobody["faces"] == 1
    assert client.get("/v1/people").json["ungrouped"] == 2


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/v1/people/nobody", None, 404, "no_person"),
        ("GET", "/v1/people?cursor=x", None, 400, "bad_cursor"),
        ("GET", "/v1/people?cursor=MTIz", None, 400, "bad_cursor"),
        ("GET", "/v1/people/ada?cursor=eA", None, 400, "bad_cursor"),
        ("GET", "/v1/people?fewest=0", None, 400, "bad_request"),
        ("PATCH", "/v1/people/nobody", {"name": "x"}, 404, "no_person"),
        ("PATCH", "/v1/people/ada", {"nome": "x"}, 400, "bad_request"),
        ("PATCH", "/v1/people/ada", {"name": "x" * 2000}, 400, "bad_request"),
        ("PATCH", "/v1/people/ada", None, 400, "bad_request"),
        ("POST", "/v1/people/ada/merge", {"people": []}, 400, "bad_request"),
        ("POST", "/v1/people/nobody/merge", {"people": ["nobody"]}, 404, "no_person"),
        ("POST", "/v1/people/ada/merge", {"people": ["nobody"]}, 404, "no_person"),
        ("POST", "/v1/people/ada/split", {"faces": [{"image": A, "number": 1}]}, 409, "not_theirs"),
        (
            *("POST", "/v1/people/bob/split", {"faces": [{"image": A, "number": 1}]}),
            *(409, "nobody_left"),
        ),
        (
            "POST",
            "/v1/people/ada/split",
            {"faces": [{"image": "a", "number": 0}]},
            400,
            "bad_request",
        ),
        ("POST", "/v1/people/ada/exclude", {"faces": [{"image": A}]}, 400, "bad_request"),
    ],
)
def test_what_does_not_go_has_a_code(
    client: FlaskClient, method: str, path: str, body: object, status: int, code: str
) -> None:
    before = client.get("/v1/people").json
    answer = (
        client.open(path, method=method, json=body) if body else client.open(path, method=method)
    )
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert client.get("/v1/people").json == before


def test_that_a_person_is_itself_changes_nothing(client: FlaskClient) -> None:
    before = client.get("/v1/people").json
    answer = client.post("/v1/people/ada/merge", json={"people": ["ada"]})
    assert (answer.status_code, answer.json["id"]) == (200, "ada")
    assert client.get("/v1/people").json == before


def test_an_erased_image_is_nobodys(client: FlaskClient) -> None:
    assert client.delete(f"/v1/images/{A}").status_code == 204
    assert [one["id"] for one in client.get("/v1/people").json["people"]] == ["ada", "eve"]
    assert client.get("/v1/people/ada").json["images"] == [B]
    assert client.get(f"/v1/images/{A}/people").json["faces"] == []
