"""Keeps the faces in a vector database in step with the log: see `facematch.generations`.

Every worker may run one; a lease in the store lets one of them work. It is right with several at
once, too, and with one that was paused in the middle of a step: nothing here replaces or takes
away what somebody else may be right about. In the order of a step lies what makes answers right:

1. The place that says most must be in the log, and so must all others: else a new generation.
2. Faces of `add` entries are added.
3. A place is added that claims them, and the deletions to come.
4. Former places are forgotten: they are parts of the history of the new one.
5. Faces of `del` entries are removed, and a place says that they are.

So a deletion that anybody sees is claimed by a place, and if Redis loses the end of its log that
place is not in the log, which whoever asks notices. Who comes after one that died before 5 reads
from the place how far deletions are done, and does the rest.
"""

import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import numpy as np
import structlog

from facematch.errors import Unavailable
from facematch.faces import Encodings, FaceIds, ids_of_all
from facematch.failpoints import reached
from facematch.generations import Generations, Place, current
from facematch.loading import advance, continues, load
from facematch.log import Entry, Tail
from facematch.store import Store

LEASE = "feeder"
_PORTION = 1000
_POLL_SECONDS = 0.05
_STANDBY_SECONDS = 1.0
_LEASE_SECONDS = 10.0
_KEEP_SECONDS = 60.0
#: How often what others wrote is read although the log has not grown.
_LOOK_SECONDS = 1.0
_TIDY_SECONDS = 10.0
_MOST_SECONDS_BETWEEN_TRIES = 5.0
#: Of the chain, kept with a face: tells apart what has the same position in two histories.
_WORD = 12

_log = structlog.get_logger()

Report = Callable[[int, int], None]


