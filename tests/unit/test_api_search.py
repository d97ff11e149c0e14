"""POST /v1/search, and the faces behind matches: what is told, page by page, what is refused."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_parts import Api, running_api
from flask.testing import FlaskClient
from searching_worker import ADAS, BOBS, BOTH, Worker

from facematch.errors import NotFound, Rejected, Unavailable
from facematch.faces import image_hash
from worker.pipeline import process


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


def test_a_search_tells_faces_and_their_matches(client: FlaskClient, worker: Worker) -> None:
    hashes = [worker.submit(picture) for picture in (*ADAS[1:], BOBS[0])]
    answer = client.post("/v1/search", data=BOTH)
    assert answer.status_code == 200
    told = answer.json
    assert {name: told[name] for name in told if name != "faces"} == {
        "truncated": False,
        "width": 512,
        "height": 2,
        "model": "planted",
        "threshold": 0.6,
        "max_false_matches": None,
        "complete_through": 4,
        "exact": True,
    }
    ada, bob = told["faces"]
    assert [ada["number"], bob["number"]] == [0, 1]
    assert bob["box"] == {"top": 1, "right": 1, "bottom": 2, "left": 0}
    assert {match["hash"] for match in ada["matches"]} == set(hashes[:3])
    [match] = bob["matches"]
    assert match["hash"] == hashes[3]
    assert match["names"] == ["a.png"]
    [face] = match["faces"]
    assert face["face"] == f"{hashes[3]}:0"
    assert face["box"] == {"top": 0, "right": 1, "bottom": 1, "left": 0}
    assert face["distance"] == match["distance"] < 0.4
    assert face["false_match_rate"] == match["false_match_rate"] < 1e-3
    # Nothing of it is there afterwards.
    assert client.get(f"/v1/images/{image_hash(BOTH)}").status_code == 404


def test_a_picture_comes_as_bytes_in_a_form_or_behind_a_url(
    client: FlaskClient, worker: Worker
) -> None:
    worker.submit(ADAS[1])
    plain = client.post("/v1/search", data=ADAS[0])
    form = client.post("/v1/search", data={"file": (io.BytesIO(ADAS[0]), "secret-name.png")})
    by_url = client.post("/v1/search", json={"url": " http://x/a.png "})
    assert plain.json == form.json == by_url.json
    assert len(plain.json["faces"][0]["matches"]) == 1
    assert [probe.asked.url for probe in worker.probes] == ["", "", "http://x/a.png"]
    assert [probe.picture for probe in worker.probes] == [ADAS[0], ADAS[0], b""]
    assert {probe.asked.collection for probe in worker.probes} == {"default"}
    assert {probe.asked.seconds for probe in worker.probes} == {20.0}


def test_what_is_asked_for_goes_to_the_worker(client: FlaskClient, worker: Worker) -> None:
    for picture in (*ADAS[1:], BOTH):
        worker.submit(picture)
    asked = {"face": 1, "limit": 1, "max_distance": 0.55, "max_false_matches": 2}
    [bob] = client.post("/v1/search", data=BOTH, query_string=asked).json["faces"]
    assert (bob["number"], len(bob["matches"]), bob["more"]) == (1, 1, False)
    got = worker.probes[-1].asked
    assert (got.face, got.limit, got.max_distance, got.max_false_matches) == (1, 1, 0.55, 2.0)


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"data": b""}, 400, "empty"),
        ({"data": b"x" * 20_000}, 413, "too_large"),
        ({"json": {"url": "ftp://x/"}}, 400, "bad_url"),
        ({"json": {"other": 1}}, 400, "bad_request"),
        ({"data": ADAS[0], "query_string": {"face": -1}}, 400, "bad_request"),
        ({"data": ADAS[0], "query_string": {"face": 256}}, 400, "bad_request"),
        ({"data": ADAS[0], "query_string": {"limit": 0}}, 400, "bad_request"),
        ({"data": ADAS[0], "query_string": {"max_distance": "nan"}}, 400, "bad_request"),
        ({"data": ADAS[0], "query_string": {"face": 1}}, 404, "no_face"),
        ({"data": b"a poem"}, 422, "not_an_image"),
    ],
)
def test_what_cannot_be_searched_for_is_refused(
    client: FlaskClient, request_: dict[str, object], status: int, code: str
) -> None:
    answer = client.post("/v1/search", **request_)
    assert (answer.status_code, answer.json["code"]) == (status, code)


@pytest.mark.parametrize("code", ["search_busy", "search_unavailable", "index_loading"])
def test_who_cannot_be_served_now_is_told_to_come_again(
    client: FlaskClient, worker: Worker, code: str
) -> None:
    worker.error = Unavailable(code, "/run/secret/place.sock")
    answer = client.post("/v1/search", data=ADAS[0])
    assert (answer.status_code, answer.json["code"]) == (503, code)
    assert answer.headers["Retry-After"] == "2"
    assert "secret" not in answer.text


def test_without_anybody_who_searches_that_is_said(tmp_path: Path) -> None:
    with running_api(tmp_path) as api:
        answer = api.app.test_client().post("/v1/search", data=ADAS[0])
    assert (answer.status_code, answer.json["code"]) == (503, "search_unavailable")


def test_what_the_worker_refuses_is_told(client: FlaskClient, worker: Worker) -> None:
    worker.error = Rejected("decoder_crashed")
    assert client.post("/v1/search", data=ADAS[0]).status_code == 422
    worker.error = NotFound("no_collection")
    assert client.post("/v1/search", data=ADAS[0]).json["code"] == "no_collection"


def test_matches_tell_their_faces_where_these_are_asked_for(
    client: FlaskClient, worker: Worker
) -> None:
    ada, bob, both = (worker.submit(picture) for picture in (ADAS[0], BOBS[0], BOTH))
    plain = client.get(f"/v1/images/{both}/matches").json
    assert "pairs" not in plain["matches"][0]
    answer = client.get(f"/v1/images/{both}/matches", query_string={"detail": "faces"})
    assert answer.status_code == 200
    pairs = {match["hash"]: match.pop("pairs") for match in answer.json["matches"]}
    assert answer.json | {"matches": plain["matches"]} == plain
    [of_bob] = pairs[bob]
    assert of_bob["face"] == {
        "face": f"{both}:1",
        "number": 1,
        "box": {"top": 1, "right": 1, "bottom": 2, "left": 0},
    }
    assert of_bob["other"] == {
        "face": f"{bob}:0",
        "number": 0,
        "box": {"top": 0, "right": 1, "bottom": 1, "left": 0},
    }
    listed = {match["hash"]: match for match in plain["matches"]}
    for image in (ada, bob):
        assert pairs[image][0]["distance"] == listed[image]["distance"]
        assert pairs[image][0]["false_match_rate"] == listed[image]["false_match_rate"]
    # From the other side, and page by page.
    [match] = client.get(f"/v1/images/{bob}/matches?detail=faces").json["matches"]
    assert [(pair["face"]["number"], pair["other"]["number"]) for pair in match["pairs"]] == [
        (0, 1)
    ]
    first = client.get(f"/v1/images/{both}/matches?detail=faces&limit=1").json
    second = client.get(
        f"/v1/images/{both}/matches",
        query_string={"detail": "faces", "limit": 1, "cursor": first["next"]},
    ).json
    assert [one["hash"] for page in (first, second) for one in page["matches"]] == [*listed]


def test_faces_are_told_neither_too_early_nor_of_what_is_gone(
    api: Api, client: FlaskClient, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = client.post("/v1/images", data=BOTH).json["hash"]
    for path in (f"/v1/images/{image}/matches?detail=faces", f"/v1/faces/{image}:0/matches"):
        answer = client.get(path)
        assert (answer.status_code, answer.json["matches"]) == (202, None)
        assert answer.headers["Retry-After"]
    assert client.get(f"/v1/images/{image}/matches?detail=people").status_code == 400
    process(api.next_job(), worker.parts)
    gone, left = worker.submit(ADAS[0]), worker.submit(ADAS[1])
    shown = worker.store.shown_faces

    def erase_first(positions: list[int]) -> object:
        client.delete(f"/v1/images/{gone}")
        return shown(positions)

    monkeypatch.setattr(worker.store, "shown_faces", erase_first)
    matches = client.get(f"/v1/images/{image}/matches?detail=faces").json["matches"]
    assert [match["hash"] for match in matches] == [left]
    monkeypatch.undo()

    def erase_itself(positions: list[int]) -> object:
        client.delete(f"/v1/images/{image}")
        return shown(positions)

    monkeypatch.setattr(worker.store, "shown_faces", erase_itself)
    assert client.get(f"/v1/faces/{image}:0/matches").status_code == 410
    assert client.get(f"/v1/images/{image}/matches?detail=faces").status_code == 410


def test_a_face_has_matches_of_its_own_page_by_page(client: FlaskClient, worker: Worker) -> None:
    both = worker.submit(BOTH)
    adas = [worker.submit(picture) for picture in ADAS]
    bobs = [worker.submit(picture) for picture in BOBS]

    def pages(face: str, limit: int, **asked: object) -> list[dict[str, object]]:
        found, cursor = [], ""
        while cursor is not None:
            query = {"limit": limit, "cursor": cursor, **asked}
            page = client.get(f"/v1/faces/{face}/matches", query_string=query).json
            assert len(page["matches"]) <= limit
            found += page["matches"]
            cursor = page["next"]
        return found

    whole = client.get(f"/v1/faces/{both}:0/matches").json
    assert whole["face"] == f"{both}:0"
    assert whole["box"] == {"top": 0, "right": 1, "bottom": 1, "left": 0}
    assert (whole["state"], whole["complete_through"], whole["next"]) == ("done", 7, None)
    assert {match["hash"] for match in whole["matches"]} == set(adas)
    assert [match["hash"] for match in pages(f"{both}:1", 1)] == [
        match["hash"] for match in client.get(f"/v1/faces/{both}:1/matches").json["matches"]
    ]
    assert {match["hash"] for match in pages(f"{both}:1", 1)} == set(bobs)
    for limit in (1, 2, 3, 4, 5):
        assert pages(f"{both}:0", limit) == whole["matches"]
    near = pages(f"{both}:0", 2, max_distance=0.2)
    assert near == [match for match in whole["matches"] if match["distance"] <= 0.2]
    # As the search for that face tells.
    searched = client.post("/v1/search?face=0", data=BOTH).json["faces"][0]["matches"]
    assert [match for match in searched if match["hash"] != both] == whole["matches"]
    # And of an image with one face, what its matches are.
    alone = client.get(f"/v1/faces/{adas[0]}:0/matches").json
    image = client.get(f"/v1/images/{adas[0]}/matches").json
    assert alone["expected_false_matches"] == image["expected_false_matches"]
    assert [(match["hash"], match["distance"]) for match in alone["matches"]] == [
        (match["hash"], match["distance"]) for match in image["matches"]
    ]


def test_the_first_of_many_matches_of_a_face_are_told_without_reading_them_all(
    client: FlaskClient, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.face_reading._PORTION", 2)
    both = worker.submit(BOTH)
    for picture in (*ADAS, *BOBS):
        worker.submit(picture)
    asked = []
    read = worker.store.matches
    monkeypatch.setattr(worker.store, "matches", lambda *words: asked.append(words) or read(*words))
    whole = client.get(f"/v1/faces/{both}:0/matches").json["matches"]
    assert len(asked) == 3
    asked.clear()
    surest = client.get(f"/v1/faces/{both}:0/matches?limit=1").json["matches"]
    assert surest == whole[:1]
    assert len(asked) < 3


@pytest.mark.parametrize(
    ("face", "status", "code"),
    [
        ("x", 400, "bad_hash"),
        (f"{'0' * 64}", 400, "bad_hash"),
        (f"{'0' * 64}:01", 400, "bad_hash"),
        (f"{'0' * 64}:256", 400, "bad_hash"),
        (f"{'0' * 64}:-1", 400, "bad_hash"),
        (f"{'0' * 64}:{'9' * 5000}", 400, "bad_hash"),
        (f"{'0' * 64}:0", 404, "not_found"),
        (f"{image_hash(BOTH)}:2", 404, "no_face"),
    ],
)
def test_what_is_no_face_is_refused(
    client: FlaskClient, worker: Worker, face: str, status: int, code: str
) -> None:
    worker.submit(BOTH)
    answer = client.get(f"/v1/faces/{face}/matches")
    assert (answer.status_code, answer.json["code"]) == (status, code)
