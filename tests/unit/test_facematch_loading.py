"""Loading the index, and reading faces beside a log that may lose its end meanwhile."""

from collections.abc import Iterator
from threading import Event

import pytest
from histories import add, erase, running
from indexes import FACE, caught_up, found, new_store, switchable

from facematch import failpoints
from facematch.errors import Unavailable
from facematch.loading import advance, load
from facematch.log import genesis
from index.engine import Engine
from index.follower import Follower


@pytest.fixture(autouse=True)
def _no_hook() -> Iterator[None]:
    yield
    failpoints.set_hook(None)


class TestErasuresWhileReading:
    """A face that is missing because its image was erased must not stay missing when the store
    loses the erasure with the end of its log."""

    def test_an_erasure_seen_while_loading_and_then_lost(self) -> None:
        old = new_store("a", "b", "c")
        new = new_store("a", "b", "c", like=old)
        switch, store = switchable(old)

        def lose_it() -> None:
            switch.store = new

        switch.before["live"] = lambda: erase(old, "b")
        switch.after["faces"] = lose_it
        follower = Follower(store)
        with running(follower.run):
            caught_up(follower, new)
            assert found(follower) == [1, 2, 3]

    @pytest.mark.parametrize("grown", [False, True])
    def test_an_erasure_seen_while_loading_and_lost_right_after(self, grown: bool) -> None:
        old = new_store("a", "b", "c")
        new = new_store("a", "b", "c", *["d"] * grown, like=old)
        switch, store = switchable(old)

        def lose_it() -> None:
            switch.store = new

        switch.before["faces"] = lambda: erase(old, "b")
        switch.after["faces"] = lambda: switch.after.update(log=lose_it)
        follower = Follower(store)
        with running(follower.run):
            caught_up(follower, new)
            assert found(follower) == [1, 2, 3, 4][: 3 + grown]

    def test_an_erasure_that_is_still_there_does_not_hide_one_that_is_lost(self) -> None:
        old = new_store("a", "b", "c")
        new = new_store("a", "b", "c", "d", like=old)
        erase(new, "d")
        switch, store = switchable(old)

        def grow() -> None:
            add(old, "d", FACE)
            erase(old, "d")
            erase(old, "b")

        def lose_it() -> None:
            switch.store = new

        switch.before["live"] = grow
        switch.after["faces"] = lambda: switch.after.update(log=lose_it)
        follower = Follower(store)
        with running(follower.run):
            caught_up(follower, new)
            assert found(follower) == [1, 2, 3]

    @pytest.mark.parametrize("grown", [False, True])
    def test_an_erasure_seen_while_following_and_then_lost(self, grown: bool) -> None:
        old = new_store("a")
        new = new_store("a", "b", *["c"] * grown, like=old)
        switch, store = switchable(old)

        def lose_it() -> None:
            switch.store = new

        follower = Follower(store)
        with running(follower.run):
            caught_up(follower, old)
            switch.before["faces"] = lambda: erase(old, "b")
            switch.after["faces"] = lambda: switch.after.update(log=lose_it)
            add(old, "b", FACE)
            caught_up(follower, new)
            assert found(follower) == [1, 2, 3][: 2 + grown]

    def test_between_the_image_and_its_erasure_nothing_is_answered(self) -> None:
        store = new_store("a")
        switch, switched = switchable(store)
        frozen, go_on = Event(), Event()

        def freeze(name: str) -> None:
            if name == "before_apply" and follower.status().position == 2:
                frozen.set()
                go_on.wait(10)

        follower = Follower(switched)
        with running(follower.run):
            caught_up(follower, store)
            failpoints.set_hook(freeze)
            switch.before["faces"] = lambda: erase(store, "b")
            add(store, "b", FACE)
            assert frozen.wait(10)
            with pytest.raises(Unavailable, match="at position 2, needed is 3"):
                found(follower)
            go_on.set()
            caught_up(follower, store)
            assert found(follower) == [1]

    def test_an_erasure_seen_while_loading_is_waited_for(self) -> None:
        store = new_store("a", "b")
        switch, switched = switchable(store)
        switch.before["faces"] = lambda: erase(store, "b")
        engine = Engine()
        loaded = load(switched, engine, Event(), lambda loaded, images: None)
        assert loaded is not None
        assert (loaded.tail.position, loaded.fence.position) == (2, 3)
        assert len(engine) == 1
        follower = Follower(switched)
        with running(follower.run):
            caught_up(follower, store)


def test_what_comes_while_it_loads_is_left_to_the_following() -> None:
    memory = new_store("a", "b")
    switch, store = switchable(memory)

    def add_one() -> None:
        add(memory, "c", FACE)

    switch.before["live"] = add_one
    engine = Engine()
    loaded = load(store, engine, Event(), lambda loaded, images: None)
    assert loaded is not None
    assert (loaded.tail.position, loaded.fence.position, len(engine)) == (2, 3, 2)


def test_stopping_ends_the_loading() -> None:
    stop = Event()
    switch, store = switchable(new_store(*map(str, range(1500))))
    switch.after["faces"] = stop.set
    assert load(store, Engine(), stop, lambda loaded, images: None) is None
    assert switch.calls["faces"] == 1
    assert load(store, Engine(), stop, lambda loaded, images: None) is None


def test_advance_notices_that_a_former_end_is_gone() -> None:
    old = new_store("a", "b")
    new = new_store("a", like=old)
    fence = advance(old, genesis(old.collection().epoch))
    assert fence == old.collection().tail
    for other in (new, new_store("a", "b")):
        with pytest.raises(Unavailable) as raised:
            advance(other, fence)
        assert raised.value.code == "index_diverged"
