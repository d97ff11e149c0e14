"""What a process has opened for some collections, of very many: what was used least lately is
closed when there is too much."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

_Opened = TypeVar("_Opened")


class OfCollections(Generic[_Opened]):
    """One thing for each collection, opened when it is first asked for. Safe to share between
    threads."""

    def __init__(
        self,
        open_one: Callable[[str], _Opened],
        most: int = 1000,
        close: Callable[[_Opened], object] = lambda one: None,
    ) -> None:
        """`open_one`: that of the collection of this name; what it raises comes through. `close`:
        called with one that others may be using still."""
        self._open = open_one
        self._most = most
        self._close = close
        self._lock = threading.Lock()
        self._opened: OrderedDict[str, _Opened] = OrderedDict()

    def of(self, name: str) -> _Opened:
        """That of a collection."""
        with self._lock:
            if name in self._opened:
                self._opened.move_to_end(name)
                return self._opened[name]
        # Not within the lock: it may have to ask somebody who is away.
        opened = self._open(name)
        with self._lock:
            kept = self._opened.setdefault(name, opened)
            self._opened.move_to_end(name)
            surplus = [self._opened.popitem(last=False)[1]] if self._is_full() else []
        if kept is not opened:
            surplus.append(opened)
        for one in surplus:
            self._close(one)
        return kept

    def forget(self, name: str) -> None:
        """Close that of a collection, if there is one."""
        with self._lock:
            opened = self._opened.pop(name, None)
        if opened is not None:
            self._close(opened)

    def close(self) -> None:
        """Close all."""
        with self._lock:
            opened = list(self._opened.values())
            self._opened.clear()
        for one in opened:
            self._close(one)

    def _is_full(self) -> bool:
        return len(self._opened) > self._most
