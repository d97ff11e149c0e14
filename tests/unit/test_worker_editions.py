"""A collection with editions against a model: submissions, erasures and crashes, workers of both
editions, reindexes to another encoder that are switched to, taken back and given up, and a store
that loses its tail, in any order that hypothesis can think of."""

from collections.abc import Callable, Iterator
from typing import TypeAlias

import interleaving
import pytest
from edition_checks import check, settle
from edition_services import Service, in_memory, on_redis
from edition_worlds import World
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facematch import redis_reencoding
from facematch.redis_connection import connect


@pytest.fixture(autouse=True)
def _stepped(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # Few enough that an edition is forgotten in several portions.
    monkeypatch.setattr(redis_reencoding, "_PORTION", 5)
    interleaving.install()
    yield
    interleaving.remove()


History: TypeAlias = list[tuple[Callable[[World, int], None], int]]

ACTIONS = (
    *(World.submit, World.submit, World.submit_url, World.submit_url, World.change),
    *(World.deliver, World.deliver, World.deliver, World.deliver, World.deliver, World.deliver),
    *(World.work, World.work, World.work, World.work, World.work, World.work),
    *(World.erase, World.erase, World.crash, World.freeze, World.look, World.sweep),
    *(World.unlink, World.unlink, World.catch_up, World.catch_up),
    *(World.reencode, World.reencode, World.drop_some),
    *(World.stand, World.carry, World.carry),
    *(World.retry, World.retry),
)
#: Only a store in memory can be made to lose its tail.
LOSSES = (World.remember, World.lose_the_tail)


def histories(*actions: Callable[[World, int], None]) -> st.SearchStrategy[History]:
    steps = st.tuples(st.sampled_from(actions), st.integers(0, 1000))
    return st.lists(steps, min_size=50, max_size=150)


quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


def live_through(history: History, service: Service) -> None:
    world = World(service)
    for action, number in history:
        action(world, number)
    settle(world)
    check(world)


@settings(max_examples=200, deadline=None, suppress_health_check=quiet)
@given(histories(*ACTIONS, *LOSSES))
def test_any_history_ends_in_the_true_match_sets_in_both_editions(history: History) -> None:
    live_through(history, in_memory())


def test_any_history_ends_in_the_true_match_sets_in_both_editions_on_redis(redis_url: str) -> None:
    client = connect(redis_url)

    @settings(max_examples=50, deadline=None, suppress_health_check=quiet)
    @given(histories(*ACTIONS))
    def on_a_server(history: History) -> None:
        client.flushall()
        live_through(history, on_redis(client))

    on_a_server()
    client.close()
