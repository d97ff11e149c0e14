"""Several collections within one budget: loaded when used, dropped when idle, refused when full."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from histories import THRESHOLD, Switch, add
from indexes import FACE, FOREVER, new_store, switchable
from planted import people
from waiting import eventually

from facematch.errors import NotFound, Unavailable
from facematch.faces import positions_of
from facematch.memory_store import MemoryStore
from facematch.store import Store
from facematch.wire import Query
from index import codes
from index.budget import Budget
from index.collections import Collections
from index.engine import BASE_BYTES
from index.flat import FACE_BYTES
from index.metrics import Metrics

IDLE = 0.3


@pytest.fixture(autouse=True)
def _idle_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a load takes here: the first one may have something to compile."""
    monkeypatch.setattr("index.room.RESTS", 0.0)


class Shelf:
    """Collections of the stores by name; a name without one is that of no collection."""

    def __init__(self, stores: dict[str, Store], limit: int = 0, idle: float = IDLE) -> None:
        self.stores = stores
        self.opened: list[str] = []
        self.metrics = Metrics()
        self.budget = Budget(limit)
        self.collections = Collections(self._open, self.budget, self.metrics, least_idle=idle)

    def _open(self, name: str) -> Store:
        self.opened.append(name)
        return self.stores.get(name, MemoryStore())

    def ask(self, name: str) -> list[int]:
        """The positions of the candidates for FACE."""
        query = Query(FACE, THRESHOLD, FOREVER)
        return positions_of(self.collections.within(name, query).faces)

    def answers(self, name: str) -> bool:
        """Ask once; whether there was an answer."""
        try:
            self.ask(name)
        except Unavailable:
            return False
        return True

    def code(self, name: str) -> str:
        """What it is refused with; "" for an answer."""
        try:
            self.ask(name)
        except Unavailable as error:
            return error.code
        return ""

    def loaded(self, name: str) -> list[int]:
        """Ask until there is an answer."""
        eventually(lambda: self.answers(name), f"{name} answers")
        return self.ask(name)

    def rest(self) -> None:
        """Let all of them become idle."""
        time.sleep(IDLE + 0.1)

    def told(self, name: str, **labels: str) -> float:
        """The value of a metric; 0 where there is none."""
        return self.metrics.value(f"facematch_index_{name}", **labels) or 0.0


@contextmanager
def shelf_of(stores: dict[str, Store], limit: int = 0, idle: float = IDLE) -> Iterator[Shelf]:
    shelf = Shelf(stores, limit, idle)
    try:
        yield shelf
    finally:
        shelf.collections.stop(10)
        # Whatever happened, nothing is taken any more.
        assert shelf.budget.used == 0


def room_for(*faces: int) -> int:
    """Memory for collections of so many faces of another kind than dlib's."""
    return sum(BASE_BYTES + count * FACE_BYTES for count in faces)


def test_each_is_loaded_on_first_use_and_answers_for_itself() -> None:
    stores: dict[str, Store] = {"default": new_store("a", "b"), "other": new_store("c")}
    with shelf_of(stores) as shelf:
        shelf.collections.start("default")
        assert list(shelf.collections.held()) == ["default"]
        assert shelf.loaded("default") == [1, 2]
        assert shelf.code("other") in ("index_loading", "")  # it may be there already
        assert shelf.loaded("other") == [1]
        add(stores["other"], "d", FACE)
        eventually(lambda: shelf.ask("other") == [1, 2], "what comes is followed")
        assert list(shelf.collections.held()) == ["default", "other"]
        assert shelf.opened.count("default") == 1
        assert shelf.told("loads_total", collection="other") == 1
        assert shelf.told("faces", collection="other") == 2


def test_a_name_of_no_collection_leaves_nothing_behind() -> None:
    with shelf_of({"default": new_store()}) as shelf:
        before = set(threading.enumerate())
        for name in ("none", "x" * 63):
            for ask in (shelf.ask, shelf.collections.status):
                with pytest.raises(Unavailable) as raised:
                    ask(name)
                assert raised.value.code == "no_collection"
        for name in ("", "X", "a/b", "x" * 64, "_a", "a b", "ä", "a\n"):
            for ask in (shelf.ask, shelf.collections.status):
                with pytest.raises(ValueError, match="name"):
                    ask(name)
        assert shelf.collections.held() == {}
        assert set(threading.enumerate()) <= before
        assert b'collection="' not in shelf.metrics.encode()


def test_while_the_store_is_away_no_collection_is_called_unknown() -> None:
    switch, store = switchable(new_store("a"))
    switch.down = True
    with shelf_of({"other": store}) as shelf:
        assert shelf.code("other") == "store_unavailable"
        switch.down = False
        assert shelf.loaded("other") == [1]


def test_the_default_collection_is_waited_for() -> None:
    store = MemoryStore()
    with shelf_of({"default": store}) as shelf:
        assert shelf.code("default") == "index_loading"
        store.create("planted", THRESHOLD)
        assert shelf.loaded("default") == []


