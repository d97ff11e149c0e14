"""Rules of collections in memory: the contract of `facematch.privacy`, for tests."""

import time
from collections.abc import Callable, Iterator

from facematch.memory_store import MemoryStore
from facematch.privacy import Rules
from facematch.store import State

_DAY = 86_400


class MemoryPrivacy:
    """See facematch.privacy.Privacy."""

    def __init__(
        self, store_of: Callable[[str], MemoryStore], clock: Callable[[], float] = time.time
    ) -> None:
        self._store_of = store_of
        self._clock = clock
        self._rules: dict[str, Rules] = {}
        self._holder, self._leased_until = "", 0.0

    def rules(self, collection: str) -> Rules:
        """See Privacy."""
        return self._rules.get(collection, Rules())

    def ruled(self) -> dict[str, Rules]:
        """See Privacy."""
        return dict(self._rules)

    def rule(self, collection: str, rules: Rules) -> None:
        """See Privacy."""
        self._rules[collection] = rules

    def older_than(self, collection: str, days: float) -> Iterator[tuple[str, int]]:
        """See Privacy."""
        store = self._store_of(collection)
        before = (self._clock() - days * _DAY) * 1_000_000
        with store._lock:
            old = [
                (image, record.number)
                for image, record in store._images.items()
                if record.image.state is not State.ERASED and record.number <= before
            ]
        return iter(old)

    def lease(self, holder: str, seconds: float) -> bool:
        """See Privacy."""
        if self._clock() >= self._leased_until:
            self._holder, self._leased_until = holder, self._clock() + seconds
        return holder == self._holder
