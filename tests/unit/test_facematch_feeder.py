"""Feeding generations from the log, against histories that a store can really have.

Whatever order and moment things happen in, an answer must have every live face: `told` asks as a
worker does.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Event
from typing import Any, cast

import numpy as np
import pytest
from histories import THRESHOLD, Switch, add, erase, running
from indexes import FACE, FOREVER, ask, new_store, switchable
from waiting import eventually
from worlds import REPLICATED

from facematch import failpoints, feeder, generation_search
from facematch.errors import Unavailable
from facematch.faces import face_ids, positions_of
from facematch.feeder import Feeder
from facematch.generation_loading import Loader
from facematch.generation_search import GenerationSearch
from facematch.generations import Generations, current
from facematch.log import Tail
from facematch.memory_generations import MemoryGenerations
from facematch.memory_store import MemoryStore
from facematch.store import Store
from facematch.wire import Query


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(generation_search, "_PAUSE", 0.0)
    yield
    failpoints.set_hook(None)


def shared() -> tuple[MemoryGenerations, Switch, Generations]:
    """The same thing three times: as it is, as what a test works, as what a feeder takes."""
    generations = MemoryGenerations()
    switch = Switch(cast(Store, generations))
    return generations, switch, cast(Generations, switch)


def feed(store: Store, generations: Generations) -> None:
    """A feeder that knows nothing yet works until there is nothing more to do."""
    one = Feeder(store, generations)
    while not one.step(Event()):
        pass


def fed(*names: str, log_keep: int = 100_000) -> tuple[MemoryStore, MemoryGenerations]:
    store, generations = new_store(*names, log_keep=log_keep), MemoryGenerations()
    feed(store, generations)
    return store, generations


def told(store: Store, generations: Generations) -> list[int]:
    """The positions a worker finds; Unavailable when it does not take the answer."""
    answer = GenerationSearch(generations).within(Query(FACE, THRESHOLD, FOREVER))
    log = store.log(answer.tail.position, 1000)
    if log.start != answer.tail:
        raise Unavailable("index_diverged")
    found = set(positions_of(answer.faces))
    found |= {entry.position for entry in log.entries if entry.op == "add"}
    found -= {entry.target for entry in log.entries if entry.op == "del"}
    return sorted(found)


def held(generations: Generations) -> list[int]:
    name = current(generations.places())[-1].generation
    ids = [np.empty(0, dtype=np.int64), *generations.held(name)]
    return positions_of(np.concatenate(ids))


def replica(store: MemoryStore) -> Callable[[], None]:
    """From here on the store may lose all it takes: what is returned makes it."""
    state = copy.deepcopy({name: vars(store)[name] for name in REPLICATED})
    return lambda: vars(store).update(state)


def places(generations: Generations) -> list[tuple[int, int]]:
    return [(place.tail.position, place.done.position) for place in generations.places()]


class Killed(Exception):
    """The feeder died here."""


def killed_at(name: str, store: Store, generations: Generations) -> None:
    def kill(reached: str) -> None:
        if reached == name:
            raise Killed

    failpoints.set_hook(kill)
    with pytest.raises(Killed):
        feed(store, generations)
    failpoints.set_hook(None)


def test_an_erasure_that_is_still_there_does_not_hide_one_that_is_lost() -> None:
    store, generations = new_store("a", "b", "c"), MemoryGenerations()
    switch, switched = switchable(store)
    lose: list[Callable[[], None]] = []

    def grow() -> None:
        add(store, "d", FACE)
        erase(store, "d")
        lose.append(replica(store))
        erase(store, "b")

    switch.before["live"] = grow
    switch.after["faces"] = lambda: switch.after.update(log=lambda: lose[0]())
    with pytest.raises(Unavailable, match="log"):
        feed(switched, generations)
    feed(store, generations)
    assert told(store, generations) == [1, 2, 3]


def test_it_loads_what_is_there_and_follows_what_comes() -> None:
    store = new_store("a", "b", "c")
    erase(store, "b")
    generations = MemoryGenerations()
    with pytest.raises(Unavailable) as raised:
        told(store, generations)
    assert raised.value.code == "index_loading"
    with running(Feeder(store, generations).run):
        search = GenerationSearch(generations)
        assert positions_of(ask(search, store).faces) == [1, 3]
        for number in range(2500):
            add(store, str(number), FACE)
        erase(store, "a")
        assert positions_of(ask(search, store).faces) == [3, *range(5, 2505)]
    assert held(generations) == [3, *range(5, 2505)]
    assert places(generations) == [(2505, 2505)]


@pytest.mark.parametrize("point", ["after_faces", "before_place", "after_place", "after_removal"])
def test_what_one_that_died_left_half_done_the_next_one_does(point: str) -> None:
    store, generations = fed("a", "b", "c")
    add(store, "d", FACE)
    erase(store, "b")
    killed_at(point, store, generations)
    assert set(told(store, generations)) >= {1, 3, 4}
    erase(store, "a")
    feed(store, generations)
    assert held(generations) == told(store, generations) == [3, 4]
    assert places(generations) == [(6, 6)]


def test_an_erased_person_does_not_stay_because_a_slow_feeder_came_back() -> None:
    store, generations = fed("a")
    _, switch, slow = shared()
    switch.store = cast(Store, generations)
    add(store, "b", FACE)

    def overtake() -> None:
        feed(store, generations)
        erase(store, "b")
        feed(store, generations)
        assert held(generations) == [1]

    switch.before["add"] = overtake
    Feeder(store, slow).step(Event())
    feed(store, generations)
    assert held(generations) == [1]
    assert places(generations) == [(3, 3)]


def test_deletions_that_a_search_saw_are_claimed_by_what_is_read_after_it() -> None:
    store, generations = fed("a", "b", "c")
    _, switch, asked = shared()
    switch.store = cast(Store, generations)
    lose = replica(store)

    def delete() -> None:
        erase(store, "b")
        feed(store, generations)

    switch.before["search"] = delete
    switch.after["search"] = lose
    with pytest.raises(Unavailable) as raised:
        told(store, asked)
    assert raised.value.code == "index_diverged"
    feed(store, generations)
    assert told(store, generations) == [1, 2, 3]


def test_however_fast_deletions_come_an_answer_is_given() -> None:
    store, generations = fed("a", "b", "c")
    _, switch, asked = shared()
    switch.store = cast(Store, generations)
    added = []

    def go_on() -> None:
        added.append(add(store, f"new {len(added)}", FACE))
        added.append(add(store, f"new {len(added)}", FACE))
        store.erase(store.snapshot().positions[added[-1]])
        feed(store, generations)
        switch.before["search"] = go_on

    switch.before["search"] = go_on
    found = told(store, asked)
    assert set(found) >= store.snapshot().positions.keys()


def test_what_comes_during_a_search_for_pairs_is_told_of_every_encoding() -> None:
    store, generations = fed("a", "b", "c")
    _, switch, asked = shared()
    switch.store = cast(Store, generations)
    other, added = np.full_like(FACE, 2.0), []

    def go_on() -> None:
        added.append(add(store, f"new {len(added)}", FACE))
        added.append(add(store, f"new {len(added)}", FACE))
        store.erase(store.snapshot().positions[added[-1]])
        feed(store, generations)
        switch.before["search"] = go_on

    switch.before["search"] = go_on
    query = Query(np.concatenate([FACE, other, FACE]), THRESHOLD, FOREVER)
    answer = GenerationSearch(asked).pairs(query)
    assert store.log(answer.tail.position, 0).start == answer.tail
    alive = {face_ids(position, 1)[0] for position in store.snapshot().positions}
    found = [answer.faces[answer.numbers == number].tolist() for number in range(3)]
    assert all(len(set(each)) == len(each) for each in found)
    assert found[0] == found[2]
    assert alive <= set(found[0])
    # Of the last round: the search for the other one finds nothing by itself.
    assert {added[-1] * 256, added[-2] * 256} <= set(found[1])
    assert len(found[1]) == answer.tail.position - added[-2] + 1
    early = GenerationSearch(asked).pairs(Query(query.encodings, THRESHOLD, 3))
    assert set(early.faces.tolist()) <= {256, 2 * 256}


def test_places_of_two_histories_are_no_answer() -> None:
    store, generations = fed("a", "b", "c")
    (ours,) = generations.places()
    _, switch, asked = shared()
    switch.store = cast(Store, generations)
    add(store, "d", FACE)
    add(store, "e", FACE)
    erase(store, "e")

    def fork() -> None:
        feed(store, generations)
        lost = Tail(5, "f" * 40)
        generations.add_place(replace(ours, tail=lost, erased=lost, since=ours.tail))
        generations.remove(ours.generation, [1])

    switch.before["search"] = fork
    with pytest.raises(Unavailable) as raised:
        told(store, asked)
    assert raised.value.code == "index_behind"
    feed(store, generations)
    assert told(store, generations) == [1, 2, 3, 4]


@pytest.mark.parametrize("grown", [0, 1, 3])
def test_after_a_failover_a_new_generation_takes_the_place_of_the_old(grown: int) -> None:
    store, generations = fed("a", "b", "c")
    (old,) = generations.names()
    lose = replica(store)
    add(store, "lost", FACE)
    erase(store, "b")
    feed(store, generations)
    lose()
    for number in range(grown):
        add(store, str(number), FACE)
    with pytest.raises(Unavailable) as raised:
        told(store, generations)
    assert raised.value.code == "index_diverged"
    feed(store, generations)
    assert told(store, generations) == held(generations) == [1, 2, 3, 4, 5, 6][: 3 + grown]
    assert len(generations.names()) == 1
    assert generations.names() != [old]


def test_what_a_feeder_of_a_lost_history_writes_harms_nobody() -> None:
    store, generations = fed("a", "b", "c")
    _, switch, slow = shared()
    switch.store = cast(Store, generations)
    lose = replica(store)
    add(store, "lost", -FACE)
    erase(store, "b")

    def fail_over() -> None:
        lose()
        add(store, "d", FACE)
        feed(store, generations)
        assert told(store, generations) == [1, 2, 3, 4]

    switch.before["add"] = fail_over
    Feeder(store, slow).step(Event())
    with pytest.raises(Unavailable):
        told(store, generations)
    feed(store, generations)
    assert told(store, generations) == held(generations) == [1, 2, 3, 4]


def test_a_face_of_a_lost_history_does_not_replace_the_one_of_the_same_position() -> None:
    store, generations = fed("a")
    _, switch, slow = shared()
    switch.store = cast(Store, generations)
    lose = replica(store)
    add(store, "lost", -FACE)

    def fail_over() -> None:
        lose()
        add(store, "b", FACE)
        feed(store, generations)

    def die() -> None:
        raise Killed

    switch.before["add"] = fail_over
    switch.before["add_place"] = die
    with pytest.raises(Killed):
        feed(store, slow)
    assert told(store, generations) == [1, 2]


@pytest.mark.parametrize("grown", [0, 1, 2])
@pytest.mark.parametrize("moment", ["load", "follow"])
def test_an_erasure_seen_while_reading_faces_and_then_lost(moment: str, grown: int) -> None:
    store, generations = fed("a", "b")
    switch, switched = switchable(store)
    if moment == "load":
        generations = MemoryGenerations()
    add(store, "c", FACE)
    lose = replica(store)

    def lose_it() -> None:
        lose()
        for number in range(grown):
            add(store, str(number), FACE)

    switch.before["faces"] = lambda: erase(store, "c")
    switch.after["faces"] = lambda: switch.after.update(log=lose_it)
    with pytest.raises(Unavailable, match=r"the log|another history"):
        feed(switched, generations)
    feed(switched, generations)
    assert told(store, generations) == [1, 2, 3, 4, 5][: 3 + grown]


def test_a_trimmed_log_is_loaded_anew() -> None:
    store, generations = fed("a", log_keep=3)
    for number in range(20):
        add(store, str(number), FACE)
    erase(store, "4")
    (before,) = generations.names()
    feed(store, generations)
    assert generations.names() != [before]
    assert told(store, generations) == [*range(1, 6), *range(7, 22)]


def test_a_log_trimmed_long_after_the_last_deletion_is_no_reason() -> None:
    store, generations = fed("a", "b", log_keep=3)
    erase(store, "a")
    before = generations.names()
    for number in range(20):
        feed(store, generations)
        add(store, str(number), FACE)
    feed(store, generations)
    assert generations.names() == before


def test_another_creation_of_the_collection_is_loaded_anew() -> None:
    _, generations = fed("a", "b")
    store = new_store("c")
    feed(store, generations)
    assert told(store, generations) == held(generations) == [1]


def test_a_generation_that_somebody_dropped_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    store, generations = fed("a")
    for name in generations.names():
        generations.drop(name)
    feed(store, generations)
    assert told(store, generations) == [1]


def test_a_place_that_was_added_although_nobody_heard_of_it_costs_no_generation() -> None:
    store, generations = fed("a", "b")
    (old,) = generations.names()
    _, switch, cut_off = shared()
    switch.store = cast(Store, generations)

    def no_answer() -> None:
        raise Unavailable("index_unavailable", "no answer")

    switch.after["add_place"] = no_answer
    with pytest.raises(Unavailable, match="no answer"):
        Loader(store, cut_off).rebuild(Event(), lambda *_: None)
    assert generations.names() == [old]
    feed(store, generations)
    assert told(store, generations) == [1, 2]
    assert generations.names() == [old]


def test_a_rebuild_leaves_the_old_one_in_use_until_the_new_one_is_there() -> None:
    store, generations = fed("a", "b")
    (old,) = generations.names()
    seen: list[list[int]] = []

    def look(loaded: int, images: int) -> None:
        feed(store, generations)
        assert (old in generations.names(), images) == (True, 2)
        seen.append(told(store, generations))

    new = Loader(store, generations).rebuild(Event(), look)
    assert new != old
    assert seen == [[1, 2]] * 2
    assert generations.names() == [new]
    assert told(store, generations) == [1, 2]


def test_what_was_loading_when_its_feeder_died_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    store, generations = new_store("a"), MemoryGenerations()
    left = generations.create(store.collection().epoch)
    generations.add(left, face_ids(9, 1), FACE, [""])
    feed(store, generations)
    assert left not in generations.names()


def test_a_stop_while_loading_leaves_nothing() -> None:
    store, generations = new_store(*map(str, range(1500))), MemoryGenerations()
    stop = Event()
    assert Loader(store, generations).rebuild(stop, lambda *_: stop.set()) is None
    assert generations.names() == generations.places() == []


def test_of_several_that_run_one_feeds_and_another_goes_on_when_it_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feeder, "_STANDBY_SECONDS", 0.02)
    store = new_store("a")
    made: list[Switch] = []

    def another(generations: MemoryGenerations) -> Feeder:
        made.append(Switch(cast(Store, generations)))
        return Feeder(store, cast(Generations, made[-1]))

    generations = MemoryGenerations()
    search = GenerationSearch(generations)
    with running(another(generations).run):
        ask(search, store)
        with running(another(generations).run):
            add(store, "b", FACE)
            ask(search, store)
            assert made[1].calls == {}
    with running(another(generations).run):
        add(store, "c", FACE)
        assert positions_of(ask(search, store).faces) == [1, 2, 3]


def test_one_whose_database_is_away_lets_others_and_comes_back() -> None:
    store = new_store("a")
    generations, switch, taken = shared()
    switch.down = True
    with running(Feeder(store, taken).run):
        eventually(lambda: switch.calls.get("places", 0) > 1, "it has tried")
        eventually(lambda: store.lease(feeder.LEASE, "another", 0.01), "it lets others")
        switch.down = False
        assert positions_of(ask(GenerationSearch(generations), store).faces) == [1]


@pytest.mark.parametrize("most", [257, 300, 1000])
def test_more_neighbours_than_one_answer_holds_are_all_found(most: int) -> None:
    store, generations = fed(*map(str, range(900)))
    add(store, "many", np.repeat(FACE, 256, axis=0))
    feed(store, generations)
    queries: list[Any] = []
    search = generations.search
    generations.search = lambda *args: queries.append(args) or search(*args)  # type: ignore
    answer = GenerationSearch(generations, most).within(Query(FACE, THRESHOLD, 850))
    assert positions_of(answer.faces) == list(range(1, 850))
    answer = GenerationSearch(generations, most).within(Query(FACE, THRESHOLD, FOREVER))
    assert len(answer.faces) == 900 + 256
    assert max(args[-1] for args in queries) <= most
