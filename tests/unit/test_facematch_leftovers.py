"""What belongs to nothing in a Redis is found, and nothing else is."""

from collections.abc import Iterator

import pytest
from submitting import BACKLOG, MODEL, submit

from facematch.batches import Item
from facematch.commands import fsck
from facematch.keys import Scope, new_key
from facematch.policy import PolicyChange
from facematch.redis_batches import RedisBatches
from facematch.redis_collections import RedisCollections
from facematch.redis_connection import Redis, connect
from facematch.redis_keys import RedisKeys
from facematch.redis_leftovers import leftovers
from facematch.redis_store import RedisStore
from facematch.redis_webhooks import RedisWebhooks
from facematch.store import NewJob


@pytest.fixture
def client(redis_url: str) -> Iterator[Redis]:
    """Two collections with some of everything, one that is gone and one that is being erased."""
    with connect(redis_url) as client:
        RedisStore(client).create(MODEL, 0.6)
        collections = RedisCollections(client)
        for name in ("holiday", "gone", "erasing"):
            collections.create(name, PolicyChange())
        for name in ("default", "holiday", "gone", "erasing"):
            store = RedisStore(client, name)
            submit(store, b"done")
            store.accept(NewJob("waits", "http://x/", url="http://x/"), BACKLOG)
            store.accept(NewJob("failed", "http://x/", url="http://x/"), BACKLOG)
            store.fail("failed", "unreachable", "")
            RedisWebhooks(client, name).add("w", "https://example.com/", "whsec_AAAA", "0-0")
            batches = RedisBatches(client, name)
            batches.keep("b", [Item("waits"), Item(code="empty", name="x")])
            batches.claim("key", "print", "b")
        for name in ("gone", "erasing"):
            collections.drop(name)
        while not collections.drop_some("gone"):
            pass
        RedisKeys(client).add(new_key("k", list(Scope), ["default"], 1.0)[0])
        yield client


def test_a_sound_service_has_no_leftovers(client: Redis) -> None:
    assert leftovers(client) == []
    assert client.exists("fm:{gone}:submissions")


def test_each_kind_is_found(client: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # As an api of a version without collections goes on writing.
    client.set("fm:{gone}:blob:a", "bytes")
    client.hset("fm:{nobody}:~1:meta", "position", 1)
    client.zrem("fm:{holiday}:webhooks", "w")
    client.zrem("fm:{default}:accepted", "waits")
    client.persist("fm:{holiday}:batch:b")
    client.persist("fm:{default}:claim:key")
    client.hset("fm:uploads", mapping={"total": 9, "fm:{gone}:": 2})
    # Whatever is on its way out is nobody's concern.
    client.zrem("fm:{erasing}:accepted", "waits")
    found = leftovers(client)
    assert found == [
        "fm:{default}:claim:key: it would be kept for ever",
        "fm:{default}:job:waits: it waits, and nobody looks after it",
        "fm:{gone}:blob:a: its collection is not there",
        "fm:{holiday}:batch:b: it would be kept for ever",
        "fm:{holiday}:webhook:w: it is not among the webhooks",
        "fm:{nobody}:~1:meta: its collection is not there",
        "fm:uploads: of fm:{gone}: its collection is not there",
        "fm:uploads: 9 bytes in all, 2 in collections",
    ]
    monkeypatch.setenv("FACEMATCH_REDIS_URL", redis_url)
    told = [one.detail for one in fsck.check(None).findings if one.invariant == "leftovers"]
    assert told == found


def test_what_is_gone_a_moment_later_is_none(
    client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collection that is made or forgotten while keys are looked at."""
    client.set("fm:{gone}:blob:a", "bytes")
    scan = client.scan

    def scan_and_make(cursor: int, **asked: object) -> object:
        told = scan(cursor, **asked)
        if not told[0]:
            RedisCollections(client).create("gone", PolicyChange())
        return told

    assert leftovers(client) == ["fm:{gone}:blob:a: its collection is not there"]
    monkeypatch.setattr(client, "scan", scan_and_make)
    assert leftovers(client) == []
