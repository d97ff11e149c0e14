"""What only an index in Milvus has to get right: a server that goes away, several who feed it."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Event
from typing import cast

import numpy as np
import pytest
from histories import THRESHOLD, Switch, add, erase
from indexes import FACE, FOREVER, ask, feeding, new_store, positions
from milvus_server import MilvusServer
from waiting import eventually

from facematch.errors import Misconfigured, Unavailable
from facematch.faces import positions_of
from facematch.feeder import Feeder
from facematch.generation_search import GenerationSearch
from facematch.generations import current
from facematch.indexes import open_neighbours
from facematch.milvus import Milvus
from facematch.store import Store
from facematch.wire import Query


@contextmanager
def milvus(server: MilvusServer, timeout: float = 10.0) -> Iterator[Milvus]:
    with closing(Milvus(server.url, timeout=timeout)) as connected:
        yield connected


def code_of(neighbours: GenerationSearch) -> str:
    with pytest.raises(Unavailable) as raised:
        neighbours.within(Query(FACE, THRESHOLD, FOREVER))
    return raised.value.code


def settled(neighbours: GenerationSearch, store: Store) -> list[int]:
    """Its answer at the end of the log; it may be away, and wrong about the log, until then."""
    found: list[int] = []

    def right() -> bool:
        try:
            answer = neighbours.within(Query(FACE, THRESHOLD, FOREVER))
        except Unavailable:
            return False
        found[:] = positions_of(answer.faces)
        return answer.tail == store.collection().tail

    eventually(right, "it answers again", 30)
    return found


def test_a_server_that_was_away_answers_again_over_the_same_client(
    milvus_server: MilvusServer,
) -> None:
    store = new_store("a", "b")
    with milvus(milvus_server) as asked, feeding(store, milvus_server.url):
        neighbours = GenerationSearch(asked)
        assert positions(neighbours, store) == [1, 2]
        generations = asked.names()
        milvus_server.kill()
        began = time.monotonic()
        assert code_of(neighbours) == "index_unavailable"
        assert time.monotonic() - began < 5
        add(store, "c", FACE)
        milvus_server.start()
        assert settled(neighbours, store) == [1, 2, 3]
        assert asked.names() == generations


def test_one_that_has_lost_everything_is_filled_again(milvus_server: MilvusServer) -> None:
    store = new_store("a", "b")
    with milvus(milvus_server) as asked, feeding(store, milvus_server.url):
        neighbours = GenerationSearch(asked)
        assert positions(neighbours, store) == [1, 2]
        milvus_server.kill()
        milvus_server.wipe()
        milvus_server.start()
        assert settled(neighbours, store) == [1, 2]


def test_a_silent_server_is_unavailable_after_the_timeout(milvus_server: MilvusServer) -> None:
    store = new_store("a")
    with milvus(milvus_server, timeout=2) as asked, feeding(store, milvus_server.url):
        neighbours = GenerationSearch(asked)
        assert settled(neighbours, store) == [1]
        milvus_server.pause()
        try:
            began = time.monotonic()
            assert code_of(neighbours) == "index_unavailable"
            assert time.monotonic() - began < 8
            with milvus(milvus_server, timeout=0.5) as new, pytest.raises(Unavailable):
                GenerationSearch(new).check()
        finally:
            milvus_server.resume()
        assert settled(neighbours, store) == [1]


def test_a_server_that_is_not_there_is_said_to_be_without_a_password() -> None:
    with closing(open_neighbours("milvus+http://ann:secret@127.0.0.1:1")) as neighbours:
        with pytest.raises(Unavailable) as raised:
            neighbours.check()
        assert raised.value.code == "index_unavailable"
        assert "secret" not in str(raised.value)


def test_without_the_driver_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "facematch.milvus")
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(Misconfigured, match=r"pip install 'facematch\[milvus\]'"):
        open_neighbours("milvus+http://127.0.0.1:19530")


def test_more_neighbours_than_one_answer_holds_are_all_found(milvus_server: MilvusServer) -> None:
    store = new_store(*map(str, range(600)))
    add(store, "many", np.repeat(FACE, 256, axis=0))
    with milvus(milvus_server) as asked, feeding(store, milvus_server.url):
        answer = ask(GenerationSearch(asked, most=300), store, before=590)
        assert positions_of(answer.faces) == list(range(1, 590))
        assert len(ask(GenerationSearch(asked, most=300), store).faces) == 600 + 256


def test_a_failover_and_a_trimmed_log_lead_to_a_new_generation(milvus_server: MilvusServer) -> None:
    old = new_store("a", "b", "c", log_keep=5)
    switch = Switch(old)
    with milvus(milvus_server) as asked, feeding(cast(Store, switch), milvus_server.url):
        neighbours = GenerationSearch(asked)
        erase(old, "b")
        assert positions(neighbours, old) == [1, 3]
        new = new_store("a", "b", like=old, log_keep=5)
        add(new, "d", FACE)
        switch.store = new
        assert settled(neighbours, new) == [1, 2, 3]
        switch.down = True
        for number in range(20):
            add(new, str(number), FACE)
        erase(new, "4")
        switch.down = False
        assert settled(neighbours, new) == [*range(1, 8), *range(9, 24)]
        eventually(lambda: len(asked.names()) == 1, "the old one is dropped", 30)


def test_two_that_feed_at_the_same_time_do_each_other_no_harm(milvus_server: MilvusServer) -> None:
    store = new_store(*map(str, range(20)))
    stop = Event()
    wrong: list[str] = []

    def feed() -> None:
        with milvus(milvus_server) as own:
            feeder = Feeder(store, own)
            while not stop.is_set():
                try:
                    feeder.step(stop)
                except Unavailable as error:
                    if error.code not in ("index_unavailable", "index_loading"):
                        wrong.append(str(error))

    feeders = [threading.Thread(target=feed) for _ in range(2)]
    for thread in feeders:
        thread.start()
    try:
        with milvus(milvus_server) as asked:
            neighbours = GenerationSearch(asked)
            for number in range(20, 60):
                add(store, str(number), FACE)
                if number % 4 == 0:
                    erase(store, str(number - 16))
                time.sleep(0.02)
            found = settled(neighbours, store)
            assert set(found) >= store.snapshot().positions.keys()
            stop.set()
            for thread in feeders:
                thread.join(20)
            last = Feeder(store, asked)
            while not last.step(Event()):
                pass
            assert wrong == []
            assert positions(neighbours, store) == sorted(store.snapshot().positions)
            (place,) = current(asked.places())
            assert asked.names() == [place.generation]
            assert asked.count(place.generation) == len(store.snapshot().positions)
    finally:
        stop.set()
