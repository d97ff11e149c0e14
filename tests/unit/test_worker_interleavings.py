"""The protocol against a model: submissions, erasures, crashes, redeliveries, lagging indexes
and a store that loses its tail, in any order that hypothesis can think of."""

import os
from collections.abc import Callable, Iterator
from typing import TypeAlias

import interleaving
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from worlds import World

from facematch.memory_store import MemoryStore
from facematch.redis_connection import connect
from facematch.redis_reindexing import RedisReindexing
from facematch.redis_store import RedisStore
from facematch.reindexing import Reindexing
from facematch.store import State, Store
from worker import ranges


@pytest.fixture(autouse=True)
def _stepped(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(ranges, "RANGE_CHUNK", 1)
    interleaving.install()
    yield
    interleaving.remove()


History: TypeAlias = list[tuple[Callable[[World, int], None], int]]

ACTIONS = (
    *(World.submit, World.submit, World.deliver, World.deliver, World.deliver),
    *(World.work, World.work, World.work, World.work, World.work),
    *(World.erase, World.erase, World.crash, World.freeze, World.look),
    *(World.reindex, World.reindex, World.reindex),
)
#: Only a store in memory can be made to lose its tail.
LOSSES = (World.remember, World.lose_the_tail)


def histories(*actions: Callable[[World, int], None]) -> st.SearchStrategy[History]:
    steps = st.tuples(st.sampled_from(actions), st.integers(0, 1000))
    return st.lists(steps, min_size=50, max_size=150)


quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


def live_through(history: History, store: Store, reindexing: Reindexing | None = None) -> None:
    world = World(store, reindexing)
    for action, number in history:
        action(world, number)
    world.settle()
    world.check()


@settings(max_examples=300, deadline=None, suppress_health_check=quiet)
@given(histories(*ACTIONS, *LOSSES))
def test_any_history_ends_in_the_true_match_sets(history: History) -> None:
    live_through(history, MemoryStore())


def test_any_history_ends_in_the_true_match_sets_on_redis(redis_url: str) -> None:
    client = connect(redis_url)

    @settings(max_examples=100, deadline=None, suppress_health_check=quiet)
    @given(histories(*ACTIONS))
    def on_redis(history: History) -> None:
        client.flushall()
        live_through(history, RedisStore(client), RedisReindexing(client))

    on_redis()
    client.close()


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_nothing_is_left_of_what_was_erased(capsys: pytest.CaptureFixture[str]) -> None:
    """10,000 histories, a fourth of each of which are erasures: `make erasing`."""
    counts = {"histories": 0, "erasures": 0}
    examples = int(os.environ.get("ERASING_HISTORIES", "10000"))

    @settings(max_examples=examples, deadline=None, suppress_health_check=quiet, database=None)
    @given(histories(*ACTIONS, *LOSSES, *((World.erase,) * 7)))
    def live(history: History) -> None:
        store = MemoryStore()
        world = World(store)
        for action, number in history:
            counts["erasures"] += action is World.erase and bool(world.live)
            action(world, number)
        world.settle()
        world.check()
        counts["histories"] += 1
        held = set(store.images_at(list(store._faces)).values())
        assert len(held) == len(store._faces)
        for image, record in store._images.items():
            if record.image.state is State.ERASED:
                assert image not in held
                assert not record.names
                assert store.matches(image, 10).matches == ()

    live()
    with capsys.disabled():
        print(f"{counts['histories']:,} histories with {counts['erasures']:,} erasures")
    assert counts["histories"] >= examples
