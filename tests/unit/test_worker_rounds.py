"""Of very many collections, those in which something was done are looked at often, all now and
then; one that is gone or put off keeps no other waiting."""

from collections.abc import Callable

import pytest

from facematch.collections import Collections
from facematch.errors import NotFound, Unavailable
from facematch.memory_collections import MemoryCollections
from facematch.memory_store import MemoryStore
from facematch.policy import PolicyChange
from worker import rounds
from worker.rounds import ROUND_SECONDS, Rounds, each, only


class Clock:
    """A time that a test tells."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(rounds.time, "monotonic", clock)
    return clock


@pytest.fixture
def collections(clock: Clock) -> Collections:
    made = MemoryCollections(MemoryStore(clock))
    made._first.create("a-model", 0.6)
    for number in range(100):
        made.create(f"c{number}", PolicyChange())
    return made


def test_what_was_done_lately_is_looked_at_each_time_and_all_now_and_then(
    clock: Clock, collections: Collections
) -> None:
    clock.now += 100
    looks = Rounds(collections, 60)
    collections.touch("c7")
    seen: list[str] = []
    for _ in range(int(ROUND_SECONDS / 2) + 2):
        names = list(looks)
        assert names[0] == "default"
        assert len(names) <= 4  # two are due, and another one now and then
        seen += names
        if clock.now < 1160:
            assert "c7" in names
        clock.now += 2
    assert set(seen) == {"default", *(f"c{number}" for number in range(100))}
    assert seen.count("c3") == 1


def test_a_pause_is_no_reason_to_look_at_all_at_once_again_and_again(
    clock: Clock, collections: Collections
) -> None:
    clock.now += 10 * ROUND_SECONDS
    looks = Rounds(collections, 60)
    clock.now += 100 * ROUND_SECONDS
    assert len(list(looks)) == 101
    clock.now += 1
    assert list(looks) == ["default"]


def test_one_that_is_gone_or_put_off_keeps_no_other_waiting() -> None:
    errors: dict[str, Exception] = {
        "gone": NotFound("unknown_collection"),
        "other": Unavailable("no_collection"),
    }

    def of(name: str) -> str:
        if name in errors:
            raise errors[name]
        return name

    assert list(each(["default", "gone", "other", "last"], of)()) == ["default", "last"]
    errors["default"] = Unavailable("collection_erasing")
    with pytest.raises(Unavailable):
        list(each(["default", "last"], of)())
    errors["b"] = Unavailable("store_unavailable")
    with pytest.raises(Unavailable):
        list(each(["a", "b"], of)())
    look: Callable[[], object] = only("one")
    assert look() == ("one",)