def test_an_edition_is_loaded_once_it_is_served_and_dropped_when_it_was_given_up() -> None:
    stores: dict[str, Store] = {"default": new_store("a", "b"), "default~1": new_store("c")}
    stores["other"] = new_store("d")
    with shelf_of(stores) as shelf:
        shelf.collections.start("default")
        shelf.loaded("other")
        # Which there are is waited for, as the collection itself is.
        assert shelf.code("default~1") == "index_loading"
        with pytest.raises(Unavailable, match="not known yet"):
            shelf.collections.status("default~1")
        assert shelf.loaded("default") == [1, 2]

        shelf.collections.keep(["default", "default~1"])
        assert shelf.collections.served == "default"
        assert "default~1" not in shelf.collections.held()
        shelf.collections.keep(["default~1", "default"])
        assert shelf.collections.served == "default~1"
        eventually(lambda: shelf.collections.status("default~1")[1].ready, "nobody has to ask")
        assert shelf.ask("default~1") == [1]
        assert shelf.ask("default") == [1, 2]

        del stores["default"]
        shelf.collections.keep(["default~1"])
        assert list(shelf.collections.held()) == ["default~1", "other"]
        assert shelf.code("default") == "no_collection"
        assert shelf.ask("default~1") == [1]


def test_an_edition_that_was_given_up_is_dropped_once_its_queries_have_been_answered() -> None:
    stores: dict[str, Store] = {"default": new_store("a"), "default~1": new_store("b")}
    with shelf_of(stores) as shelf:
        shelf.collections.keep(["default", "default~1"])
        with shelf.collections._in_use("default"):
            shelf.collections.keep(["default~1"])
            assert "default" in shelf.collections.held()
        shelf.collections.keep(["default~1"])
        assert list(shelf.collections.held()) == ["default~1"]


def test_an_edition_that_made_room_for_another_collection_is_not_loaded_again_unasked() -> None:
    stores: dict[str, Store] = {"default": new_store("a", "b"), "other": new_store("c", "d", "e")}
    with shelf_of(stores, room_for(4)) as shelf:
        shelf.loaded("default")
        shelf.rest()
        shelf.loaded("other")
        shelf.collections.keep(["default"])
        assert list(shelf.collections.held()) == ["other"]


def test_an_idle_one_is_dropped_for_another_and_loaded_again_when_it_is_used() -> None:
    stores: dict[str, Store] = {"default": new_store("a", "b"), "other": new_store("c", "d", "e")}
    with shelf_of(stores, room_for(4)) as shelf:
        assert shelf.loaded("default") == [1, 2]
        shelf.rest()
        for _ in range(2):
            assert shelf.loaded("other") == [1, 2, 3]
            assert list(shelf.collections.held()) == ["other"]
            assert shelf.budget.used == room_for(3)
            ready, status = shelf.collections.status("default")
            assert (ready, status.ready) == (True, False)
            assert "not loaded" in status.reason
            add(stores["default"], f"more {time.monotonic()}", FACE)
            shelf.rest()
            assert shelf.loaded("default")[:3] == [1, 2, 3]
            shelf.rest()
        assert shelf.told("drops_total", collection="default") == 2
        assert shelf.told("loads_total", collection="default") == 3


def test_one_that_was_just_used_is_not_dropped_and_the_other_is_told_that_it_is_full() -> None:
    stores: dict[str, Store] = {"default": new_store("a", "b"), "other": new_store("c", "d", "e")}
    with shelf_of(stores, room_for(4), idle=60) as shelf:
        assert shelf.loaded("default") == [1, 2]
        eventually(lambda: shelf.code("other") == "index_full", "it says so")
        assert shelf.ask("default") == [1, 2]
        add(stores["default"], "f", FACE)
        eventually(lambda: shelf.ask("default") == [1, 2, 3], "it goes on")
        assert shelf.told("full", collection="other") == 1
        assert shelf.told("full", collection="default") == 0
        assert shelf.told("refusals_total", collection="other", code="index_full") >= 1
        assert shelf.told("drops_total", collection="default") == 0


def test_none_is_dropped_where_that_would_not_be_enough() -> None:
    stores: dict[str, Store] = {
        "default": new_store("a"),
        "idle": new_store("b"),
        "large": new_store(),
    }
    for number in range(300):
        add(stores["large"], str(number), np.repeat(FACE, 250, axis=0))
    # Also where each were of the kind that takes least.
    assert room_for(1, 1) < BASE_BYTES + 300 * 250 * codes.FACE_BYTES
    with shelf_of(stores, room_for(1, 1)) as shelf:
        shelf.loaded("default")
        shelf.loaded("idle")
        shelf.rest()
        eventually(lambda: shelf.code("large") == "index_full", "it says so")
        time.sleep(0.5)
        assert {"default", "idle"} <= set(shelf.collections.held())
        assert shelf.told("drops_total", collection="idle") == 0


