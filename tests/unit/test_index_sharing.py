"""The lock that readers share: who waits for whom, and that nobody waits forever."""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from waiting import eventually

from index.sharing import SharedLock


class Visitor:
    """A thread that takes the lock, and gives it back when it is told to."""

    def __init__(self, take: Callable[[], AbstractContextManager[None]]) -> None:
        self.inside = threading.Event()
        self._leave = threading.Event()
        self._take = take
        self._thread = threading.Thread(target=self._visit, daemon=True)
        self._thread.start()

    def _visit(self) -> None:
        with self._take():
            self.inside.set()
            assert self._leave.wait(10)

    def gets_in(self) -> bool:
        return self.inside.wait(5)

    def waits(self) -> bool:
        return not self.inside.wait(0.1)

    def leave(self) -> None:
        self._leave.set()
        self._thread.join(10)
        assert not self._thread.is_alive()


def queued(lock: SharedLock, reading: int, writing: int) -> None:
    """Wait until so many stand in the queue."""
    eventually(lambda: (lock._waiting_to_read, lock._waiting_to_write) == (reading, writing))


def test_readers_are_in_together_and_a_writer_is_alone() -> None:
    lock = SharedLock()
    readers = [Visitor(lock.reading) for _ in range(3)]
    assert all(reader.gets_in() for reader in readers)
    writer = Visitor(lock.writing)
    queued(lock, 0, 1)
    assert writer.waits()
    for reader in readers:
        assert not writer.inside.is_set()
        reader.leave()
    assert writer.gets_in()
    other, reader = Visitor(lock.writing), Visitor(lock.reading)
    queued(lock, 1, 1)
    assert other.waits()
    assert reader.waits()
    writer.leave()
    assert reader.gets_in()
    reader.leave()
    assert other.gets_in()
    other.leave()


def test_who_comes_to_read_waits_behind_a_writer_that_waits() -> None:
    lock = SharedLock()
    first, writer = Visitor(lock.reading), None
    assert first.gets_in()
    writer = Visitor(lock.writing)
    queued(lock, 0, 1)
    assert writer.waits()
    second = Visitor(lock.reading)
    queued(lock, 1, 1)
    assert second.waits()
    first.leave()
    assert writer.gets_in()
    assert second.waits()
    writer.leave()
    assert second.gets_in()
    second.leave()


def test_all_who_wait_to_read_come_before_the_next_writer() -> None:
    lock = SharedLock()
    writer = Visitor(lock.writing)
    assert writer.gets_in()
    readers = [Visitor(lock.reading) for _ in range(3)]
    next_one = Visitor(lock.writing)
    queued(lock, 3, 1)
    assert all(reader.waits() for reader in readers)
    writer.leave()
    assert all(reader.gets_in() for reader in readers)
    assert next_one.waits()
    for reader in readers:
        reader.leave()
    assert next_one.gets_in()
    next_one.leave()


def test_an_error_inside_gives_it_back() -> None:
    lock = SharedLock()
    for take in (lock.reading, lock.writing):
        with pytest.raises(RuntimeError), take():
            raise RuntimeError
    with lock.writing():
        pass


def test_however_many_read_and_write_all_the_time_each_gets_its_turn() -> None:
    lock, stop = SharedLock(), threading.Event()
    done = [0] * 6
    state = [0, 0]
    wrong: list[tuple[int, int]] = []

    def read(number: int) -> None:
        while not stop.is_set():
            with lock.reading():
                before = tuple(state)
                time.sleep(0)
                if before != tuple(state) or state[0] != state[1]:
                    wrong.append((state[0], state[1]))
            done[number] += 1

    def write(number: int) -> None:
        while not stop.is_set():
            with lock.writing():
                state[0] += 1
                time.sleep(0)
                state[1] += 1
            done[number] += 1

    threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    threads += [threading.Thread(target=write, args=(number,)) for number in (4, 5)]
    for thread in threads:
        thread.start()
    eventually(lambda: min(done) > 200 or wrong, "each had its turn", seconds=60)
    stop.set()
    for thread in threads:
        thread.join(10)
    assert not wrong
    assert state == [done[4] + done[5]] * 2
