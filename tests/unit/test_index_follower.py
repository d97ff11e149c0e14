"""The follower and the loading, against histories of a log that a store can really have."""

import time
from collections.abc import Callable, Iterator
from threading import Event
from typing import cast

import numpy as np
import pytest
from histories import MODEL, THRESHOLD, add, erase, running
from indexes import FACE, FOREVER, caught_up, found, listed, new_store, switchable
from waiting import eventually

from facematch import failpoints
from facematch.encoding_model import encoding_model
from facematch.errors import Unavailable
from facematch.faces import Encodings, positions_of
from facematch.log import genesis
from facematch.memory_store import MemoryStore
from facematch.wire import Query
from index.budget import Budget
from index.engine import BASE_BYTES, Engine
from index.flat import FACE_BYTES
from index.follower import Follower

#: One where dlib's encodings lie.
DRAWN = encoding_model().draw(1, np.random.default_rng(1))


@pytest.fixture(autouse=True)
def _no_hook() -> Iterator[None]:
    yield
    failpoints.set_hook(None)


def test_it_loads_what_is_there_and_follows_what_comes() -> None:
    store = new_store("a", "b", "c")
    erase(store, "b")
    follower = Follower(store)
    with running(follower.run):
        caught_up(follower, store)
        assert found(follower) == [1, 3]
        add(store, "d", FACE)
        add(store, "far", -FACE)
        add(store, "e", np.repeat(FACE, 3, axis=0))
        erase(store, "a")
        caught_up(follower, store)
        answer = follower.within(Query(FACE, THRESHOLD, 7))
        assert positions_of(answer.faces) == [3, 5]
        assert answer.tail == store.collection().tail
        assert found(follower) == [3, 5, 7]
        assert follower.status().faces == 6


def test_an_image_is_found_within_a_moment_of_its_commit() -> None:
    store = new_store()
    follower = Follower(store)
    with running(follower.run):
        caught_up(follower, store)
        took = []
        for number in range(1, 6):
            began = time.monotonic()
            add(store, f"{number}", FACE)
            expected = list(range(1, number + 1))
            eventually(lambda: found(follower) == expected, "it is found")  # noqa: B023
            took.append(time.monotonic() - began)
        assert min(took) < 0.5  # a machine that others use stands still at times


def test_an_idle_follower_asks_the_store_a_few_dozen_times_a_second_at_most() -> None:
    switch, store = switchable(new_store("a"))
    follower = Follower(store)
    with running(follower.run):
        caught_up(follower, cast(MemoryStore, switch.store))
        switch.calls.clear()
        began = time.monotonic()
        Event().wait(1.0)
        eventually(lambda: switch.calls.get("log", 0) >= 5, "it asks")
        calls, lasted = switch.calls["log"], time.monotonic() - began
    assert switch.calls.keys() == {"log"}
    assert calls <= 25 * lasted


def test_many_portions_are_loaded_and_followed() -> None:
    store = new_store(*map(str, range(2300)))
    follower = Follower(store)
    with running(follower.run):
        caught_up(follower, store)
        assert (follower.status().loaded, follower.status().images) == (2300, 2300)
        for number in range(2300, 3400):
            add(store, str(number), FACE)
        caught_up(follower, store)
        assert found(follower) == list(range(1, 3401))


def test_until_it_has_loaded_every_query_is_told_so() -> None:
    switch, store = switchable(new_store("a"))
    loading, go_on = Event(), Event()

    def hold() -> None:
        loading.set()
        go_on.wait(10)

    switch.before["faces"] = hold
    follower = Follower(store)
    assert not follower.status().ready
    with running(follower.run):
        assert loading.wait(10)
        with pytest.raises(Unavailable, match="0 of 1 images") as raised:
            found(follower)
        assert raised.value.code == "index_loading"
        go_on.set()
        caught_up(follower, cast(MemoryStore, switch.store))


def test_it_waits_for_a_collection_that_nobody_has_created() -> None:
    store = MemoryStore()
    follower = Follower(store)
    with running(follower.run):
        eventually(lambda: "not created" in follower.status().reason, "the reason is given")
        assert not follower.status().ready
        store.create(MODEL, THRESHOLD)
        caught_up(follower, store)
        answer = follower.within(Query(FACE, THRESHOLD, FOREVER))
        assert len(answer.faces) == 0
        assert answer.tail == genesis(store.collection().epoch)


