"""What `facematch erasure-report` says of a real server, and that it says no more than it knows."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from servers import RedisServer
from submitting import MODEL, commit, upload
from waiting import eventually

from api.ledger import Ledger, erase
from facematch import redis_rewriting
from facematch.collection_name import served_name
from facematch.commands import erasure
from facematch.commands.erasure import Found, Report
from facematch.faces import image_hash
from facematch.redis_connection import connect
from facematch.redis_erasures import RedisErasures
from facematch.redis_reencoding import RedisReencoding
from facematch.redis_rewriting import RedisRewriting
from facematch.redis_store import RedisStore

IMAGE = image_hash(b"a")


@pytest.fixture(params=["redis", "valkey"])
def server(request: pytest.FixtureRequest) -> RedisServer:
    found: RedisServer = request.getfixturevalue(f"{request.param}_server")
    return found


@pytest.fixture
def client(server: RedisServer) -> Iterator[Redis]:
    with connect(server.url) as client:
        RedisStore(client).create(MODEL, 0.6)
        yield client


@pytest.fixture
def ledger(tmp_path: Path, server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """Where the command looks for it."""
    monkeypatch.setenv("FACEMATCH_REDIS_URL", server.url)
    monkeypatch.setenv("FACEMATCH_INDEX_URL", f"unix:{tmp_path / 'none.sock'}")
    monkeypatch.setenv("FACEMATCH_LEDGER", str(tmp_path / "ledger"))
    return Ledger(tmp_path / "ledger")


def submitted(client: Redis) -> None:
    store = RedisStore(client)
    commit(store, upload(store, b"a"), b"a")


def submitted_and_erased(client: Redis, ledger: Ledger) -> None:
    submitted(client)
    ledger.check()
    erase(RedisStore(client), ledger, IMAGE)


def told(rewrite: bool = False) -> Report:
    return erasure.report(None, "default", IMAGE, rewrite)


def found(report: Report) -> dict[str, Found]:
    return {one.place: one.found for one in report.evidence}


def test_a_file_is_clean_once_this_run_of_the_server_has_written_it_anew(
    server: RedisServer, client: Redis, ledger: Ledger
) -> None:
    submitted_and_erased(client, ledger)
    assert found(told())["append-only file"] is Found.LEFT
    clean = told(rewrite=True)
    assert found(clean)["append-only file"] is Found.GONE
    assert clean.clean
    assert not RedisRewriting(client).due(3600, "a worker")
    # Another run may have another file: that of a replica, or of a backup.
    server.restart()
    assert found(told())["append-only file"] is Found.LEFT
    assert RedisRewriting(client).due(3600, "a worker")
    assert not RedisRewriting(client).due(3600, "another")


def test_a_snapshot_is_one_that_was_begun_since(
    server: RedisServer, client: Redis, ledger: Ledger
) -> None:
    submitted_and_erased(client, ledger)
    time.sleep(2.1)  # Redis tells times in whole seconds
    server.restart()
    client.config_set("save", "3600 1")
    try:
        # For Redis it was saved when it started.
        assert client.info()["rdb_last_save_time"] > (told().erased or 0) + 1
        assert found(told())["snapshots"] is Found.LEFT
        time.sleep(2.1)
        client.bgsave()
        eventually(lambda: not client.info()["rdb_bgsave_in_progress"], "it is saved")
        assert found(told())["snapshots"] is Found.GONE
    finally:
        client.config_set("save", "")


def test_the_start_of_a_server_is_no_snapshot_for_who_asks_slowly(
    server: RedisServer, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = redis_rewriting.info_of

    def slowly(client: Redis) -> Mapping[str, Any]:
        time.sleep(2.1)  # Redis tells times in whole seconds
        return ask(client)

    server.restart()
    client.config_set("save", "3600 1")
    try:
        assert RedisRewriting(client).kept().saved is None
        monkeypatch.setattr(redis_rewriting, "info_of", slowly)
        assert RedisRewriting(client).kept().saved is None
    finally:
        client.config_set("save", "")


def test_a_repeated_erasure_is_of_when_it_was_repeated(client: Redis, ledger: Ledger) -> None:
    submitted(client)
    number = int(client.hget(f"fm:{{default}}:image:{IMAGE}", "number") or 0)
    before = client.time()[0]
    RedisStore(client).erase(IMAGE, number)
    traces = RedisErasures(client, "default").traces(IMAGE, 0)
    assert traces.erased_at == number / 1e6
    assert traces.gone_at is not None
    assert traces.gone_at >= max(before, traces.erased_at)
    assert told().erased == traces.gone_at


def test_an_edition_that_was_given_up_is_told_until_it_is_forgotten(
    client: Redis, ledger: Ledger
) -> None:
    reencoding = RedisReencoding(client)
    number = reencoding.begin("another-model", 0.5, "an.encoder:Of", "hog").later.number
    submitted(client)
    reencoding.cancel(number)
    ledger.check()
    erase(RedisStore(client, served_name("default")), ledger, IMAGE)
    assert found(told())[f"store, edition {number}"] is Found.LEFT
    while not reencoding.drop_some():
        pass
    assert f"store, edition {number}" not in found(told())


def test_a_ledger_that_is_elsewhere_is_not_said_to_lack_it(client: Redis, ledger: Ledger) -> None:
    submitted(client)
    RedisStore(client).erase(IMAGE)
    where = {one.place: one for one in told().evidence}["ledger"]
    assert where.found is Found.LEFT
    assert "not found" in where.detail
    ledger.check()
    assert "not written" in {one.place: one for one in told().evidence}["ledger"].detail