def test_the_one_idle_for_longest_goes_first() -> None:
    stores: dict[str, Store] = {name: new_store(name) for name in "abcd"}
    with shelf_of(stores, room_for(1, 1, 1)) as shelf:
        for name in "abc":
            shelf.loaded(name)
        shelf.ask("a")
        shelf.rest()
        shelf.loaded("d")
        assert list(shelf.collections.held()) == ["a", "c", "d"]


def test_one_without_any_face_is_dropped_like_any_other() -> None:
    stores: dict[str, Store] = {"default": new_store(), "other": new_store("a")}
    with shelf_of(stores, room_for(1)) as shelf:
        assert shelf.loaded("default") == []
        shelf.rest()
        assert shelf.loaded("other") == [1]
        assert list(shelf.collections.held()) == ["other"]


def test_room_that_an_entry_needs_is_made_too() -> None:
    stores: dict[str, Store] = {"default": new_store("a"), "other": new_store("b")}
    with shelf_of(stores, room_for(1, 1)) as shelf:
        shelf.loaded("other")
        shelf.loaded("default")
        shelf.rest()
        shelf.ask("default")
        add(stores["default"], "c", np.repeat(FACE, 3, axis=0))
        eventually(lambda: shelf.ask("default") == [1, 2], "it goes on")
        assert list(shelf.collections.held()) == ["default"]


def test_two_that_do_not_fit_beside_each_other_take_turns_and_are_never_wrong() -> None:
    faces = people(np.random.default_rng(1), 2)
    stores: dict[str, Store] = {}
    for name, face in zip(("default", "other"), faces, strict=True):
        stores[name] = new_store()
        add(stores[name], name, np.stack([face] * 5))
    wrong: list[object] = []
    answered = dict.fromkeys(stores, 0)
    done = threading.Event()
    with shelf_of(stores, room_for(5), idle=0.0) as shelf:

        def work(name: str, number: int) -> Callable[[], None]:
            def ask() -> None:
                while not done.is_set():
                    try:
                        query = Query(faces[number : number + 1], THRESHOLD, FOREVER)
                        found = len(shelf.collections.within(name, query).faces)
                    except Unavailable as error:
                        if error.code not in ("index_loading", "index_full"):
                            wrong.append(error)
                        time.sleep(0.01)
                        continue
                    answered[name] += 1
                    if found != 5:
                        wrong.append(found)
                    time.sleep(0.3)

            return ask

        threads = [
            threading.Thread(target=work(name, number)) for number, name in enumerate(stores)
        ]
        for thread in threads:
            thread.start()
        eventually(
            lambda: min(answered.values()) > 2 or wrong, "both have been answered", seconds=60
        )
        done.set()
        for thread in threads:
            thread.join()
    assert not wrong


def test_stopping_ends_all_of_them_even_in_the_middle_of_a_load() -> None:
    switch = Switch(new_store("a"))
    loading, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        loading.set()
        go_on.wait(10)

    switch.before["faces"] = hold
    before = set(threading.enumerate())
    with shelf_of({"default": switch, "other": new_store("b")}) as shelf:  # type: ignore[dict-item]
        shelf.loaded("other")
        shelf.collections.start("default")
        assert loading.wait(10)
        go_on.set()
    assert set(threading.enumerate()) <= before


def test_the_first_query_of_a_small_collection_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("index.collections._LOAD_SECONDS", 20.0)
    stores: dict[str, Store] = {"default": new_store(), "other": new_store("a")}
    with shelf_of(stores) as shelf:
        assert shelf.ask("other") == [1]


def test_one_that_was_erased_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    other = new_store("a")
    with shelf_of({"default": new_store(), "other": other}) as shelf:
        shelf.collections.start("default")
        shelf.loaded("other")

        def gone(*_: object) -> None:
            raise NotFound("unknown_collection")

        monkeypatch.setattr(other, "log", gone)
        monkeypatch.setattr(other, "collection", gone)
        held = shelf.collections.held
        eventually(lambda: not held()["other"][0].ready, "it is found out")
        assert shelf.code("other") == "index_loading"
        eventually(lambda: shelf.collections._held["other"].follower.gone, "it is known")
        shelf.collections.tidy()
        assert list(held()) == ["default"]
        assert shelf.code("other") == "no_collection"
        assert list(held()) == ["default"]


def test_of_too_many_those_used_least_lately_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.collections.MOST_HELD", 3)
    stores: dict[str, Store] = {name: new_store(name) for name in ("default", "a", "b", "c", "d")}
    with shelf_of(stores, idle=60) as shelf:
        shelf.collections.start("default")
        for name in ("a", "b", "c", "d"):
            shelf.loaded(name)
        shelf.loaded("a")
        shelf.collections.tidy()  # none has been idle for long
        assert len(shelf.collections.held()) == 5
        shelf.collections._least_idle = IDLE
        shelf.rest()
        shelf.collections.tidy()
        assert list(shelf.collections.held()) == ["a", "d", "default"]
        assert shelf.loaded("b") == [1]