def test_it_goes_on_answering_while_the_store_is_away() -> None:
    memory = new_store("a")
    switch, store = switchable(memory)
    follower = Follower(store)
    with running(follower.run):
        caught_up(follower, memory)
        switch.down = True
        eventually(lambda: follower.status().reason == "switched off", "it noticed")
        assert follower.status().ready
        assert found(follower) == [1]
        add(memory, "b", FACE)
        switch.down = False
        caught_up(follower, memory)
        assert found(follower) == [1, 2]
        eventually(lambda: follower.status().reason == "")


def test_a_store_away_while_loading_delays_the_loading() -> None:
    memory = new_store("a")
    switch, store = switchable(memory)

    def go_away() -> None:
        switch.down = True

    switch.before["faces"] = go_away
    follower = Follower(store)
    with running(follower.run):
        eventually(lambda: follower.status().reason == "switched off", "it noticed")
        assert not follower.status().ready
        switch.down = False
        caught_up(follower, memory)


class TestOtherHistories:
    def check_follows_from(self, before: MemoryStore, after: MemoryStore) -> list[int]:
        """Follow one store, exchange it; what is found once the other one is reflected."""
        switch, store = switchable(before)
        follower = Follower(store)
        engines = [follower._engine]
        with running(follower.run):
            caught_up(follower, before)
            engines.append(follower._engine)
            switch.store = after
            caught_up(follower, after)
            assert follower._engine not in engines, "it went on with the old engine"
            return found(follower)

    def test_another_creation_of_the_collection_is_loaded_anew(self) -> None:
        assert self.check_follows_from(new_store("a", "b"), new_store("c")) == [1]

    def test_an_emptied_collection_is_loaded_anew(self) -> None:
        assert self.check_follows_from(new_store("a", "b"), new_store()) == []
        assert self.check_follows_from(new_store(), new_store()) == []

    def test_a_log_that_lost_its_end_is_loaded_anew(self) -> None:
        long = new_store("a", "b", "c")
        assert self.check_follows_from(long, new_store("a", "b", like=long)) == [1, 2]

    def test_a_log_that_lost_its_end_and_grew_past_it_is_loaded_anew(self) -> None:
        old = new_store("a", "b", "c")
        new = new_store("a", "b", like=old)
        add(new, "other", -FACE)
        add(new, "d", FACE)
        assert self.check_follows_from(old, new) == [1, 2, 4]

    def test_an_erasure_lost_with_the_end_of_the_log_is_undone_here_too(self) -> None:
        old = new_store("a", "b")
        new = new_store("a", "b", like=old)
        erase(old, "a")
        add(new, "c", FACE)
        assert self.check_follows_from(old, new) == [1, 2, 3]

    def test_while_it_loads_anew_it_answers_nothing(self) -> None:
        old, new = new_store("a"), new_store("b")
        switch, store = switchable(old)
        follower = Follower(store)
        with running(follower.run):
            caught_up(follower, old)
            loading, go_on = Event(), Event()

            def hold() -> None:
                loading.set()
                go_on.wait(10)

            switch.before["live"] = hold
            switch.store = new
            assert loading.wait(10)
            with pytest.raises(Unavailable):
                found(follower)
            assert follower.status().faces == 0
            go_on.set()
            caught_up(follower, new)


class TestTrimmedLogs:
    def check_after_absence(self, missed: int) -> tuple[bool, list[int]]:
        """Stop following a log that keeps 5 entries for so many entries: whether it then went
        on with the same engine, and what it found."""
        store = new_store("a", "b", log_keep=5)
        follower = Follower(store)
        with running(follower.run):
            caught_up(follower, store)
        engine = follower._engine
        erase(store, "a")
        for number in range(missed - 1):
            add(store, str(number), FACE)
        with running(follower.run):
            caught_up(follower, store)
            return follower._engine is engine, found(follower)

    def test_a_gap_is_noticed_and_the_collection_loaded_anew(self) -> None:
        assert self.check_after_absence(6) == (False, [2, 4, 5, 6, 7, 8])
        assert self.check_after_absence(40) == (False, [2, *range(4, 43)])

    def test_no_gap_is_seen_where_the_next_entry_is_still_there(self) -> None:
        assert self.check_after_absence(4) == (True, [2, 4, 5, 6])
        assert self.check_after_absence(5) == (True, [2, 4, 5, 6, 7])


