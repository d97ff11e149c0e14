"""API keys in memory: the contract of `facematch.keys`, for tests."""

import threading
from dataclasses import replace

from facematch.errors import NotFound
from facematch.keys import ApiKey


class MemoryKeys:
    """See facematch.keys.Keys. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: dict[str, ApiKey] = {}

    def add(self, key: ApiKey) -> None:
        """See Keys."""
        with self._lock:
            self._keys[key.id] = key

    def key(self, id_: str) -> ApiKey | None:
        """See Keys."""
        return self._keys.get(id_)

    def keys(self) -> list[ApiKey]:
        """See Keys."""
        with self._lock:
            return sorted(self._keys.values(), key=lambda key: (key.created, key.id))

    def revoke(self, id_: str, at: float) -> ApiKey:
        """See Keys."""
        with self._lock:
            key = self._keys.get(id_)
            if key is None:
                raise NotFound("no_key_here", f"no key {id_}")
            if key.revoked is None:
                self._keys[id_] = key = replace(key, revoked=at)
            return key

    def note_use(self, id_: str, at: float) -> None:
        """See Keys."""
        with self._lock:
            self._keys[id_] = replace(self._keys[id_], used=at)

    def exist(self) -> bool:
        """See Keys."""
        return bool(self._keys)
