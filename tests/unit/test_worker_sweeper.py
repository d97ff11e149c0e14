"""The sweeper finds lost messages, unfinished images and half-done erasures."""

import threading
from collections.abc import Callable

import numpy as np
import pytest
from planted import PlantedEncoder, planted_picture
from waiting import eventually
from worlds import HASHES, World

from facematch.broker import MemoryBroker
from facematch.errors import Unavailable
from facematch.job import Message
from facematch.memory_store import MemoryStore
from facematch.redis_collections import RedisCollections
from facematch.redis_connection import connect
from facematch.redis_store import RedisStore
from facematch.store import State
from worker import sweeper
from worker.decode import decode
from worker.pipeline import finish, process
from worker.rounds import only
from worker.sweeper import Swept, keep_sweeping, sweep


@pytest.fixture
def world() -> World:
    return World(MemoryStore())


def finishing(world: World) -> Callable[[str], None]:
    return lambda image: finish(image, world.parts[0])


def test_jobs_whose_message_was_lost_are_published_again(world: World) -> None:
    world.submit(0)
    broker = MemoryBroker()
    sweep(world.store, broker, finishing(world), age=-1)
    delivery = broker.receive(0)
    assert delivery is not None
    assert Message.decode(delivery.body).job == world.jobs[0]


def test_fresh_jobs_are_left_alone(world: World) -> None:
    world.submit(0)
    broker = MemoryBroker()
    sweep(world.store, broker, finishing(world), age=60)
    assert broker.depth() == 0


def test_a_long_queue_is_not_made_longer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeper, "QUEUE_ENOUGH", 2)
    for picture in (0, 1, 2):
        world.submit(picture)
    broker = MemoryBroker()
    sweep(world.store, broker, finishing(world), age=-1)
    assert broker.depth() == 2
    sweep(world.store, broker, finishing(world), age=-1)
    assert broker.depth() == 2


def test_images_that_were_left_indexed_are_finished(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.submit(0)
    with monkeypatch.context() as patch:
        patch.setattr(world.indexes[0], "within", _loading)
        with pytest.raises(Unavailable):
            process(world.jobs[0], world.parts[0])
    assert world.store.image(HASHES[0]).state is State.INDEXED
    sweep(world.store, MemoryBroker(), finishing(world), age=-1)
    assert world.store.image(HASHES[0]).state is State.DONE


def test_half_done_erasures_are_finished(world: World) -> None:
    for picture in (0, 1):
        world.submit(picture)
        process(world.jobs[-1], world.parts[0])
    world.store.erase(HASHES[0])
    sweep(world.store, MemoryBroker(), finishing(world), age=60)
    assert world.store.erasing() == []
    assert world.store.linked([1, 2], 0) == {1: {}, 2: {}}


def test_sweeping_goes_on_after_an_error(world: World) -> None:
    world.submit(0)
    broker = MemoryBroker()
    stop = threading.Event()
    depths = []

    def depth() -> int:
        depths.append(0)
        if len(depths) < 3:
            raise Unavailable("broker_unavailable") if len(depths) == 1 else RuntimeError("a bug")
        stop.set()
        return 0

    broker.depth = depth  # type: ignore[method-assign]
    swept = only(Swept(world.store, finishing(world)))
    keep_sweeping(swept, broker, seconds=0.01, age=-1, stop=stop)
    assert len(depths) == 3
    assert len(broker._ready) == 1


def test_one_that_is_being_emptied_keeps_no_other_waiting(world: World, redis_url: str) -> None:
    world.submit(0)
    broker, stop = MemoryBroker(), threading.Event()
    with connect(redis_url) as client:
        emptied = RedisStore(client)
        emptied.create("a-model", 0.6)
        RedisCollections(client).drop("default")
        swept = Swept(emptied, finishing(world)), Swept(world.store, finishing(world), "other")
        thread = threading.Thread(
            target=keep_sweeping,
            args=(lambda: swept, broker),
            kwargs={"seconds": 0.01, "age": -1, "stop": stop},
        )
        thread.start()
        try:
            eventually(lambda: broker.depth() > 0, "the other one is swept")
        finally:
            stop.set()
            thread.join()


def _loading(query: object) -> None:
    raise Unavailable("index_loading")


def test_planted_pictures_come_back_as_they_were() -> None:
    encodings = np.random.default_rng(1).normal(size=(3, 128)).astype(np.float32)
    picture = decode(planted_picture(encodings), 10**6)
    found = PlantedEncoder().find(picture.pixels, 2)
    assert found.total == 3
    assert (found.crops == encodings[:2]).all()