@pytest.mark.parametrize("position", range(6))
def test_frozen_at_any_position_it_answers_for_that_position(position: int) -> None:
    store = new_store()
    frozen, go_on = Event(), Event()

    def freeze(name: str) -> None:
        if name == "before_apply" and follower.status().position == position:
            frozen.set()
            go_on.wait(10)

    follower = Follower(store)
    with running(follower.run):
        caught_up(follower, store)
        failpoints.set_hook(freeze)
        expected: list[list[int]] = [[], [1], [1, 2], [1, 2], [1, 2, 4], [2, 4], [2, 4, 6]]
        with store._lock:
            add(store, "a", FACE)
            add(store, "b", FACE)
            add(store, "far", -FACE)
            add(store, "c", FACE)
        if position < 4:
            assert frozen.wait(10)
        else:
            caught_up(follower, store)
        erase(store, "a")
        add(store, "d", FACE)
        assert frozen.wait(10)
        answer = follower.within(Query(FACE, THRESHOLD, FOREVER))
        assert answer.tail.position == position
        assert answer.tail == store.log(position, 0).start
        assert positions_of(answer.faces) == expected[position]
        go_on.set()
        caught_up(follower, store)
        assert found(follower) == expected[6]


def test_an_error_nobody_planned_for_costs_a_rebuild_and_no_answer_is_wrong() -> None:
    store = new_store("a")
    follower = Follower(store)
    with running(follower.run):
        caught_up(follower, store)
        failpoints.arm("after_apply:raise")
        add(store, "b", FACE)
        add(store, "c", FACE)
        caught_up(follower, store)
        assert found(follower) == [1, 2, 3]


def test_who_asks_while_it_begins_to_load_anew_is_not_told_that_it_is_ready() -> None:
    class ForgetsMeanwhile(Follower):
        """Asked to load anew, it begins between two looks of who asks how far it is."""

        @property
        def _progress(self) -> tuple[int, int]:
            if self._anew:
                self._forget()
            return self._told

        @_progress.setter
        def _progress(self, told: tuple[int, int]) -> None:
            self._told = told

    store = new_store("a")
    follower = ForgetsMeanwhile(store)
    with running(follower.run):
        caught_up(follower, store)
    follower.rebuild()
    assert not follower.status().ready


def test_a_failed_change_of_the_engine_is_never_answered_from() -> None:
    class Brittle(Engine):
        def add(self, ids: np.ndarray, encodings: Encodings) -> None:
            if len(self) == 1:
                raise MemoryError
            super().add(ids, encodings)

    engines = [Brittle(), Engine()]
    store = new_store("a")
    follower = Follower(store, new_engine=lambda budget: engines.pop(0))
    with running(follower.run):
        caught_up(follower, store)
        add(store, "b", FACE)
        caught_up(follower, store)
        assert found(follower) == [1, 2]
    assert engines == []


