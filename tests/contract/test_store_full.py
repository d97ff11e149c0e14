"""A Redis whose disk or memory is full: nothing is acknowledged that is not kept, nothing is half
done, and it goes on when there is room."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from histories import MODEL, THRESHOLD, add, erase
from planted import people, pictures_of
from servers import RedisServer

from benchmarks.servers import redis_binary
from facematch import fsck
from facematch.errors import Unavailable
from facematch.faces import image_hash
from facematch.redis_connection import connect
from facematch.redis_store import RedisStore
from facematch.store import NewJob, State


@pytest.fixture
def server(redis_server: RedisServer, tmp_path: Path) -> Iterator[RedisServer]:
    """One of its own, because it is to be limited."""
    del redis_server  # for the skip where there is none
    own = RedisServer(redis_binary(), tmp_path / "redis")
    yield own
    own.stop()


def add_until_refused(store: RedisStore) -> list[str]:
    """Commit images until the store is unavailable; those that it has taken."""
    rng = np.random.default_rng(1)
    person = people(rng, 1)[0]
    taken: list[str] = []
    code = ""
    while not code:
        assert len(taken) < 2000, "it was never full"
        name = f"{len(taken)}"
        try:
            add(store, name, pictures_of(rng, person, 1))
            taken.append(name)
        except Unavailable as error:
            code = error.code
    assert code == "store_unavailable"
    return taken


def assert_kept(store: RedisStore, taken: list[str]) -> None:
    for name in taken:
        assert store.image(image_hash(name.encode())).state is State.INDEXED
    report = fsck.run(store)
    assert report.findings == ()
    assert report.images - len(taken) in (0, 1)  # of the last one nobody heard


def test_a_full_disk_ends_what_is_not_kept_and_loses_nothing_that_was_acknowledged(
    server: RedisServer,
) -> None:
    server.disk = 200_000
    server.start()
    with connect(server.url) as client:
        store = RedisStore(client)
        store.create(MODEL, THRESHOLD)
        taken = add_until_refused(store)
        assert taken
        server.kill()
        server.disk = None
        server.start()
        assert_kept(store, taken)
        erase(store, taken[0])
        add(store, "after", np.zeros((1, 128), dtype=np.float32))
        assert_kept(store, [*taken[1:], "after"])


def test_full_memory_refuses_whole_scripts(server: RedisServer) -> None:
    server.start()
    with connect(server.url) as client:
        store = RedisStore(client)
        store.create(MODEL, THRESHOLD)
        store.accept(NewJob("job", "", "http://pictures.example/a.jpg", "", b""), 10**9)
        store.begin("job")
        client.config_set("maxmemory", int(client.info()["used_memory"]) + 300_000)
        taken = add_until_refused(store)
        assert taken
        store.give_back("job")
        assert store.job("job").attempts == 0
        erase(store, taken.pop())
        client.config_set("maxmemory", "0")
        assert_kept(store, taken)
        add(store, "after", np.zeros((1, 128), dtype=np.float32))
        assert_kept(store, [*taken, "after"])
