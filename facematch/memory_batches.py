"""Batches in memory: the contract of `facematch.batches`, for tests."""

from collections import Counter
from collections.abc import Sequence

from facematch.batches import FORGOTTEN, REFUSED, Batch, Item, ItemState
from facematch.errors import Conflict, NotFound
from facematch.store import Front


class MemoryBatches:
    """See facematch.batches.Batches. Nothing is ever forgotten."""

    def __init__(self, store: Front) -> None:
        self._store = store
        self._batches: dict[str, tuple[Item, ...]] = {}
        self._claims: dict[str, tuple[str, str]] = {}

    def keep(self, batch: str, items: Sequence[Item]) -> None:
        """See Batches."""
        self._batches[batch] = tuple(items)

    def batch(self, batch: str, start: int, count: int) -> Batch:
        """See Batches."""
        kept = self._batches.get(batch)
        if kept is None:
            raise NotFound("not_found", f"no batch {batch}")
        items = [self._state(number, item) for number, item in enumerate(kept)]
        counts = Counter(item.state for item in items)
        return Batch(batch, len(items), counts, tuple(items[start : start + count]))

    def _state(self, number: int, item: Item) -> ItemState:
        if not item.job:
            return ItemState(number, REFUSED, code=item.code, name=item.name)
        try:
            job = self._store.job(item.job)
        except NotFound:
            return ItemState(number, FORGOTTEN, item.job)
        return ItemState(number, str(job.state), job.id, job.image, job.code, job.name)

    def claim(self, key: str, fingerprint: str, name: str) -> str:
        """See Batches."""
        known, stands_for = self._claims.setdefault(key, (fingerprint, name))
        if known != fingerprint:
            raise Conflict("key_reused")
        return stands_for
