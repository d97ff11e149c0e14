"""A few things lent to threads: who is in a hurry comes first, and nobody waits forever.

Used by `worker.sandbox` for its children: somebody waits for the answer to a search, and nobody in
particular for the next job.
"""

import queue
import threading
from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

#: So many times in a row those in a hurry come first while others wait, too.
IN_A_ROW = 3

_Lent = TypeVar("_Lent")


class Lending(Generic[_Lent]):
    """What was given back last is lent first. Safe to use from several threads."""

    def __init__(self, things: Sequence[_Lent]) -> None:
        self._lock = threading.Lock()
        self._free = list(things)
        self._hurried: deque[queue.SimpleQueue[_Lent]] = deque()
        self._others: deque[queue.SimpleQueue[_Lent]] = deque()
        self._row = 0

    def take(self, hurry: bool = False) -> _Lent:
        """Wait for one."""
        with self._lock:
            if self._free:
                return self._free.pop()
            place: queue.SimpleQueue[_Lent] = queue.SimpleQueue()
            (self._hurried if hurry else self._others).append(place)
        return place.get()

    def give(self, thing: _Lent) -> None:
        """Give one back."""
        with self._lock:
            first = self._hurried and (self._row < IN_A_ROW or not self._others)
            if first:
                self._row += 1
                self._hurried.popleft().put(thing)
            elif self._others:
                self._row = 0
                self._others.popleft().put(thing)
            else:
                self._free.append(thing)

    def take_free(self) -> list[_Lent]:
        """All that nobody has."""
        with self._lock:
            free, self._free = self._free, []
            return free
