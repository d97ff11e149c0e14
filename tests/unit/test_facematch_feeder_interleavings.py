"""The protocol with an index in a vector database that several feeders write at once: a pause is
possible before each of their calls, a crash, too, and the store may lose its tail at any moment."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Event
from typing import Any, TypeAlias, cast

import interleaving
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from worlds import World

from facematch import generation_search
from facematch.faces import FaceIds, positions_of
from facematch.feeder import Feeder
from facematch.generation_search import GenerationSearch
from facematch.generations import Generations, current
from facematch.memory_generations import MemoryGenerations
from facematch.memory_store import MemoryStore
from facematch.store import Store


@pytest.fixture(autouse=True)
def _stepped(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(generation_search, "_PAUSE", 0.0)
    interleaving.install()
    yield
    interleaving.remove()


class Pausing:
    """Generations that stepped workers stop before each use of."""

    def __init__(self, generations: MemoryGenerations) -> None:
        self._generations = generations

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any) -> Any:
            interleaving.pause_at_failpoints(name)
            return getattr(self._generations, name)(*args)

        return call


class FedWorld(World):
    """A world whose workers ask one vector database, fed by whoever is told to."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.generations = MemoryGenerations()
        shared = cast(Generations, Pausing(self.generations))
        search = GenerationSearch(shared)
        self.parts = [replace(parts, neighbours=search) for parts in self.parts]
        self.indexes = []
        self._new_feeder = lambda: Feeder(store, shared)

    def feed(self, number: int) -> None:
        """Another feeder begins a step; it is one that knows nothing yet."""
        feeder = self._new_feeder()
        self.workers.append(interleaving.SteppedWorker(lambda: feeder.step(Event())))
        self.work(len(self.alive()) - 1, steps=number % 30)

    def feed_on(self, number: int) -> None:
        self.work(number, steps=number % 11)

    def settle(self) -> None:
        for worker in self.workers:
            worker.finish()
        feeder = self._new_feeder()
        while not feeder.step(Event()):
            pass
        super().settle()

    def check(self) -> None:
        super().check()
        feeder = self._new_feeder()
        while not feeder.step(Event()):
            pass
        places = current(self.generations.places())
        assert [place.tail for place in places] == [self.store.collection().tail]
        held: list[FaceIds] = list(self.generations.held(places[0].generation))
        live = [position for portion in self.store.live() for position in portion]
        assert set(live) <= set(positions_of(np.concatenate([np.empty(0, np.int64), *held])))


History: TypeAlias = list[tuple[Callable[[Any, int], None], int]]

ACTIONS = (
    *(FedWorld.submit, FedWorld.submit, FedWorld.deliver, FedWorld.deliver, FedWorld.deliver),
    *(FedWorld.work, FedWorld.work, FedWorld.work, FedWorld.feed_on, FedWorld.feed_on),
    *(FedWorld.feed, FedWorld.feed, FedWorld.feed, FedWorld.erase, FedWorld.erase),
    *(FedWorld.crash, FedWorld.look, FedWorld.remember, FedWorld.lose_the_tail),
)
quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


@settings(max_examples=300, deadline=None, suppress_health_check=quiet)
@given(
    st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 1000)), min_size=50, max_size=150)
)
def test_any_history_ends_in_the_true_match_sets(history: History) -> None:
    world = FedWorld(MemoryStore())
    for action, number in history:
        action(world, number)
    world.settle()
    world.check()
