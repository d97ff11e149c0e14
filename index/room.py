"""Memory for a collection: how much it needs, and when to ask for it. Used by `index.follower`."""

import math
import time
from collections.abc import Callable

from facematch.store import Store
from index.budget import Full
from index.codes import FACE_BYTES
from index.engine import BASE_BYTES, AnyEngine

#: What costs the store, or those who ask, as much as a load is done again only after so many
#: times as long as it took.
RESTS = 10.0


class Room:
    """Of one follower."""

    def __init__(self, store: Store, make: Callable[[int], None]) -> None:
        """`make`: have so many bytes free, or raise Full."""
        self._store = store
        self._make = make
        # Of a load that failed for want of room: what a face took, and what it needs at least.
        self._face_bytes, self._least = 0.0, 0
        self._load_seconds = 0.0
        self._loaded_at = 0.0
        self._count_from = 0.0

    def before_load(self) -> None:
        """Make the room that the last load lacked. Raises Full."""
        if self._least:
            faces = math.ceil(self._count() * self._face_bytes)
            self._make(max(BASE_BYTES + faces, self._least))

    def too_little(self, engine: AnyEngine | None, lacking: Full) -> bool:
        """A load into this engine, or the making of it, met Full. Whether to try once more at
        once: now it is known how much room to ask for, so that nobody makes any in vain."""
        first = self._least == 0
        self._face_bytes = engine.face_bytes if engine is not None else FACE_BYTES
        self._least = (engine.taken if engine is not None else 0) + lacking.needed
        return first

    def loaded(self, seconds: float) -> None:
        """A load has come to its end, and took so long."""
        self._face_bytes, self._least = 0.0, 0
        self._load_seconds, self._loaded_at = seconds, time.monotonic()

    def idle(self, used: float, least: float) -> bool:
        """Whether a collection last used at the time `used` (of time.monotonic) may be dropped:
        idle for `least` seconds, and for RESTS times as long as it took to load."""
        idle = time.monotonic() - max(used, self._loaded_at)
        return idle >= max(least, RESTS * self._load_seconds)

    def find(self, engine: AnyEngine, lacking: Full) -> bool:
        """Come by the room that is lacking for the next entry: True when it is there, False when
        a load anew would have enough. Raises Full."""
        try:
            self._make(lacking.needed)
        except Full:
            # What was erased behind the first entry that does not fit is never come to, and what
            # was erased before it may still take memory. A load has neither.
            if not self._would_fit(engine):
                raise
            return False
        return True

    def _would_fit(self, engine: AnyEngine) -> bool:
        began = time.monotonic()
        if began < self._count_from:
            return False
        fits = engine.fits(self._count())
        counted = time.monotonic()
        self._count_from = counted + RESTS * max(self._load_seconds, counted - began)
        return fits

    def _count(self) -> int:
        """How many faces are alive."""
        live: set[int] = set()
        for portion in self._store.live():
            live.update(portion)
        return self._store.count_faces(sorted(live))
