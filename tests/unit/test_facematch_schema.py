"""Data of older and newer versions: the one is read and migrated, the other left alone."""

import json
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from click.testing import CliRunner
from redis import Redis
from submitting import commit, upload

from facematch import redis_connection, redis_schema
from facematch.cli import main
from facematch.collection_name import DEFAULT, served_name
from facematch.errors import Conflict, Misconfigured, Unavailable
from facematch.faces import image_hash
from facematch.redis_reencoding import RedisReencoding
from facematch.redis_schema import RedisSchema
from facematch.redis_scripts import SCHEMA
from facematch.redis_store import RedisStore
from facematch.startup import wait_for_redis

EDITIONS, META, LAST = (f"fm:{{default}}:{name}" for name in ("editions", "meta", "submissions"))
#: A number that comes long after all that are made of the time.
LATER = 4 * 10**15


@pytest.fixture
def client(redis_url: str) -> Iterator[Redis]:
    with redis_connection.connect(redis_url) as client:
        yield client


@pytest.fixture
def old(client: Redis) -> RedisStore:
    """A store as versions without schemas have left it."""
    store = RedisStore(client)
    store.create("a-model", 0.6)
    client.hdel(EDITIONS, "schema")
    for data, faces in ((b"one", 1), (b"two", 2), (b"gone", 4)):
        commit(store, upload(store, data), data, faces, norms=np.ones((faces, 2), np.float32))
    store.erase(image_hash(b"gone"))
    client.delete(LAST)
    client.hdel(META, "size", "live_faces")
    client.hset(META, "submissions", LATER)
    return store


def facematch(redis_url: str, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, arguments, env={"FACEMATCH_REDIS_URL": redis_url})
    return done.exit_code, done.output


def number_of(client: Redis, job: str) -> int:
    return int(client.hget(f"fm:{{default}}:job:{job}", "number"))


def test_what_is_made_new_is_of_the_schema_of_this_version(client: Redis) -> None:
    store = RedisStore(client, served_name(DEFAULT))
    upload(store, b"before there is a collection")
    RedisStore(client).create("a-model", 0.6)
    assert RedisSchema(client).standing().schema == SCHEMA
    assert RedisSchema(client).standing().steps == {}
    assert not client.hexists(META, "submissions")
    assert int(client.get(LAST)) > 0
    assert set(redis_schema.STEPS) == set(range(1, SCHEMA + 1))


def test_numbers_are_in_one_order_with_those_of_an_older_version_that_runs_beside(
    client: Redis, old: RedisStore
) -> None:
    ours = [number_of(client, upload(old, bytes([n]))) for n in range(2)]
    assert ours == [LATER + 1, LATER + 2]
    # As the script of a version before schema 1 does it.
    assert client.hincrby(META, "submissions", 1) == LATER + 3
    assert number_of(client, upload(old, b"next")) == LATER + 4


def test_an_older_store_is_told_of_first_and_then_migrated(
    client: Redis, old: RedisStore, redis_url: str
) -> None:
    old.add_norms({1: np.ones((1, 2), np.float32)})
    assert {faces.norms for faces in old.faces_as_of([1, 2])[0].values()} == {None}
    before = {key: client.dump(key) for key in client.scan_iter()}
    code, said = facematch(redis_url, "migrate")
    assert (code, "is of schema 0" in said, "Nothing was changed" in said) == (0, True, True)
    assert {key: client.dump(key) for key in client.scan_iter()} == before
    told = json.loads(facematch(redis_url, "migrate", "--json")[1])
    assert (told["schema"], told["newest"], told["applied"]) == (0, SCHEMA, False)
    assert [step["schema"] for step in told["steps"]] == [1, 2]

    with pytest.raises(Conflict) as refused:
        RedisReencoding(client).begin("another", 0.6, "other:Encoder", "")
    assert refused.value.code == "old_data"

    code, said = facematch(redis_url, "migrate", "--apply")
    assert (code, f"Done: it is of schema {SCHEMA}." in said) == (0, True)
    assert not client.hexists(META, "submissions")
    old.add_norms({1: np.ones((1, 2), np.float32)})
    assert [faces.size for faces in old.faces_as_of([1, 2])[0].values()] == [3, 0]
    assert (old.collection().size, old.collection().live_faces) == (3, 3)
    assert number_of(client, upload(old, b"after")) == LATER + 1
    assert "there is nothing to do" in facematch(redis_url, "migrate", "--apply")[1]
    assert RedisReencoding(client).begin("another", 0.6, "other:Encoder", "").other is not None


def test_there_is_nothing_to_migrate_before_there_is_a_collection(redis_url: str) -> None:
    for options in ((), ("--apply",)):
        code, said = facematch(redis_url, "migrate", *options)
        assert (code, "store_unavailable" in said) == (1, True)


def test_data_of_a_newer_version_is_neither_read_nor_written(client: Redis) -> None:
    store = RedisStore(client, served_name(DEFAULT))
    RedisStore(client).create("a-model", 0.6)
    upload(store, b"one")
    client.hset(EDITIONS, "schema", SCHEMA + 1)
    before = {key: client.dump(key) for key in client.scan_iter()}
    for call in (
        store.check,
        store.collection,
        lambda: upload(store, b"two"),
        lambda: store.matches("0" * 64, 10),
        lambda: RedisStore(client).snapshot(),
        lambda: RedisStore(client).create("a-model", 0.6),
        RedisReencoding(client).editions,
        RedisSchema(client).check,
        RedisSchema(client).migrate,
    ):
        with pytest.raises(Unavailable) as refused:
            call()
        assert refused.value.code == "newer_data"
        assert f"schema {SCHEMA + 1}" in str(refused.value)
    assert {key: client.dump(key) for key in client.scan_iter()} == before


def test_who_starts_on_data_of_a_newer_version_does_not_wait(client: Redis) -> None:
    RedisStore(client).create("a-model", 0.6)
    client.hset(EDITIONS, "schema", SCHEMA + 1)
    with pytest.raises(Misconfigured, match="newer version of facematch"):
        wait_for_redis(RedisSchema(client).check, threading.Event())
