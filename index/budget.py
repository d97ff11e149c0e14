"""The memory that all collections of a process share. Used by `index.engine`, which asks for room
before it takes faces in, and by `index.collections`, which makes some."""

import threading

from facematch.errors import Unavailable


class Full(Unavailable):
    """There is no memory for `needed` bytes more."""

    def __init__(self, needed: int, detail: str) -> None:
        super().__init__("index_full", detail)
        self.needed = needed


class Budget:
    """So many bytes. Safe to share between threads."""

    def __init__(self, limit: int = 0) -> None:
        """`limit`: bytes that may be taken; 0: any."""
        self.limit = limit
        self._lock = threading.Lock()
        self._used = 0

    @property
    def used(self) -> int:
        """Bytes that are taken."""
        return self._used

    def has(self, room: int) -> bool:
        """Whether so many bytes are free."""
        return self.limit == 0 or self._used + room <= self.limit

    def take(self, taken: int) -> None:
        """Take so many bytes, or give back so many where it is below 0.

        Raises Full when they are not free; then nothing is taken.
        """
        with self._lock:
            if taken > 0:
                self.require(taken)
            self._used += taken

    def require(self, room: int) -> None:
        """Raise Full unless so many bytes are free."""
        if not self.has(room):
            detail = f"its faces need {room:,} bytes, {self._used:,} of {self.limit:,} are taken"
            raise Full(room, detail)


class Share:
    """What one engine has taken of a budget. Not safe to share between threads."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.taken = 0

    def resize(self, taken: int) -> None:
        """Have so many bytes from now on. Raises Full; then it has what it had."""
        self.budget.take(taken - self.taken)
        self.taken = taken
