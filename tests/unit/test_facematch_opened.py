"""One thing a collection, opened once, and closed when there are too many."""

import threading

import pytest

from facematch.opened import OfCollections


def test_each_is_opened_once_and_the_least_lately_used_is_closed() -> None:
    opened: list[str] = []
    closed: list[str] = []

    def open_one(name: str) -> str:
        opened.append(name)
        return name.upper()

    parts = OfCollections(open_one, 2, closed.append)
    assert [parts.of(name) for name in "abac"] == ["A", "B", "A", "C"]
    assert (opened, closed) == (["a", "b", "c"], ["B"])
    assert parts.of("b") == "B"
    assert (opened, closed) == (["a", "b", "c", "b"], ["B", "A"])
    parts.forget("b")
    parts.forget("nobody")
    parts.close()
    assert closed == ["B", "A", "B", "C"]


def test_what_cannot_be_opened_is_not_kept() -> None:
    def fail(name: str) -> str:
        raise ValueError(name)

    parts = OfCollections(fail)
    for _ in range(2):
        with pytest.raises(ValueError, match="a"):
            parts.of("a")


def test_two_that_open_the_same_at_once_have_one() -> None:
    both = threading.Barrier(2)
    closed: list[object] = []

    def open_one(name: str) -> object:
        both.wait(10)
        return object()

    parts = OfCollections(open_one, close=closed.append)
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(parts.of("a"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert found[0] is found[1]
    assert len(closed) == 1
    assert closed[0] is not found[0]
