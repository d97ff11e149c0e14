"""What is left of erased collections is forgotten, whatever fails meanwhile."""

import threading

import pytest
from waiting import eventually

from facematch.errors import Unavailable
from facematch.memory_collections import MemoryCollections
from facematch.memory_store import MemoryStore
from facematch.policy import PolicyChange
from worker.forgetting import keep_forgetting


@pytest.fixture
def collections() -> MemoryCollections:
    made = MemoryCollections(MemoryStore())
    made._first.create("a-model", 0.6)
    made.create("holiday", PolicyChange())
    made.create("kept", PolicyChange())
    return made


def test_it_goes_on_after_errors_until_nothing_is_left(
    collections: MemoryCollections, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = [Unavailable("store_unavailable"), ValueError("nobody planned for it")]
    real = collections.drop_some
    forgotten: list[str] = []

    def failing(name: str, also: object) -> bool:
        if errors:
            raise errors.pop(0)
        return real(name, also)  # type: ignore[arg-type]

    monkeypatch.setattr(collections, "drop_some", failing)
    collections.drop("holiday")
    stop = threading.Event()
    thread = threading.Thread(
        target=keep_forgetting,
        args=(collections, (), forgotten.append, stop),
        kwargs={"seconds": 0.01},
    )
    thread.start()
    eventually(lambda: collections.names() == ["default", "kept"])
    stop.set()
    thread.join()
    assert forgotten == ["holiday"]


def test_one_of_which_nobody_has_said_so_is_found_by_looking(
    collections: MemoryCollections,
) -> None:
    collections.drop("holiday")
    collections._dropped.clear()
    collections.drop("default")
    collections._dropped.clear()
    stop = threading.Event()
    thread = threading.Thread(
        target=keep_forgetting,
        args=(collections, ["default", "holiday", "kept"], lambda name: None, stop),
        kwargs={"seconds": 0.01},
    )
    thread.start()
    eventually(lambda: not collections._dropping)
    stop.set()
    thread.join()
    assert collections.names() == ["default", "kept"]
