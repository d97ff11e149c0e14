"""/healthz and /readyz: which dependency is what, and which of them a client needs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from api_parts import Api, running_api
from flask.testing import FlaskClient
from waiting import eventually

from facematch.errors import Unavailable


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as api:
        eventually(lambda: api.publisher.state == "up")
        yield api


@pytest.fixture
def client(api: Api) -> FlaskClient:
    return api.app.test_client()


def test_everything_up_is_ready(client: FlaskClient) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json == {"status": "ready", "store": "up", "broker": "up", "ledger": "up"}


def test_a_store_that_is_away_is_not_ready_and_still_alive(
    api: Api, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise Unavailable("store_unavailable", "connection refused")

    monkeypatch.setattr(api.store, "check", away)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["status"]) == (503, "not ready")
    assert answer.json["store"] == "down: connection refused"
    assert answer.json["broker"] == "up"
    assert client.get("/healthz").json == {"status": "ok"}


def test_a_broker_that_is_away_is_said_and_still_ready(
    api: Api, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: object) -> None:
        raise Unavailable("broker_unavailable", "connection refused")

    monkeypatch.setattr(api.broker, "publish", away)
    assert client.post("/v1/images", data=b"x").status_code == 202
    eventually(lambda: api.publisher.state != "up")
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["status"]) == (200, "ready")
    assert answer.json["broker"] == "down: connection refused"


def test_a_ledger_that_cannot_be_written_is_not_ready(
    api: Api, client: FlaskClient, tmp_path: Path
) -> None:
    for file in (tmp_path / "ledger").iterdir():
        file.unlink()
    (tmp_path / "ledger").rmdir()
    (tmp_path / "ledger").write_text("in the way")
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json["ledger"].startswith("down: ")


def test_a_ledger_not_replayed_yet_is_not_ready(
    api: Api, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise Unavailable("ledger_unavailable")

    monkeypatch.setattr(api.ledger, "records", away)
    api.replayer.request()
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["store"]) == (503, "up")
    assert "not played back" in answer.json["ledger"]
    monkeypatch.undo()
    eventually(lambda: client.get("/readyz").status_code == 200)