class TestPairs:
    """What takes long is done while entries are applied, and one place is right for the answer."""

    def meanwhile(self, act: Callable[[], None]) -> None:
        """Have this done once, when the next query for pairs has found a portion."""

        def hook(name: str) -> None:
            if name == "mid_pairs":
                failpoints.set_hook(None)
                act()

        failpoints.set_hook(hook)

    @pytest.mark.parametrize("face", [FACE, DRAWN], ids=["foreign", "drawn"])
    @pytest.mark.parametrize("before", [2, 4, 6, FOREVER])
    def test_what_came_and_went_meanwhile_is_reflected(self, face: Encodings, before: int) -> None:
        store = new_store()
        for name in "abc":
            add(store, name, face)
        follower = Follower(store)
        asked = np.concatenate([face, -face, face])

        def change() -> None:
            erase(store, "b")
            add(store, "d", face)
            add(store, "far", -face)
            caught_up(follower, store)

        with running(follower.run):
            caught_up(follower, store)
            self.meanwhile(change)
            answer = follower.pairs(Query(asked, 0.1, before))
            assert answer.tail == store.collection().tail
            there = {(0, 2 * 256), (2, 2 * 256)}  # at first, and gone in the end
            expected = {(n, at * 256) for n in (0, 2) for at in (1, 3, 5) if at < before}
            expected |= {(1, 6 * 256)} if before > 6 else set()
            assert set(listed(answer)) - there == expected

    def test_an_image_added_twice_is_told_once(self) -> None:
        store = new_store("a", "b")
        follower = Follower(store)

        def change() -> None:
            erase(store, "a")
            add(store, "a", FACE)
            caught_up(follower, store)

        with running(follower.run):
            caught_up(follower, store)
            self.meanwhile(change)
            found = listed(follower.pairs(Query(FACE, THRESHOLD, FOREVER)))
            assert len(set(found)) == len(found)
            assert {(0, 2 * 256), (0, 4 * 256)} <= set(found) <= {(0, n * 256) for n in (1, 2, 4)}

    def test_queries_are_answered_meanwhile(self) -> None:
        store = new_store("a", "b")
        follower = Follower(store)
        answers: list[list[int]] = []
        with running(follower.run):
            caught_up(follower, store)
            self.meanwhile(lambda: answers.append(found(follower)))
            assert len(follower.pairs(Query(FACE, THRESHOLD, FOREVER)).faces) == 2
        assert answers == [[1, 2]]

    def test_another_history_meanwhile_is_no_answer(self) -> None:
        long = new_store("a", "b", "c")
        other = new_store("a", like=long)
        add(other, "far", -FACE)
        add(other, "c", FACE)
        switch, store = switchable(long)
        follower = Follower(store)

        def fail_over() -> None:
            switch.store = other
            caught_up(follower, other)

        with running(follower.run):
            caught_up(follower, long)
            self.meanwhile(fail_over)
            with pytest.raises(Unavailable, match="meanwhile") as raised:
                follower.pairs(Query(FACE, THRESHOLD, FOREVER))
            assert raised.value.code == "index_loading"
            assert listed(follower.pairs(Query(FACE, THRESHOLD, FOREVER))) == [(0, 256), (0, 768)]

    def test_asked_to_load_anew_meanwhile_it_gives_no_answer(self) -> None:
        store = new_store("a")
        follower = Follower(store)
        with running(follower.run):
            caught_up(follower, store)
            self.meanwhile(follower.rebuild)
            with pytest.raises(Unavailable) as raised:
                follower.pairs(Query(FACE, THRESHOLD, FOREVER))
            assert raised.value.code == "index_loading"

    def test_until_it_has_loaded_there_is_no_answer(self) -> None:
        follower = Follower(new_store("a"))
        with pytest.raises(Unavailable) as raised:
            follower.pairs(Query(FACE, THRESHOLD, FOREVER))
        assert raised.value.code == "index_loading"


