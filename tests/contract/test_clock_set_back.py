"""What was written by a clock that was ahead, before it was set back or a server with another one
took over: order is as it was, and nothing waits until that time has come again."""

import time
from collections.abc import Iterator

import pytest
from submitting import MODEL, commit, submit, upload

from facematch.faces import image_hash
from facematch.redis_connection import Redis, connect
from facematch.redis_reindexing import RedisReindexing
from facematch.redis_store import RedisStore
from facematch.store import State

DAY = 86_400
BASE = "fm:{default}:"


@pytest.fixture
def client(redis_url: str) -> Iterator[Redis]:
    with connect(redis_url) as client:
        yield client


@pytest.fixture
def store(client: Redis) -> RedisStore:
    store = RedisStore(client)
    store.create(MODEL, 0.6)
    return store


def test_jobs_that_were_looked_after_in_the_future_are_due(
    client: Redis, store: RedisStore
) -> None:
    jobs = [upload(store, data) for data in (b"a", b"b", b"c")]
    held = jobs.pop()
    store.begin(held)
    for job in jobs:
        client.zadd(f"{BASE}accepted", {job: time.time() + DAY})
    assert sorted(store.due_jobs(1, 60) + store.due_jobs(10, 60)) == sorted(jobs)
    assert store.due_jobs(10, 60) == []


def test_images_that_were_committed_in_the_future_are_due(client: Redis, store: RedisStore) -> None:
    submit(store, b"a")
    assert store.due_images(10, 60) == []
    client.hset(f"{BASE}image:{image_hash(b'a')}", "due", str(time.time() + DAY))
    assert store.due_images(10, 60) == [image_hash(b"a")]
    assert store.due_images(10, 60) == []


def test_ranges_that_were_taken_in_the_future_are_due(client: Redis, store: RedisStore) -> None:
    submit(store, b"a")
    reindexing = RedisReindexing(client)
    reindexing.begin(0.5)
    [first] = reindexing.due_ranges(10, -1)
    client.zadd(f"{BASE}reindex:ranges", {str(first): time.time() + DAY})
    assert reindexing.due_ranges(10, 60) == [first]
    assert reindexing.due_ranges(10, 60) == []


def test_submissions_and_erasures_are_in_the_order_in_which_they_came(
    client: Redis, store: RedisStore
) -> None:
    ahead = int((time.time() + DAY) * 1e6)
    client.set(f"{BASE}submissions", ahead)
    before = upload(store, b"a")
    erased = store.erase(image_hash(b"a"))
    assert erased.upto == ahead + 2
    commit(store, before, b"a")
    assert store.image(image_hash(b"a")).state is State.ERASED
    commit(store, upload(store, b"a"), b"a")
    assert store.image(image_hash(b"a")).state is State.INDEXED
    store.erase(image_hash(b"a"), erased.upto)  # as the ledger does, again and again
    assert store.image(image_hash(b"a")).state is State.INDEXED