class Feeder:
    """One who feeds. For one thread."""

    def __init__(self, store: Store, generations: Generations) -> None:
        self._store = store
        self._generations = generations
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
            self._tidy()
            self._tidied = now
            places = current(self._generations.places())
        if not places or not self._in_the_log(places):
            self.rebuild(stop, lambda loaded, images: None)
            return stop.is_set()
        self._place = self._follow(self._finish_deletions(places))
        return self._place.tail == self._store.log(self._place.tail.position, 0).tail

    def rebuild(self, stop: threading.Event, report: Report) -> str | None:
        """Load a new generation and let it take the place of the others; its name, or None when
        `stop` was set meanwhile. `report` is called with the images loaded and all there are."""
        name = self._generations.create(self._store.collection().epoch)
        _log.info("loading a generation", generation=name)
        try:
            self._keep(name)
            place = self._loaded(name, stop, report)
            if place is None:
                self._drop(name)
                return None
            reached("before_place")
            self._keep(name)
            self._generations.add_place(place)
        except BaseException:
            with suppress(Unavailable):
                self._drop(name)
            raise
        _log.info("loaded a generation", generation=name, position=place.tail.position)
        self._tidy()
        return name

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
                gone += _targets(portion.entries)
                done = end
            if done != last.erased:
                raise Unavailable("index_diverged", f"the log changed at position {done.position}")
            last = self._remove(last, gone)
        self._forget([place for place in places if place != last])
        return last

    def _follow(self, place: Place) -> Place:
        """Take in what the log has behind this place; the place reached."""
        end, gone, missing = self._add(place.generation, place.tail, place.tail)
        if end == place.tail:
            return place
        reached("before_place")
        changed = missing or bool(gone)
        claimed = Place(
            place.generation, place.made, end, end if changed else place.erased, place.done
        )
        self._generations.add_place(claimed)
        reached("after_place")
        self._forget([place])
        return self._remove(claimed, gone) if changed else claimed

    def _add(self, name: str, tail: Tail, fence: Tail) -> tuple[Tail, list[int], bool]:
        """Add the faces of the next entries, up to the fence at least: the end reached, the
        positions to be removed, and whether faces were missing.

        They are when the image was erased meanwhile. Until the log has said so, leaving them out
        would be wrong should the store lose the end of its log, the erasure with it.
        """
        gone: list[int] = []
        missing = False
        while True:
            portion = self._store.log(tail.position, _PORTION)
            end = continues(tail, portion)
            _check_passage(portion.entries, fence)
            if not portion.entries and tail.position < fence.position:
                raise Unavailable("index_diverged", f"the log lost position {fence.position}")
            added = {e.position: e.chain for e in portion.entries if e.op == "add"}
            faces = self._store.faces(list(added)) if added else {}
            if len(faces) < len(added):
                missing = True
                fence = advance(self._store, end)
            self._add_faces(name, faces, added)
            gone += _targets(portion.entries)
            tail = end
            if tail.position >= fence.position:
                return tail, gone, missing

    def _add_faces(
        self, name: str, faces: Mapping[int, Encodings], chains: Mapping[int, str]
    ) -> None:
        if faces:
            histories = [
                chains[position][:_WORD] for position, found in faces.items() for _ in found
            ]
            encodings = np.concatenate(list(faces.values()))
            self._generations.add(name, ids_of_all(faces), encodings, histories)
            reached("after_faces")

    def _remove(self, place: Place, gone: Sequence[int]) -> Place:
        """Remove the faces of images, and say that this is done."""
        if gone:
            self._generations.remove(place.generation, gone)
            reached("after_removal")
        done = Place(place.generation, place.made, place.tail, place.erased, place.erased)
        if done != place:
            self._generations.add_place(done)
            self._forget([place])
        return done

    def _forget(self, places: Sequence[Place]) -> None:
        if places:
            self._generations.forget(places)

    # -- generations

    def _loaded(self, name: str, stop: threading.Event, report: Report) -> Place | None:
        """The first place of a generation, once it has all faces up to there."""

        def said(loaded: int, images: int) -> None:
            report(loaded, images)
            if time.monotonic() - self._leased > _LEASE_SECONDS / 4:
                self._leased = time.monotonic()
                self._store.lease(LEASE, self._me, _LEASE_SECONDS)
                self._keep(name)

        self._leased = float("-inf")
        loaded = load(self._store, _Intake(self._generations, name), stop, said)
        if loaded is None:
            return None
        end, gone, _ = self._add(name, loaded.tail, loaded.fence)
        self._generations.remove(name, gone)
        # Later than all others by the clock, or, if that goes wrong, by force.
        others = [place.made + 1 for place in self._generations.places()]
        made = max(int(time.time() * 1000), *others, 0)
        return Place(name, made, end, end, end)

    def _keep(self, name: str) -> None:
        """Keep others from taking a generation without a place for one left behind."""
        if not self._unkept(name):
            raise Unavailable("index_loading", "others took the generation for one left behind")

    def _unkept(self, name: str) -> bool:
        return self._store.lease(f"generation {name}", self._me, _KEEP_SECONDS)

    def _drop(self, name: str) -> None:
        self._generations.drop(name)
        self._store.lease(f"generation {name}", self._me, 0)

    def _tidy(self) -> None:
        """Take away what no longer counts: older generations, and those never finished."""
        names = self._generations.names()
        places = self._generations.places()
        ours = {place.generation for place in current(places)}
        others = [place for place in places if place.generation not in ours]
        self._forget(others)
        for name in set(names) - ours:
            # One without a place may be loading.
            if any(place.generation == name for place in others) or self._unkept(name):
                _log.info("dropping a generation", generation=name)
                self._drop(name)
        if ours and not ours & set(self._generations.names()):
            _log.warning("the generation is gone", generation=next(iter(ours)))
            self._forget(current(places))

    def _let_others(self) -> None:
        with suppress(Unavailable):
            self._store.lease(LEASE, self._me, 0)


class _Intake:
    """A generation that is being loaded; see facematch.loading.Intake."""

    def __init__(self, generations: Generations, name: str) -> None:
        self._generations, self._name = generations, name

    def require(self, ours: int) -> None:
        """See Intake; how much room there is, Milvus knows."""

    def add(self, ids: FaceIds, encodings: Encodings) -> None:
        """See Intake."""
        self._generations.add(self._name, ids, encodings, [""] * len(ids))


def _done(places: Sequence[Place]) -> Tail:
    """Up to where deletions are done for sure: somebody slow may have added faces since."""
    return min((place.done for place in places), key=lambda tail: tail.position)


def _targets(entries: Sequence[Entry]) -> list[int]:
    return [entry.target for entry in entries if entry.op == "del"]


def _check_passage(entries: Sequence[Entry], fence: Tail) -> None:
    for entry in entries:
        if entry.position == fence.position and entry.tail != fence:
            raise Unavailable("index_diverged", f"the log changed at position {entry.position}")
