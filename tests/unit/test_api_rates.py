"""How sure matches are, over HTTP."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from api_parts import MODEL, Api, running_api
from flask.testing import FlaskClient
from submitting import RATED, place, rated

from facematch.calibration import calibration
from facematch.faces import image_hash
from facematch.match_scores import rate_of
from facematch.memory_store import MemoryStore
from facematch.store import Bounds

IMAGES = [b"a", b"b", b"c", b"d"]
HASHES = [image_hash(data) for data in IMAGES]


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """a matches b and c, of which c is surer; d is left out for them."""
    store = MemoryStore()
    store.create(MODEL, 0.6, RATED, Bounds(max_matches=2))
    places = [place(store, data, model=MODEL) for data in IMAGES]
    for number, (data, at) in enumerate(zip(IMAGES, places, strict=True)):
        code, distance = [(0, 0.0), (15_400, 0.25), (9000, 0.5), (15_900, 0.1)][number]
        rated(store, data, at, *([(1, distance, code)] if number else []))
    with running_api(tmp_path, store) as api:
        yield api


@pytest.fixture
def client(api: Api) -> FlaskClient:
    return api.app.test_client()


def shown(client: FlaskClient, image: str = HASHES[0], **query: object) -> Any:
    return client.get(f"/v1/images/{image}/matches", query_string=query).json


def expected(distance: float) -> float:
    """Of three faces of others."""
    return 3 * float(calibration(RATED).within(distance, np.array([0.5, 0.125], np.float32)))


def test_matches_come_with_their_rates_the_most_certain_first(client: FlaskClient) -> None:
    page = shown(client)
    assert page["matches"] == [
        {
            "hash": HASHES[number],
            "names": ["a.jpg"],
            "distance": distance,
            "false_match_rate": rate_of(code),
        }
        for number, distance, code in ((2, 0.5, 9000), (1, 0.25, 15_400))
    ]
    assert (page["max_false_matches"], page["max_matches"]) == (None, 2)
    assert page["expected_false_matches"] == pytest.approx(expected(0.6))


def test_what_was_left_out_is_said_of_both_images(client: FlaskClient) -> None:
    for image, truncated in zip(HASHES, (True, False, False, True), strict=True):
        page = shown(client, image)
        assert (page["truncated"], page["matches_truncated"]) == (truncated, truncated)
        # That is of faces.
        assert client.get(f"/v1/images/{image}").json["truncated"] is False


def test_fewer_can_be_asked_for(client: FlaskClient) -> None:
    def listed(**query: object) -> list[str]:
        return [match["hash"] for match in shown(client, **query)["matches"]]

    assert listed(max_distance=0.3) == [HASHES[1]]
    assert listed(max_false_matches=1) == [HASHES[2]]
    assert listed(max_false_matches=2) == [HASHES[2], HASHES[1]]
    assert listed(max_distance=0.3, max_false_matches=1) == []
    nearer = shown(client, max_distance=0.3)["expected_false_matches"]
    assert nearer == pytest.approx(expected(0.3))
    # Of the faces ever committed, three of four are there and of others.
    surer = shown(client, max_false_matches=0.01)["expected_false_matches"]
    assert surer == pytest.approx(0.01 * 3 / 4)
    page = shown(client, limit=1, max_false_matches=2)
    rest = shown(client, limit=1, max_false_matches=2, cursor=page["next"])
    assert [match["hash"] for match in rest["matches"]] == [HASHES[1]]
    assert rest["next"] is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("max_distance", value) for value in ("-0.1", "nan", "inf", "near")),
        *(("max_false_matches", value) for value in ("0", "-1", "nan", "inf", "few")),
    ],
)
def test_what_is_no_bound_is_a_bad_request(client: FlaskClient, name: str, value: str) -> None:
    answer = client.get(f"/v1/images/{HASHES[0]}/matches", query_string={name: value})
    assert (answer.status_code, answer.json["code"]) == (400, "bad_request")
    assert name in answer.json["detail"]


def test_without_rates_nobody_can_ask_by_them(tmp_path: Path) -> None:
    with running_api(tmp_path) as api:
        client = api.app.test_client()
        client.post("/v1/images", data=b"a")
        image = api.finish(b"a")
        assert shown(client, image, max_distance=0.5)["matches"] == []
        answer = client.get(f"/v1/images/{image}/matches?max_false_matches=1")
        assert (answer.status_code, answer.json["code"]) == (409, "no_rates")


def test_the_course_routes_have_all_within_the_threshold_the_most_certain_first(
    client: FlaskClient,
) -> None:
    assert client.get(f"/match/{HASHES[1]}").json == ["a.jpg"]
    assert len(client.get(f"/match/{HASHES[0]}").json) == 1
