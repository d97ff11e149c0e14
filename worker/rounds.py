"""Whose turn it is to be looked at, of very many collections: those in which something was done
lately each time, and of all others a few, so that each comes up now and then."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import structlog

from facematch.collection_name import DEFAULT
from facematch.collections import Collections
from facematch.errors import NotFound, Unavailable

#: Each collection is looked at within so many seconds, whatever was said of it.
ROUND_SECONDS = 600.0
#: After something was done, jobs may be left lying for a while; people are grouped at once.
LATELY, JUST_NOW = 600.0, 60.0

_One = TypeVar("_One")
_log = structlog.get_logger()


class Rounds:
    """One who looks. For one thread."""

    def __init__(self, collections: Collections, lately: float) -> None:
        """`lately`: in how many seconds something has to have been done for a look each time."""
        self._collections = collections
        self._lately = lately
        self._others: deque[str] = deque()
        self._whole = 0
        self._owed, self._looked = 0.0, time.monotonic()

    def __iter__(self) -> Iterator[str]:
        """The names for one look. Raises Unavailable."""
        now = time.monotonic()
        if not self._others:
            names = self._collections.names()
            self._others, self._whole = deque(names), len(names)
        self._owed += self._whole * (now - self._looked) / ROUND_SECONDS
        self._looked = now
        some = math.floor(min(self._owed, len(self._others)))
        self._owed = min(self._owed - some, 1.0)
        others = [self._others.popleft() for _ in range(some)]
        return iter(dict.fromkeys((*self._collections.touched(self._lately), *others)))


def each(names: Iterable[str], of: Callable[[str], _One]) -> Callable[[], Iterator[_One]]:
    """What is looked at of each collection whose turn it is. One that is gone, or cannot be looked
    at now, does not keep others from it, but for the default one: without it there is nothing."""

    def look() -> Iterator[_One]:
        for name in names:
            try:
                one = of(name)
            except NotFound:
                continue
            except Unavailable as error:
                if name == DEFAULT or error.code == "store_unavailable":
                    raise
                _log.warning("not looked at", collection=name, code=error.code, detail=str(error))
                continue
            yield one

    return look


@contextmanager
def unless_erased() -> Iterator[None]:
    """For work in one collection of many: that it was erased meanwhile, or is being emptied, keeps
    no other from its turn."""
    try:
        yield
    except NotFound:
        pass
    except Unavailable as error:
        if error.code != "collection_erasing":
            raise


def only(one: _One) -> Callable[[], Iterable[_One]]:
    """The same where there is one collection."""
    return lambda: (one,)
