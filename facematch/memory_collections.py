"""Which collections there are, in memory: the contract of `facematch.collections`, for tests."""

from collections.abc import Callable, Iterator

from facematch.collection_name import DEFAULT, check_name
from facematch.collections import CollectionAbout, check_same, with_default
from facematch.errors import NotFound, Unavailable
from facematch.memory_store import MemoryStore
from facematch.policy import PolicyChange


class MemoryCollections:
    """See facematch.collections.Collections. The lock of the default collection stands for the
    atomicity of a script."""

    def __init__(self, default: MemoryStore) -> None:
        """`default`: the store of the default collection."""
        self._first = default
        self._lock = default._lock
        self._clock = default._clock
        self._stores = {DEFAULT: default}
        self._made = {DEFAULT: 0}
        self._dropping: dict[str, int] = {}
        self._dropped: set[str] = set()
        self._touched: dict[str, float] = {}
        self._numbers: dict[str, list[int]] = {}
        default._elsewhere = lambda: self._waiting_but(DEFAULT)

    def store(self, name: str) -> MemoryStore:
        """The store of a collection that is there. Raises as `about` does."""
        with self._lock:
            if name in self._dropping:
                raise _gone(name)
            if name not in self._stores:
                raise NotFound("unknown_collection")
            return self._stores[name]

    def create(self, name: str, policy: PolicyChange) -> tuple[CollectionAbout, bool]:
        """See Collections."""
        with self._lock:
            made = check_name(name) not in self._stores
            if name in self._dropping:
                raise Unavailable("collection_erasing")
            if made:
                self._make(name, policy)
            about = self.about(name)
            if not made:
                check_same(about, policy)
            return about, made

    def _make(self, name: str, policy: PolicyChange) -> None:
        like = self._first.collection()
        threshold, bounds = policy.of(like.generations[0])
        store = MemoryStore(self._clock, self._first._log_keep)
        store.name = name
        store._listeners = self._first._listeners
        store._numbers = self._numbers.setdefault(name, store._numbers)
        store.create(like.model, threshold, like.calibration, bounds)
        store._elsewhere = lambda: self._waiting_but(name)
        self._made[name] = store._next_number()
        self._stores[name] = store

    def _waiting_but(self, name: str) -> int:
        with self._lock:
            others = self._stores.keys() - {name} - self._dropping.keys()
            return sum(self._stores[other]._waiting() for other in others)

    def about(self, name: str) -> CollectionAbout:
        """See Collections."""
        store = self.store(name)
        with store._lock:
            return CollectionAbout(
                *(name, store.collection(), len(store._positions)),
                *(len(store._pending), len(store._accepted())),
            )

    def page(self, limit: int, after: str = "") -> tuple[list[CollectionAbout], str]:
        """See Collections."""
        with self._lock:
            names = sorted(name for name in self._stores if name > after)[:limit]
            found = []
            for name in names:
                try:
                    found.append(self.about(name))
                except (NotFound, Unavailable):
                    continue
            return found, names[-1] if len(names) == limit else ""

    def names(self) -> list[str]:
        """See Collections."""
        with self._lock:
            return with_default(sorted(self._stores))

    def drop(self, name: str, upto: int = 0) -> int:
        """See Collections."""
        with self._lock:
            if not upto and check_name(name) not in (*self._dropping, *self._stores):
                raise NotFound("unknown_collection")
            self._dropped.add(check_name(name))
            if name in self._dropping:
                return self._dropping[name]
            if name not in self._stores or (upto and self._made[name] > upto):
                return 0
            self._dropping[name] = upto or self._stores[name]._next_number()
            return self._dropping[name]

    def dropping(self) -> list[str]:
        """See Collections."""
        with self._lock:
            return sorted(self._dropped)

    def drop_some(self, name: str, also: Callable[[str], object] = lambda name: None) -> bool:
        """See Collections."""
        with self._lock:
            if name in self._dropping:
                also(name)
            if self._dropping.pop(name, None) is not None:
                self._touched.pop(name, None)
                if name == DEFAULT:
                    self._first.empty()
                    self._made[name] = self._first._next_number()
                else:
                    del self._stores[name], self._made[name]
            self._dropped.discard(name)
            return True

    def touch(self, name: str) -> None:
        """See Collections."""
        with self._lock:
            self._touched[name] = self._clock()

    def touched(self, seconds: float) -> list[str]:
        """See Collections."""
        with self._lock:
            since = self._clock() - seconds
            return with_default(sorted(one for one, at in self._touched.items() if at >= since))

    def listen(self, timeout: float) -> Iterator[str | None]:
        """See Collections."""
        return self._first.listen(timeout)


def _gone(name: str) -> NotFound | Unavailable:
    """What is said of a collection that is being erased."""
    if name == DEFAULT:
        return Unavailable("collection_erasing")
    return NotFound("unknown_collection")
