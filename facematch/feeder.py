"""Keeps the faces in a vector database in step with the log: see `facematch.generations`.

Every worker may run one; a lease in the store lets one of them work. It is right with several at
once, too, and with one that was paused in the middle of a step: nothing here replaces or takes
away what somebody else may be right about. In the order of a step lies what makes answers right:

1. The place that says most must be in the log, and so must all others: else a new generation.
2. Faces of `add` entries are added.
3. A place is added that claims them and the deletions to come; former ones are forgotten, as parts
   of its history.
4. Faces of `del` entries are removed, and a place says that they are.

So a deletion that anybody sees is claimed by a place, and if Redis loses the end of its log that
place is not in the log, which whoever asks notices. Who comes after one that died before 4 reads
from the place how far deletions are done, and does the rest.
"""

import secrets
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import structlog

from facematch.errors import Unavailable
from facematch.failpoints import reached
from facematch.generation_loading import Loader, take_in, targets
from facematch.generations import Generations, Place, current
from facematch.loading import continues
from facematch.log import Tail
from facematch.store import Store

LEASE = "feeder"
_PORTION = 1000
_POLL_SECONDS = 0.05
_STANDBY_SECONDS = 1.0
_LEASE_SECONDS = 10.0
#: How often what others wrote is read although the log has not grown.
_LOOK_SECONDS = 1.0
_TIDY_SECONDS = 10.0
_MOST_SECONDS_BETWEEN_TRIES = 5.0

_log = structlog.get_logger()


class Feeder:
    """One who feeds. For one thread."""

    def __init__(self, store: Store, generations: Generations) -> None:
        self._store = store
        self._generations = generations
        self._loader = Loader(store, generations)
        self._me = secrets.token_hex(8)
        self._place: Place | None = None
        self._looked = self._tidied = self._leased = float("-inf")

    def run(self, stop: threading.Event) -> None:
        """Feed whenever nobody else does, until `stop` is set. No error ends it."""
        trouble, pause = "", 0.0
        while not stop.wait(pause):
            try:
                mine = self._store.lease(LEASE, self._me, _LEASE_SECONDS)
                caught_up = self.step(stop) if mine else True
                pause = (_POLL_SECONDS if caught_up else 0.0) if mine else _STANDBY_SECONDS
                trouble = ""
            except Unavailable as error:
                pause = min(_MOST_SECONDS_BETWEEN_TRIES, max(0.1, 2 * pause))
                if str(error) != trouble:
                    trouble = str(error)
                    _log.warning("cannot feed the index", code=error.code, reason=trouble)
                self._let_others()
                self._tidied = float("-inf")
            except Exception:  # noqa: BLE001 - the next step may do better, a dead feeder cannot
                pause = _MOST_SECONDS_BETWEEN_TRIES
                _log.exception("feeding the index failed")
                self._let_others()
        self._let_others()

    def close(self) -> None:
        """Disconnect from the database."""
        self._generations.close()

    def turn(self, stop: threading.Event, seconds: float) -> None:
        """Feed until there is nothing more to do for now, unless somebody else does; for who has
        many to feed, so that no step is begun after so many `seconds`. Raises Unavailable."""
        until = time.monotonic() + seconds
        try:
            while self._store.lease(LEASE, self._me, _LEASE_SECONDS):
                if self.step(stop) or stop.is_set() or time.monotonic() >= until:
                    break
        finally:
            self._let_others()

    def step(self, stop: threading.Event) -> bool:
        """Do a portion; True when there is nothing more to do for now. Raises Unavailable."""
        now = time.monotonic()
        if self._place is not None and now - self._looked < _LOOK_SECONDS:
            log = self._store.log(self._place.tail.position, 0)
            if log.start == log.tail == self._place.tail:
                return True
        self._place, self._looked = None, now
        places = current(self._generations.places())
        if places and self._tidied + _TIDY_SECONDS < now:
            self._loader.tidy()
            self._tidied = now
            places = current(self._generations.places())
        if not places or not self._in_the_log(places):
            self._loader.rebuild(stop, self._keep_lease)
            return stop.is_set()
        self._place = self._follow(self._finish_deletions(places))
        return self._place.tail == self._store.log(self._place.tail.position, 0).tail

    # -- a step

    def _in_the_log(self, places: Sequence[Place]) -> bool:
        """Whether what all places of a generation say is about this history of the log."""
        # The one that says most first: should the history change meanwhile, then what is looked
        # at with the new one is not taken for a part of the old one.
        tails = [place.tail for place in reversed(places)]
        done = _done(places)
        if done.position < places[-1].erased.position:
            tails.append(done)
        for tail in tails:
            try:
                continues(tail, self._store.log(tail.position, 1))
            except Unavailable as error:
                if error.code not in ("index_diverged", "index_behind"):
                    raise
                _log.warning("the log is another than at a place", position=tail.position)
                return False
        return True

    def _finish_deletions(self, places: Sequence[Place]) -> Place:
        """Do what is claimed as deleted and may not be; the place that is left."""
        last, done = places[-1], _done(places)
        if done.position < last.erased.position:
            gone: list[int] = []
            while (left := last.erased.position - done.position) > 0:
                portion = self._store.log(done.position, min(left, _PORTION))
                end = continues(done, portion)
                if end == done:
                    raise Unavailable("index_diverged", f"the log ends at {done.position}")
                gone += targets(portion.entries)
                done = end
            if done != last.erased:
                raise Unavailable("index_diverged", f"the log changed at position {done.position}")
            last = self._remove(last, gone)
        self._forget([place for place in places if place != last])
        return last

    def _follow(self, place: Place) -> Place:
        """Take in what the log has behind this place; the place reached."""
        taken = take_in(self._store, self._generations, place.generation, place.tail, place.tail)
        if taken.tail == place.tail:
            return place
        reached("before_place")
        changed = taken.missing or bool(taken.gone)
        erased = taken.tail if changed else place.erased
        claimed = replace(place, tail=taken.tail, erased=erased, since=place.tail)
        self._generations.add_place(claimed)
        reached("after_place")
        self._forget([place])
        return self._remove(claimed, taken.gone) if changed else claimed

    def _remove(self, place: Place, gone: Sequence[int]) -> Place:
        """Remove the faces of images, and say that this is done."""
        if gone:
            self._generations.remove(place.generation, gone)
            reached("after_removal")
        done = replace(place, done=place.erased)
        if done != place:
            self._generations.add_place(done)
            self._forget([place])
        return done

    def _forget(self, places: Sequence[Place]) -> None:
        if places:
            self._generations.forget(places)

    def _keep_lease(self, loaded: int, images: int) -> None:
        del loaded, images
        if time.monotonic() - self._leased > _LEASE_SECONDS / 4:
            self._leased = time.monotonic()
            self._store.lease(LEASE, self._me, _LEASE_SECONDS)

    def _let_others(self) -> None:
        with suppress(Unavailable):
            self._store.lease(LEASE, self._me, 0)


def _done(places: Sequence[Place]) -> Tail:
    """Up to where deletions are done for sure: somebody slow may have added faces since."""
    return min((place.done for place in places), key=lambda tail: tail.position)