class TestMemory:
    def test_a_collection_that_is_too_large_is_not_loaded(self) -> None:
        budget = Budget(BASE_BYTES + 2000)
        follower = Follower(new_store(*map(str, range(10))), budget)
        with running(follower.run):
            eventually(lambda: f"{budget.limit:,}" in follower.status().reason, "it says why")
            status = follower.status()
            assert (status.ready, status.code) == (False, "index_full")
            with pytest.raises(Unavailable) as caught:
                follower.within(Query(FACE, THRESHOLD, FOREVER))
            assert caught.value.code == "index_full"
        assert budget.used == 0

    def test_when_it_is_full_it_answers_for_what_it_has_and_says_so(self) -> None:
        store = new_store("a", "b")
        budget = Budget(BASE_BYTES + 2000)
        follower = Follower(store, budget)
        with running(follower.run):
            caught_up(follower, store)
            place = follower.status().position
            with store._lock:  # so that it reads of both at once
                add(store, "many", np.repeat(FACE, 100, axis=0))
                add(store, "one more", FACE)
            eventually(lambda: f"of {budget.limit:,}" in follower.status().reason, "it says why")
            status = follower.status()
            assert (status.ready, status.position, status.code) == (True, place, "index_full")
            assert status.behind == 2
            assert found(follower) == [1, 2]

    @pytest.mark.parametrize("gone", ["a", "d"])
    def test_what_is_erased_while_it_is_full_makes_room_for_what_came_since(
        self, gone: str
    ) -> None:
        store = new_store("a", "b", "c")
        budget = Budget(BASE_BYTES + 3 * FACE_BYTES)
        follower = Follower(store, budget)
        with running(follower.run):
            caught_up(follower, store)
            add(store, "d", FACE)
            add(store, "e", FACE)
            eventually(lambda: follower.status().code == "index_full", "it is full")
            erase(store, "b")
            eventually(lambda: follower.status().behind == 3, "it sees that one was erased")
            assert found(follower) == [1, 2, 3]
            assert follower.status().ready
            erase(store, gone)
            caught_up(follower, store)
            assert found(follower) == {"a": [3, 4, 5], "d": [1, 3, 5]}[gone]
            eventually(lambda: follower.status().code == "", "it says nothing more")
            assert budget.used == budget.limit

    @pytest.mark.parametrize("asked", [False, True], ids=["by itself", "when it is asked to"])
    def test_while_it_loads_anew_what_is_left_it_is_not_full(
        self, asked: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = new_store("a", "b", "c")
        follower = Follower(store, Budget(BASE_BYTES + 3 * FACE_BYTES))
        forget, codes = follower._forget, []

        def forget_and_ask() -> None:
            forget()
            codes.append(follower.status().code)

        monkeypatch.setattr(follower, "_forget", forget_and_ask)
        with running(follower.run):
            caught_up(follower, store)
            add(store, "d", FACE)
            eventually(lambda: follower.status().code == "index_full", "it is full")
            if asked:
                follower.rebuild()
                eventually(lambda: codes, "it begins anew")
            else:
                erase(store, "a")
                caught_up(follower, store)
        assert codes == ["index_loading"]

    def test_full_it_answers_on_whatever_becomes_of_images_it_never_took_in(self) -> None:
        store = new_store("a", "b", "c")
        follower = Follower(store, Budget(BASE_BYTES + 3 * FACE_BYTES))
        with running(follower.run):
            caught_up(follower, store)
            for name in "defg":
                add(store, name, FACE)
            eventually(lambda: follower.status().code == "index_full", "it is full")
            erase(store, "e")
            eventually(lambda: follower.status().behind == 5, "it sees that one was erased")
            for _ in range(20):
                assert found(follower) == [1, 2, 3]
                time.sleep(0.01)

    def test_what_was_erased_before_it_was_full_is_given_back_too(self) -> None:
        store = new_store("a", "b", "c")
        budget = Budget(BASE_BYTES + 3 * FACE_BYTES)
        follower = Follower(store, budget)
        with running(follower.run):
            caught_up(follower, store)
            erase(store, "b")
            caught_up(follower, store)
            add(store, "d", FACE)
            caught_up(follower, store)
            assert found(follower) == [1, 3, 5]

    def test_an_erasure_that_made_room_and_is_lost_again_leaves_nobody_out(self) -> None:
        old = new_store("a", "b", "c")
        new = new_store("a", "b", "c", like=old)
        switch, store = switchable(old)
        budget = Budget(BASE_BYTES + 3 * FACE_BYTES)
        follower = Follower(store, budget)
        with running(follower.run):
            caught_up(follower, old)
            add(old, "d", FACE)
            erase(old, "b")
            caught_up(follower, old)
            assert found(follower) == [1, 3, 4]
            switch.store = new
            caught_up(follower, new)
            assert found(follower) == [1, 2, 3]

    def test_a_load_that_fits_when_somebody_makes_room_asks_for_what_it_needs(self) -> None:
        store = new_store(*map(str, range(10)))
        budget = Budget(2 * BASE_BYTES + 10 * FACE_BYTES)
        budget.take(BASE_BYTES + 1)
        asked: list[int] = []

        def make_room(needed: int) -> None:
            asked.append(needed)
            if needed == BASE_BYTES + 10 * FACE_BYTES:
                budget.take(-budget.used)
            budget.require(needed)

        follower = Follower(store, budget, make_room=make_room)
        with running(follower.run):
            caught_up(follower, store)
            assert found(follower) == list(range(1, 11))
        assert asked == [BASE_BYTES + 10 * FACE_BYTES]
        follower.close()
        assert budget.used == 0
