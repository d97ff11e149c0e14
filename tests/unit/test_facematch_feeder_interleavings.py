"""The protocol with an index in a vector database that several feeders write at once: a pause is
possible before each of their calls, a crash, too, and the store may lose its tail at any moment."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Event
from typing import Any, TypeAlias, cast

import interleaving
import numpy as np
import pytest
from histories import THRESHOLD, add
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from indexes import FACE, FOREVER, new_store
from worlds import REPLICATED, World

from facematch import generation_search
from facematch.errors import Unavailable
from facematch.faces import FaceIds, positions_of
from facematch.feeder import Feeder
from facematch.generation_search import GenerationSearch
from facematch.generations import Generations, current
from facematch.memory_generations import MemoryGenerations
from facematch.memory_store import MemoryStore
from facematch.store import Store
from facematch.wire import Query


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


class Table:
    """A store of one face many times, feeders and who asks, each step of each for itself.

    Whatever the index answers, a worker that takes it must find every live image.
    """

    def __init__(self) -> None:
        self.store = new_store()
        self.generations = MemoryGenerations()
        self.shared = cast(Generations, Pausing(self.generations))
        self.stepped: list[interleaving.SteppedWorker] = []
        self.remembered: dict[str, Any] | None = None
        self.names = 0

    def add(self, number: int) -> None:
        for _ in range(1 + number % 2):
            self.names += 1
            add(self.store, f"{self.names}", FACE)

    def erase(self, number: int) -> None:
        if live := sorted(self.store.snapshot().positions.items()):
            self.store.erase(live[number % len(live)][1])

    def remember(self, number: int) -> None:
        del number
        state = {name: value for name, value in vars(self.store).items() if name in REPLICATED}
        self.remembered = copy.deepcopy(state)

    def lose_the_tail(self, number: int) -> None:
        del number
        if self.remembered is not None:
            vars(self.store).update(self.remembered)
            self.remembered = None

    def feed(self, number: int) -> None:
        feeder = Feeder(self.store, self.shared)
        self.begin(lambda: feeder.step(Event()), number)

    def ask(self, number: int) -> None:
        self.begin(self._ask, number)

    def begin(self, work: Callable[[], object], number: int) -> None:
        self.stepped.append(interleaving.SteppedWorker(work))
        self.go_on(-1, steps=number % 12 if number % 3 else 1000)

    def go_on(self, number: int, steps: int = 0) -> None:
        if alive := [worker for worker in self.stepped if worker.alive]:
            worker = alive[number % len(alive)]
            for _ in range(steps or 1 + number % 9):
                if worker.alive:
                    worker.step()

    def crash(self, number: int) -> None:
        if alive := [worker for worker in self.stepped if worker.alive]:
            alive[number % len(alive)].crash()

    def _ask(self) -> None:
        answer = GenerationSearch(self.shared).within(Query(FACE, THRESHOLD, FOREVER))
        log = self.store.log(answer.tail.position, 10_000)
        if log.start == answer.tail:  # else the worker takes it for diverged
            found = set(positions_of(answer.faces))
            found |= {entry.position for entry in log.entries if entry.op == "add"}
            found -= {entry.target for entry in log.entries if entry.op == "del"}
            assert found >= self.store.snapshot().positions.keys()

    def check(self) -> None:
        self.stepped = [worker for worker in self.stepped if worker.alive or worker.error]
        for worker in self.stepped:
            if not worker.alive:
                assert isinstance(worker.error, Unavailable), worker.error

    def settle(self) -> None:
        for worker in self.stepped:
            worker.finish()
        self.check()
        feeder = Feeder(self.store, self.generations)
        while not feeder.step(Event()):
            pass
        places = current(self.generations.places())
        assert [place.tail for place in places] == [self.store.collection().tail]
        self._ask()


ACTIONS = (
    *(FedWorld.submit, FedWorld.submit, FedWorld.deliver, FedWorld.deliver, FedWorld.deliver),
    *(FedWorld.work, FedWorld.work, FedWorld.work, FedWorld.feed_on, FedWorld.feed_on),
    *(FedWorld.feed, FedWorld.feed, FedWorld.feed, FedWorld.erase, FedWorld.erase),
    *(FedWorld.crash, FedWorld.look, FedWorld.remember, FedWorld.lose_the_tail),
)
TURNS = (
    *(Table.add, Table.add, Table.erase, Table.erase, Table.remember, Table.lose_the_tail),
    *(Table.feed, Table.feed, Table.feed, Table.ask, Table.ask, Table.crash),
    *(Table.go_on, Table.go_on, Table.go_on, Table.go_on, Table.go_on, Table.go_on),
)
quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


def turns(*actions: Callable[[Any, int], None]) -> st.SearchStrategy[History]:
    steps = st.tuples(st.sampled_from(actions), st.integers(0, 1000))
    return st.lists(steps, min_size=30, max_size=100)


@settings(max_examples=400, deadline=None, suppress_health_check=quiet)
@given(turns(*TURNS))
def test_whoever_asks_while_several_feed_and_the_store_loses_its_tail_is_told_of_all(
    history: History,
) -> None:
    table = Table()
    for action, number in history:
        action(table, number)
        table.check()
    table.settle()


@settings(max_examples=100, deadline=None, suppress_health_check=quiet)
@given(turns(*ACTIONS))
def test_any_history_ends_in_the_true_match_sets(history: History) -> None:
    world = FedWorld(MemoryStore())
    for action, number in history:
        action(world, number)
    world.settle()
    world.check()
