"""One contract for batches and for submissions sent twice: in memory, in Redis, in Valkey."""

from collections.abc import Iterator

import pytest
from submitting import BACKLOG, MODEL, commit, link, upload

from facematch.batches import MOST_ITEMS, Batches, Item, ItemState, job_of
from facematch.errors import Conflict, NotFound
from facematch.faces import image_hash
from facematch.memory_batches import MemoryBatches
from facematch.memory_store import MemoryStore
from facematch.redis_batches import RedisBatches
from facematch.redis_connection import connect
from facematch.redis_store import RedisStore
from facematch.store import NewJob, Store


@pytest.fixture(params=["memory", "redis", "valkey"])
def parts(request: pytest.FixtureRequest) -> Iterator[tuple[Store, Batches]]:
    """A store and its batches."""
    if request.param == "memory":
        store = MemoryStore()
        store.create(MODEL, 0.6)
        yield store, MemoryBatches(store)
        return
    client = connect(request.getfixturevalue(f"{request.param}_url"))
    RedisStore(client).create(MODEL, 0.6)
    yield RedisStore(client), RedisBatches(client)
    client.close()


def test_what_was_never_kept_is_not_found(parts: tuple[Store, Batches]) -> None:
    with pytest.raises(NotFound):
        parts[1].batch("none", 0, 10)


def test_a_batch_says_what_became_of_each_item(parts: tuple[Store, Batches]) -> None:
    store, batches = parts
    done, waiting, failed = (upload(store, data, f"{data!r}") for data in (b"a", b"b", b"c"))
    store.accept(NewJob("by-url", "http://x/ö", url="http://x/ö"), BACKLOG)
    link(store, b"a", commit(store, done, b"a"))
    store.fail(failed, "bad_image", "")
    refused = Item(code="too_large", name="a name with spaces ö")
    jobs = [Item(job) for job in (done, waiting, failed, "by-url")]
    for _ in range(2):
        batches.keep("b", [*jobs, refused, Item(code="empty"), Item("gone")])
    batch = batches.batch("b", 0, 100)
    assert (batch.id, batch.total) == ("b", 7)
    assert dict(batch.counts) == {
        "done": 1,
        "accepted": 2,
        "failed": 1,
        "refused": 2,
        "forgotten": 1,
    }
    assert list(batch.items) == [
        ItemState(0, "done", done, image_hash(b"a"), name="b'a'"),
        ItemState(1, "accepted", waiting, image_hash(b"b"), name="b'b'"),
        ItemState(2, "failed", failed, image_hash(b"c"), "bad_image", "b'c'"),
        ItemState(3, "accepted", "by-url", name="http://x/ö"),
        ItemState(4, "refused", code="too_large", name="a name with spaces ö"),
        ItemState(5, "refused", code="empty"),
        ItemState(6, "forgotten", "gone"),
    ]
    assert batches.batch("b", 2, 2).items == batch.items[2:4]
    assert batches.batch("b", 7, 2).items == ()
    store.erase(image_hash(b"a"))
    assert batches.batch("b", 0, 1).counts["erased"] == 1


def test_the_largest_batch_is_kept(parts: tuple[Store, Batches]) -> None:
    _, batches = parts
    batches.keep("b", [Item(job_of("b", number)) for number in range(MOST_ITEMS)])
    batch = batches.batch("b", 0, MOST_ITEMS)
    assert len(batch.items) == MOST_ITEMS == len({item.job for item in batch.items})


def test_a_key_stands_for_one_submission(parts: tuple[Store, Batches]) -> None:
    _, batches = parts
    assert batches.claim("key", "print", "first") == "first"
    assert batches.claim("key", "print", "second") == "first"
    with pytest.raises(Conflict) as raised:
        batches.claim("key", "other", "third")
    assert raised.value.code == "key_reused"
    assert batches.claim("other", "other", "third") == "third"


@pytest.mark.parametrize("server", ["redis_url", "valkey_url"])
def test_batches_and_keys_are_forgotten_in_time(
    server: str, request: pytest.FixtureRequest
) -> None:
    client = connect(request.getfixturevalue(server))
    batches = RedisBatches(client, job_days=2)
    batches.keep("b", [Item("job")])
    batches.claim("key", "print", "b")
    assert 0 < client.ttl("fm:{default}:batch:b") <= 2 * 86_400
    assert 86_000 < client.ttl("fm:{default}:claim:key") <= 86_400
    client.close()
