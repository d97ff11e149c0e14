"""A worker groups what is marked, lets jobs come first, and does not end when something fails."""

import threading

import pytest
from waiting import eventually
from worlds import World

from facematch.errors import Unavailable
from facematch.memory_store import MemoryStore
from facematch.redis_collections import RedisCollections
from facematch.redis_connection import connect
from facematch.redis_people import RedisPeople
from facematch.redis_store import RedisStore
from worker import grouping
from worker.grouping import keep_grouping
from worker.pipeline import process
from worker.rounds import only


@pytest.fixture
def world() -> World:
    """Two pictures of one person, linked."""
    world = World(MemoryStore())
    for picture in (0, 1):
        world.submit(picture)
        process(world.jobs[-1], world.parts[0])
    return world


def test_what_is_marked_is_grouped_and_jobs_in_hand_come_first(world: World) -> None:
    assert world.people is not None
    stop, rests = threading.Event(), list[float]()
    thread = threading.Thread(
        target=keep_grouping,
        args=(only((world.store, world.people)), stop),
        kwargs={"give_way": rests.append, "seconds": 0.01},
    )
    thread.start()
    eventually(lambda: world.people and not world.people.people(10).ungrouped and rests)
    eventually(lambda: world.store.lease("people", "another", 1), "the lease is given back")
    stop.set()
    thread.join()
    world.check_groups()
    assert all(0 < rest <= grouping._LONGEST_REST for rest in rests)


def test_it_goes_on_after_the_store_was_away_and_after_an_error(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = [Unavailable("store_unavailable"), ValueError("nobody planned for it")]
    regroup = grouping.regroup

    def failing(store: object, people: object) -> bool:
        if errors:
            raise errors.pop(0)
        return regroup(store, people)  # type: ignore[arg-type]

    monkeypatch.setattr(grouping, "regroup", failing)
    stop = threading.Event()
    thread = threading.Thread(
        target=keep_grouping,
        args=(only((world.store, world.people)), stop),
        kwargs={"seconds": 0.01},
    )
    thread.start()
    eventually(lambda: world.people and world.people.people(10).people, seconds=60)
    stop.set()
    thread.join()
    assert errors == []


def test_one_that_is_being_emptied_keeps_no_other_waiting(world: World, redis_url: str) -> None:
    assert world.people is not None
    with connect(redis_url) as client:
        emptied = RedisStore(client), RedisPeople(client)
        emptied[0].create("a-model", 0.6)
        RedisCollections(client).drop("default")
        stop = threading.Event()
        thread = threading.Thread(
            target=keep_grouping,
            args=(lambda: [emptied, (world.store, world.people)], stop),
            kwargs={"seconds": 0.01},
        )
        thread.start()
        try:
            eventually(lambda: world.people and not world.people.people(10).ungrouped, "grouped")
        finally:
            stop.set()
            thread.join()
