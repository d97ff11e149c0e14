"""A reindex in memory: the contract of `facematch.reindexing` in plain Python, for tests."""

import math
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter

from facematch.errors import Conflict
from facematch.job import new_job_id
from facematch.memory_store import MemoryStore
from facematch.reindexing import (
    MOST_RANGES,
    SPAN,
    Phase,
    Range,
    RangeLink,
    Reindex,
    check_wanted,
    wrong_phase,
)
from facematch.store import DEFAULT_BOUNDS, Bounds, Generation, Linked


@dataclass
class _Reindex:
    about: Reindex
    due: dict[int, float]
    linking: dict[int, tuple[str, int]] = field(default_factory=dict)


class MemoryReindexing:
    """See facematch.reindexing.Reindexing. What it knows is kept in the store, and so lost with
    the store's tail."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def begin(
        self,
        threshold: float,
        share: float = 1.0,
        span: int = SPAN,
        bounds: Bounds = DEFAULT_BOUNDS,
    ) -> Reindex:
        """See Reindexing."""
        check_wanted(threshold, share)
        store = self._store
        with store._lock:
            if store._reindex is not None or store._follower() is not None:
                raise Conflict("reindex_exists")
            collection = store.collection()
            if bounds.max_false_matches is not None and not collection.calibration:
                raise Conflict("no_rates")
            base, former = collection.tail.position, collection.generations[0]
            span = max(span, math.ceil(base / MOST_RANGES))
            firsts = range(1, base + 1, span)
            store._last_generation += 1
            number = store._last_generation
            store._generations[number] = Generation(
                *(number, threshold), building_to=base, bounds=bounds
            )
            store._links[number], store._limits[number] = {}, {}
            about = Reindex(
                id=new_job_id(),
                phase=Phase.BUILDING if firsts else Phase.BUILT,
                generation=number,
                threshold=threshold,
                former=former.number,
                former_threshold=former.threshold,
                base=base,
                span=span,
                ranges=len(firsts),
                left=len(firsts),
                share=share,
                begun=store._clock(),
                bounds=bounds,
                former_bounds=former.bounds,
            )
            store._reindex = _Reindex(about, dict.fromkeys(firsts, -math.inf))
            return about

    def current(self) -> Reindex | None:
        """See Reindexing."""
        with self._store._lock:
            kept = self._kept()
            return replace(kept.about, left=len(kept.due)) if kept else None

    def due_ranges(self, limit: int, age: float) -> list[int]:
        """See Reindexing."""
        with self._store._lock:
            kept = self._kept()
            if kept is None or kept.about.phase is not Phase.BUILDING:
                return []
            now = self._store._clock()
            due = [first for first, looked in kept.due.items() if now - looked >= age][:limit]
            kept.due.update(dict.fromkeys(due, now))
            return due

    def take(self, reindex: str, first: int) -> Range | None:
        """See Reindexing."""
        with self._store._lock:
            kept = self._kept(reindex)
            if kept is None or kept.about.phase is not Phase.BUILDING or first not in kept.due:
                return None
            kept.due[first] = self._store._clock()
            about = kept.about
            last = min(about.base, first + about.span - 1)
            return Range(
                *(reindex, about.threshold, first, last, about.share),
                max_false_matches=about.bounds.max_false_matches,
            )

    def hold(self, reindex: str, first: int) -> None:
        """See Reindexing."""
        with self._store._lock:
            kept = self._kept(reindex)
            if kept is not None and first in kept.due:
                kept.due[first] = self._store._clock()

    def link(self, link: RangeLink) -> Linked:
        """See Reindexing."""
        store = self._store
        with store._lock:
            kept = self._kept(link.reindex)
            if kept is None:
                return Linked.GONE
            if link.first not in kept.due:
                return Linked.DONE
            if store.log(link.seen.position, 0).start != link.seen:
                return Linked.MOVED
            if link.offset and kept.linking.get(link.first) != (link.token, link.offset):
                return Linked.SUPERSEDED
            number = kept.about.generation
            if store._unrated(number, link.calibration):
                return Linked.MOVED
            store._note_exactness(number, link.first, link.exact)
            for position, pairs in groupby(link.pairs, key=itemgetter(0)):
                store._write(number, position, [pair[1:] for pair in pairs])
            if not link.last:
                kept.linking[link.first] = (link.token, link.offset + len(link.pairs))
                kept.due[link.first] = store._clock()
                return Linked.WRITTEN
            kept.linking.pop(link.first, None)
            del kept.due[link.first]
            if not kept.due:
                kept.about = replace(kept.about, phase=Phase.BUILT)
                generations = store._generations
                generations[number] = replace(generations[number], building_to=0)
            return Linked.DONE

    def pause(self, reindex: str) -> None:
        """See Reindexing."""
        self._set(reindex, Phase.PAUSED, {Phase.BUILDING})

    def resume(self, reindex: str, share: float | None = None) -> None:
        """See Reindexing."""
        with self._store._lock:
            before = self._kept(reindex)
            paused = before is not None and before.about.phase is Phase.PAUSED
            kept = self._set(reindex, Phase.BUILDING, {Phase.PAUSED})
            if paused:
                kept.due = dict.fromkeys(kept.due, -math.inf)
            kept.about = replace(kept.about, share=kept.about.share if share is None else share)

    def switch(self, reindex: str) -> None:
        """See Reindexing."""
        with self._store._lock:
            kept = self._set(reindex, Phase.SWITCHED, {Phase.BUILT})
            self._store._served = kept.about.generation

    def rollback(self, reindex: str) -> None:
        """See Reindexing."""
        with self._store._lock:
            kept = self._set(reindex, Phase.BUILT, {Phase.SWITCHED})
            self._store._served = kept.about.former

    def cancel(self, reindex: str) -> None:
        """See Reindexing."""
        self._end(reindex, switched=False, wanted="cancelled")

    def drop(self, reindex: str) -> None:
        """See Reindexing."""
        self._end(reindex, switched=True, wanted="dropped")

    def _end(self, reindex: str, switched: bool, wanted: str) -> None:
        store = self._store
        with store._lock:
            kept = self._kept(reindex)
            if kept is None:
                if store._last_reindex == reindex:
                    return
                raise Conflict("no_reindex")
            if (kept.about.phase is Phase.SWITCHED) is not switched:
                raise wrong_phase(kept.about.phase, wanted)
            given_up = kept.about.former if switched else kept.about.generation
            del store._generations[given_up]
            store._dropped.add(given_up)
            store._reindex, store._last_reindex = None, reindex

    def drop_some(self) -> bool:
        """See Reindexing."""
        with self._store._lock:
            while self._store._dropped:
                gone = self._store._dropped.pop()
                del self._store._links[gone], self._store._limits[gone]
            return True

    def _kept(self, reindex: str = "") -> _Reindex | None:
        kept = self._store._reindex
        if not isinstance(kept, _Reindex) or reindex not in ("", kept.about.id):
            return None
        return kept

    def _set(self, reindex: str, phase: Phase, allowed: set[Phase]) -> _Reindex:
        with self._store._lock:
            kept = self._kept(reindex)
            if kept is None:
                raise Conflict("no_reindex")
            if kept.about.phase not in {phase, *allowed}:
                raise wrong_phase(kept.about.phase, phase)
            kept.about = replace(kept.about, phase=phase)
            return kept
