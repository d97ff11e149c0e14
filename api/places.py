"""Places for requests that take long, so that nobody has all of them."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from facematch.errors import Unavailable


class Places:
    """Safe to share between threads."""

    def __init__(self, in_all: int, of_one: int, code: str) -> None:
        """So many `in_all`, and `of_one` caller; `code`: of the refusal beyond."""
        self._in_all = in_all
        self._of_one = of_one
        self._code = code
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()

    @contextmanager
    def one(self, who: str) -> Iterator[None]:
        """A place for a caller, if there is one. Raises Unavailable."""
        with self._lock:
            if self._taken[who] >= self._of_one or self._taken.total() >= self._in_all:
                raise Unavailable(self._code)
            self._taken[who] += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken[who] -= 1
                self._taken = +self._taken
