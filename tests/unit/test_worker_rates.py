"""How sure matches are, from the worker's side: rates follow from what is stored, and the data of
a version without them comes to have some."""

from collections.abc import Iterator

import pytest
from histories import Switch
from redis import Redis
from worlds import HASHES, THRESHOLD, World, code_of, distance_of, true_matches

from facematch import fsck
from facematch.errors import Unavailable
from facematch.match_scores import rate_of
from facematch.memory_store import MemoryStore
from facematch.redis_connection import connect
from facematch.redis_reindexing import RedisReindexing
from facematch.redis_schema import RedisSchema
from facematch.redis_store import RedisStore
from facematch.store import NO_BOUNDS, Bounds
from worker.pipeline import process
from worker.rating import calibration_for, stored_faces

EDITIONS, META = "fm:{default}:editions", "fm:{default}:meta"


@pytest.fixture
def client(redis_url: str) -> Iterator[Redis]:
    with connect(redis_url) as client:
        yield client


def work(world: World, *pictures: int) -> None:
    for picture in pictures:
        world.submit(picture)
        process(world.jobs[-1], world.parts[0])


def make_old(client: Redis) -> None:
    """The data as a version without rates would have it."""
    client.hdel(EDITIONS, "schema")
    client.hdel(META, "scored", "max_matches", "size", "live_faces", "calibration")
    for key in client.scan_iter("fm:{default}:faces:*"):
        value = client.get(key)
        client.set(key, value[: len(value) // 520 * 512])
    for key in client.scan_iter("fm:{default}:matches:*"):
        for other in client.zrange(key, 0, -1):
            picture = [
                HASHES.index(client.hget("fm:{default}:positions", at).decode())
                for at in (key.decode().rpartition(":")[2], other)
            ]
            client.zadd(key, {other: distance_of(*picture)})


def test_matches_of_a_former_version_come_to_have_rates(client: Redis) -> None:
    store = RedisStore(client)
    world = World(store, RedisReindexing(client))
    work(world, 0, 1, 3)
    make_old(client)
    # Beside processes of that version.
    work(world, 2)
    [generation] = store.collection().generations
    assert (generation.scored, generation.bounds) == (False, NO_BOUNDS)
    assert {faces.norms for faces in store.faces_as_of([1, 2, 3, 4])[0].values()} == {None}
    assert fsck.run(store).findings == ()

    RedisSchema(client).migrate()
    store.create(store.collection().model, THRESHOLD, "dlib-1")
    assert (store.collection().size, store.collection().calibration) == (4, "dlib-1")
    work(world, 4)
    assert fsck.run(store).findings == ()
    page = store.matches(HASHES[4], 10)
    assert [match.false_match_rate for match in page.matches] == [None] * 4

    bounds = Bounds(max_false_matches=1)
    about = world.reindexing.begin(2.5, bounds=bounds)
    world.finish_reindex()
    assert fsck.run(store).findings == ()
    world.reindexing.switch(about.id)
    stored, _ = store.faces_as_of([1, 2, 3, 4, 5])
    # Those from before have come with all that were there when they were given norms.
    assert [faces.size for faces in stored.values()] == [6, 6, 6, 6, 6]
    highest = store.collection().generations[0].codes_to(6)
    for picture, image in enumerate(HASHES):
        found = store.matches(image, 10).matches
        expected = true_matches(picture, {0, 1, 2, 3, 4}, 2.5, highest)
        assert sorted((match.hash, match.distance) for match in found) == expected
        for match in found:
            code = code_of(picture, HASHES.index(match.hash))
            assert match.false_match_rate == rate_of(code)
    world.check()


def test_norms_that_are_stored_are_not_computed_again() -> None:
    world = World(MemoryStore())
    work(world, 0)
    switch = Switch(world.store)
    collection = world.store.collection()
    found, tail = stored_faces(switch, [1], calibration_for(collection))
    assert tail == collection.tail
    assert found[1].norms is not None
    assert "add_norms" not in switch.calls


def test_who_gives_norms_reads_them_as_the_first_one_gave_them() -> None:
    world = World(MemoryStore())
    work(world, 0, 1)
    store = world.store
    assert isinstance(store, MemoryStore)
    stored, _ = store.faces_as_of([1, 2])
    for position in (1, 2):
        store._faces[position] = store._faces[position][:512]
    switch = Switch(store)
    rated_by = calibration_for(store.collection())
    assert rated_by is not None
    first = rated_by.norms(stored[1].encodings) * 2
    switch.after["faces_as_of"] = lambda: store.add_norms({1: first})
    found, _ = stored_faces(switch, [1, 2, 9], rated_by)
    assert found[1].norms is not None
    assert found[1].norms.tolist() == first.tolist()
    assert found[2].norms is not None
    assert [faces.size for faces in found.values()] == [2, 2]


def test_a_store_that_loses_norms_again_and_again_is_not_waited_for() -> None:
    world = World(MemoryStore())
    work(world, 0)
    store = world.store
    assert isinstance(store, MemoryStore)
    store._faces[1] = store._faces[1][:512]
    rated_by = calibration_for(store.collection())
    store.add_norms = lambda norms: None  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        stored_faces(store, [1], rated_by)
    assert stored_faces(store, [1], None)[0][1].norms is None
