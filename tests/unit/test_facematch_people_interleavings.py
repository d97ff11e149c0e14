"""People under submissions, erasures, corrections, reindexes, crashes and lost tails: when all has
ended they are those that all faces grouped anew come to."""

from collections.abc import Callable, Iterator
from typing import TypeAlias

import interleaving
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from worlds import World

from facematch import face_graph, regrouping
from facematch.memory_store import MemoryStore
from facematch.redis_connection import connect
from facematch.redis_people import RedisPeople
from facematch.redis_reindexing import RedisReindexing
from facematch.redis_store import RedisStore

History: TypeAlias = list[tuple[Callable[[World, int], None], int]]

ACTIONS = (
    *(World.submit, World.submit, World.deliver, World.deliver, World.deliver),
    *(World.work, World.work, World.work, World.work, World.erase, World.crash),
    *(World.group, World.group, World.group, World.group, World.correct, World.correct),
    World.reindex,
)
LOSSES = (World.remember, World.lose_the_tail)


@pytest.fixture(autouse=True)
def _stepped(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(face_graph, "_PORTION", 1)
    monkeypatch.setattr(regrouping, "_CHUNK", 1)
    monkeypatch.setattr(regrouping, "_TOGETHER", 1)
    monkeypatch.setattr(regrouping, "MOST_PAIRS", 4)
    interleaving.install()
    yield
    interleaving.remove()


def histories(*actions: Callable[[World, int], None]) -> st.SearchStrategy[History]:
    steps = st.tuples(st.sampled_from(actions), st.integers(0, 1000))
    return st.lists(steps, min_size=30, max_size=120)


quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


def live_through(history: History, world: World) -> None:
    for action, number in history:
        action(world, number)
    world.settle()
    world.finish_groups()
    world.check()
    world.check_groups()


@settings(max_examples=60, deadline=None, suppress_health_check=quiet)
@given(histories(*ACTIONS, *LOSSES))
def test_any_history_ends_in_the_people_that_there_are(history: History) -> None:
    live_through(history, World(MemoryStore()))


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[*quiet, HealthCheck.function_scoped_fixture],
)
@given(history=histories(*ACTIONS))
def test_any_history_in_redis(redis_url: str, history: History) -> None:
    client = connect(redis_url)
    client.flushall()
    world = World(RedisStore(client), RedisReindexing(client), RedisPeople(client))
    live_through(history, world)
    client.close()
