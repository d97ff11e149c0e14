"""Who reads match sets while they are written sees state and matches of one instant."""

import threading
from collections.abc import Iterator
from typing import cast

import pytest
from histories import running
from servers import RedisServer
from submitting import MODEL, commit, link, upload
from waiting import eventually

from facematch.faces import image_hash
from facematch.memory_store import MemoryStore
from facematch.redis_connection import connect
from facematch.redis_store import RedisStore
from facematch.store import LINK_CHUNK, Link, State, Store

#: Three calls link so many.
PEERS = 2 * LINK_CHUNK + 5


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    if request.param == "memory":
        memory = MemoryStore()
        memory.create(MODEL, 0.6)
        yield memory
        return
    server = cast(RedisServer, request.getfixturevalue("redis_server"))
    with server.hurried(), connect(server.url) as client:
        real = RedisStore(client)
        real.create(MODEL, 0.6)
        yield real


def test_a_page_is_of_one_instant_while_an_image_is_linked(store: Store) -> None:
    peers = [f"peer {number}".encode() for number in range(PEERS)]
    places = [commit(store, upload(store, peer), peer) for peer in peers]
    for peer, at in zip(peers, places, strict=True):
        link(store, peer, at)
    own = commit(store, upload(store, b"a"), b"a")
    image = image_hash(b"a")
    seen: list[tuple[State, int, int]] = []

    def read(stop: threading.Event) -> None:
        while not stop.is_set():
            page = store.matches(image, 10_000)
            seen.append((page.image.state, len(page.matches), page.complete_through))

    pairs = [(at.position, 0.1) for at in places]
    tail = store.collection().tail
    with running(read):
        eventually(lambda: seen, "it is read")
        for start in range(0, PEERS, LINK_CHUNK):
            chunk = pairs[start : start + LINK_CHUNK]
            last = start + LINK_CHUNK >= PEERS
            before = len(seen)
            store.link(Link(image, own, tail, "token", start, chunk, last=last))
            eventually(lambda: len(seen) > before + 1, "it is read after that")  # noqa: B023
        eventually(lambda: seen[-1][0] is State.DONE, "it is seen to be done")
    for state, matches, complete_through in seen:
        if state is State.DONE:
            assert (matches, complete_through) == (PEERS, own.position)
        else:
            assert complete_through == own.position - 1
