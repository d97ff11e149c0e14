"""GET and DELETE of /v1/images: no two cases share an answer; pages; erasure."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from api_parts import Api, later, running_api
from flask.testing import FlaskClient

from facematch.errors import Unavailable
from facematch.faces import image_hash
from facematch.store import Cursor, Filter

UNKNOWN = "0" * 64


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as api:
        yield api


@pytest.fixture
def client(api: Api) -> FlaskClient:
    return api.app.test_client()


def submitted(client: FlaskClient, data: bytes) -> str:
    answer = client.post("/v1/images", data=data, query_string={"name": data.decode()})
    return str(answer.json["hash"])


def finished(api: Api, client: FlaskClient, data: bytes, *others: tuple[bytes, float]) -> str:
    submitted(client, data)
    return api.finish(data, others)


def test_no_two_cases_share_an_answer(api: Api, client: FlaskClient) -> None:
    def answer(image: str) -> tuple[int, object, object]:
        found = client.get(f"/v1/images/{image}/matches")
        return found.status_code, found.json.get("state"), found.json.get("matches")

    assert answer(UNKNOWN) == (404, None, None)

    image = submitted(client, b"a")
    assert answer(image) == (202, "accepted", None)
    commit = api.commit(api.next_job(), b"a")
    assert answer(image) == (202, "indexed", None)
    api.link(commit)
    assert answer(image) == (200, "done", [])

    nobody = submitted(client, b"nobody")
    api.finish(b"nobody", faces=0)
    assert answer(nobody) == (200, "done", [])
    assert client.get(f"/v1/images/{nobody}/matches").json["faces"] == 0
    assert client.get(f"/v1/images/{image}/matches").json["faces"] == 1

    poem = submitted(client, b"poem")
    api.store.fail(api.next_job(), "not_an_image", "it is a poem")
    assert answer(poem) == (200, "failed", None)
    assert client.get(f"/v1/images/{poem}/matches").json["code"] == "not_an_image"

    friend = finished(api, client, b"b", (b"a", 0.25))
    status, state, matches = answer(friend)
    assert (status, state) == (200, "done")
    assert matches == [{"hash": image, "names": ["a"], "distance": 0.25, "false_match_rate": None}]

    client.delete(f"/v1/images/{image}")
    assert answer(image) == (410, "erased", None)
    assert answer(friend) == (200, "done", [])


def test_a_store_that_is_away_is_503_and_never_an_empty_list(
    api: Api, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = finished(api, client, b"a")

    def away(*_: object) -> None:
        raise Unavailable("store_unavailable")

    for method in ("matches", "image", "job", "erase", "accept"):
        monkeypatch.setattr(api.store, method, away)
    for answer in (
        client.get(f"/v1/images/{image}/matches"),
        client.get(f"/v1/images/{image}"),
        client.get("/v1/jobs/j"),
        client.get(f"/match/{image}"),
        client.post("/v1/images", data=b"x"),
        client.post("/scan/image/x", data=b"x"),
        client.post("/scan/url", json={"url": "https://example.com"}),
        client.delete(f"/v1/images/{image}"),
    ):
        assert (answer.status_code, answer.json["code"]) == (503, "store_unavailable")
        assert answer.content_type == "application/problem+json"
        assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize("text", ["x", "A" * 64, "0" * 63, "0" * 65, "..%2f" * 4])
@pytest.mark.parametrize("rest", ["", "/matches"])
def test_a_hash_that_is_none_is_a_bad_hash(client: FlaskClient, text: str, rest: str) -> None:
    answer = client.get(f"/v1/images/{text}{rest}")
    assert answer.status_code in (400, 404)
    assert answer.json["code"] == ("bad_hash" if answer.status_code == 400 else "not_found")


def test_matches_say_what_they_rest_on(api: Api, client: FlaskClient) -> None:
    finished(api, client, b"a")
    image = finished(api, client, b"b", (b"a", 0.25))
    found = client.get(f"/v1/images/{image}/matches")
    assert found.json == {
        "hash": image,
        "state": "done",
        "code": None,
        "faces": 1,
        "position": 2,
        "threshold": 0.6,
        "model": "told",
        "complete_through": 2,
        "exact": True,
        "truncated": False,
        "max_false_matches": None,
        "max_matches": 10_000,
        "matches_truncated": False,
        "expected_false_matches": None,
        "matches": [
            {
                "hash": image_hash(b"a"),
                "names": ["a"],
                "distance": 0.25,
                "false_match_rate": None,
            }
        ],
        "next": None,
    }


def test_what_is_complete_ends_before_the_first_pending_image(
    api: Api, client: FlaskClient
) -> None:
    image = finished(api, client, b"a")
    submitted(client, b"b")
    api.commit(api.next_job(), b"b")
    finished(api, client, b"c")
    assert client.get(f"/v1/images/{image}/matches").json["complete_through"] == 1


def test_nothing_is_complete_about_an_image_that_is_not_done(api: Api, client: FlaskClient) -> None:
    submitted(client, b"a")
    found = client.get(f"/v1/images/{image_hash(b'a')}/matches")
    assert (found.json["state"], found.json["complete_through"]) == ("accepted", None)
    commit = api.commit(api.next_job(), b"a")
    found = client.get(f"/v1/images/{commit.image}/matches")
    assert (found.json["state"], found.json["complete_through"]) == ("indexed", None)
    assert found.json["matches"] is None
    api.link(commit)
    assert client.get(f"/v1/images/{commit.image}/matches").json["complete_through"] == 1


def test_what_may_lack_matches_says_so_once_it_counts(api: Api, client: FlaskClient) -> None:
    def shown(image: str) -> object:
        return client.get(f"/v1/images/{image}/matches").json["exact"]

    before = finished(api, client, b"a")
    submitted(client, b"b")
    commit = api.commit(api.next_job(), b"b")
    assert (shown(before), shown(commit.image)) == (True, None)
    api.link(commit, exact=False)
    assert (shown(before), shown(commit.image)) == (False, False)


def test_an_image_shows_its_names_and_faces(api: Api, client: FlaskClient) -> None:
    submitted(client, b"a")
    api.link(api.commit(api.next_job(), b"a", faces=2, found=5))
    assert client.get(f"/v1/images/{image_hash(b'a')}").json == {
        "hash": image_hash(b"a"),
        "state": "done",
        "names": ["a"],
        "faces": [{"box": {"top": 1, "right": 20, "bottom": 30, "left": 4}}] * 2,
        "truncated": True,
        "width": 640,
        "height": 480,
        "position": 1,
        "model": "told",
        "code": None,
        "bases": [],
    }


def test_an_image_that_nobody_looked_at_has_unknown_faces(client: FlaskClient) -> None:
    image = submitted(client, b"a")
    shown = client.get(f"/v1/images/{image}")
    assert (shown.status_code, shown.json["state"], shown.json["faces"]) == (200, "accepted", None)


def test_an_unknown_image_is_404_and_an_erased_one_410(api: Api, client: FlaskClient) -> None:
    assert client.get(f"/v1/images/{UNKNOWN}").status_code == 404
    assert client.delete(f"/v1/images/{UNKNOWN}").status_code == 404
    image = finished(api, client, b"a")
    client.delete(f"/v1/images/{image}")
    answer = client.get(f"/v1/images/{image}")
    assert (answer.status_code, answer.json["code"]) == (410, "erased")
    assert (answer.json["hash"], answer.json["state"]) == (image, "erased")


def test_pages_follow_each_other_nearest_first_and_none_is_lost(
    api: Api, client: FlaskClient
) -> None:
    others = [(b"%d" % n, 0.1 if n < 4 else 0.6 - n / 100) for n in range(10)]
    for data, _ in others:
        finished(api, client, data)
    image = finished(api, client, b"image", *others)
    found, cursor, pages = [], "", 0
    while cursor is not None:
        page = client.get(f"/v1/images/{image}/matches?limit=3&cursor={cursor}").json
        assert len(page["matches"]) <= 3
        found += page["matches"]
        cursor = page["next"]
        pages += 1
    assert pages == 4
    assert sorted(match["hash"] for match in found) == sorted(image_hash(d) for d, _ in others)
    assert [match["distance"] for match in found] == sorted(match["distance"] for match in found)


@pytest.mark.parametrize(
    "cursor", ["x", "=", "!" * 22, "A" * 21, "A" * 23, "f_AAAAAAAAAAAAAAAAAAAA", "é"]
)
def test_a_cursor_of_somebody_else_is_a_bad_cursor(
    api: Api, client: FlaskClient, cursor: str
) -> None:
    image = finished(api, client, b"a")
    answer = client.get(f"/v1/images/{image}/matches", query_string={"cursor": cursor})
    assert (answer.status_code, answer.json["code"]) == (400, "bad_cursor")


@pytest.mark.parametrize("limit", ["0", "-1", "10001", "1.5", "many"])
def test_a_limit_out_of_range_is_a_bad_request(client: FlaskClient, limit: str) -> None:
    answer = client.get(f"/v1/images/{UNKNOWN}/matches?limit={limit}")
    assert (answer.status_code, answer.json["code"]) == (400, "bad_request")
    assert "limit" in answer.json["detail"]


def test_a_limit_of_ten_thousand_is_taken(api: Api, client: FlaskClient) -> None:
    image = finished(api, client, b"a")
    assert client.get(f"/v1/images/{image}/matches?limit=10000").status_code == 200


def test_the_store_is_asked_for_no_more_than_the_limit(
    api: Api, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = finished(api, client, b"a")
    asked: list[tuple[int, Cursor | None, Filter]] = []
    real = api.store.matches

    def matches(image: str, limit: int, after: Cursor | None, only: Filter) -> object:
        asked.append((limit, after, only))
        return real(image, limit, after, only)

    monkeypatch.setattr(api.store, "matches", matches)
    client.get(f"/v1/images/{image}/matches?limit=7")
    client.get(f"/v1/images/{image}/matches?limit=7&max_distance=0.5")
    assert asked == [(7, None, Filter()), (7, None, Filter(max_distance=0.5))]


def test_matches_are_waited_for(api: Api, client: FlaskClient) -> None:
    image = submitted(client, b"a")
    later(lambda: api.finish(b"a"))
    answer = client.get(f"/v1/images/{image}/matches?wait=20")
    assert (answer.status_code, answer.json["state"]) == (200, "done")


def test_matches_not_ready_in_time_are_202_with_a_time_to_retry(client: FlaskClient) -> None:
    image = submitted(client, b"a")
    answer = client.get(f"/v1/images/{image}/matches?wait=0.1")
    assert (answer.status_code, answer.json["matches"]) == (202, None)
    assert int(answer.headers["Retry-After"]) > 0


def test_erasing_is_in_the_ledger_and_repeatable(api: Api, client: FlaskClient) -> None:
    image = finished(api, client, b"a")
    for _ in range(2):
        answer = client.delete(f"/v1/images/{image}")
        assert (answer.status_code, answer.data) == (204, b"")
    # The second one ends what was submitted after the first, and has a line of its own.
    assert [erased.image for erased in api.ledger.erasures()] == [image, image]
    assert api.store.erasing() == []


def test_an_erased_image_may_come_again(api: Api, client: FlaskClient) -> None:
    image = finished(api, client, b"a")
    client.delete(f"/v1/images/{image}")
    assert finished(api, client, b"a") == image
    assert client.get(f"/v1/images/{image}/matches").status_code == 200


def test_an_image_is_hidden_even_when_the_ledger_cannot_be_written(
    api: Api, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = finished(api, client, b"a")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("os.fsync", full)
        answer = client.delete(f"/v1/images/{image}")
    assert (answer.status_code, answer.json["code"]) == (503, "ledger_unavailable")
    assert client.get(f"/v1/images/{image}").status_code == 410
    assert client.delete(f"/v1/images/{image}").status_code == 204
