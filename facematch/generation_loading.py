"""Loading generations of faces, and taking into one what the log says. Used by `facematch.feeder`,
and by who wants a generation made anew.
"""

import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import structlog

from facematch.errors import Unavailable
from facematch.faces import Encodings, FaceIds, ids_of_all
from facematch.failpoints import reached
from facematch.generations import Generations, Place, current
from facematch.loading import load, read_on
from facematch.log import Entry, Tail
from facematch.store import Store

_KEEP_SECONDS = 60.0
#: Of the chain, kept with a face: tells apart what has the same position in two histories.
_WORD = 12

_log = structlog.get_logger()


@dataclass(frozen=True)
class Taken:
    """The place reached, the positions whose faces are to be removed by then, and whether faces
    were missing already."""

    tail: Tail
    gone: Sequence[int]
    missing: bool


def take_in(
    store: Store, generations: Generations, generation: str, tail: Tail, fence: Tail
) -> Taken:
    """Add the faces of the entries behind `tail`, up to `fence` at least, and further where that
    is needed to be whole (see `facematch.loading.read_on`)."""
    gone: list[int] = []
    missing = False
    while True:
        portion = read_on(store, tail, fence)
        _add(generations, generation, portion.faces, {e.position: e.chain for e in portion.entries})
        gone += targets(portion.entries)
        tail, fence = portion.tail, portion.fence
        missing = missing or portion.missing
        if tail.position >= fence.position:
            return Taken(tail, gone, missing)


def targets(entries: Sequence[Entry]) -> list[int]:
    """The positions of the images that are deleted by these entries."""
    return [entry.target for entry in entries if entry.op == "del"]


class Loader:
    """Makes generations, and clears away what is left of former ones."""

    def __init__(self, store: Store, generations: Generations) -> None:
        self._store = store
        self._generations = generations
        self._me = secrets.token_hex(8)

    def rebuild(self, stop: threading.Event, report: Callable[[int, int], None]) -> str | None:
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
        self.tidy()
        return name

    def _loaded(
        self, name: str, stop: threading.Event, report: Callable[[int, int], None]
    ) -> Place | None:
        """The first place of a generation, once it has all faces up to there."""

        def said(loaded: int, images: int) -> None:
            report(loaded, images)
            self._keep(name)

        loaded = load(self._store, _Intake(self._generations, name), stop, said)
        if loaded is None:
            return None
        taken = take_in(self._store, self._generations, name, loaded.tail, loaded.fence)
        self._generations.remove(name, taken.gone)
        # Later than all others by the clock, or, if that goes wrong, by force.
        others = [place.made + 1 for place in self._generations.places()]
        made = max(int(time.time() * 1000), *others, 0)
        return Place(name, made, *[taken.tail] * 4)

    def _keep(self, name: str) -> None:
        """Keep others from taking a generation without a place for one left behind."""
        if not self._unkept(name):
            raise Unavailable("index_loading", "others took the generation for one left behind")

    def _unkept(self, name: str) -> bool:
        return self._store.lease(f"generation {name}", self._me, _KEEP_SECONDS)

    def _drop(self, name: str) -> None:
        self._generations.drop(name)
        self._store.lease(f"generation {name}", self._me, 0)

    def tidy(self) -> None:
        """Take away what no longer counts: older generations, and those never finished."""
        names = self._generations.names()
        places = self._generations.places()
        newest = current(places)
        ours = {place.generation for place in newest}
        if ours and not ours & {*names, *self._generations.names()}:
            # The one before it may still be there, and right.
            _log.warning("a generation is gone", generation=newest[0].generation)
            self._generations.forget(newest)
            return
        others = [place for place in places if place.generation not in ours]
        self._generations.forget(others)
        for name in set(names) - ours:
            # One without a place may be loading.
            if any(place.generation == name for place in others) or self._unkept(name):
                _log.info("dropping a generation", generation=name)
                self._drop(name)


class _Intake:
    """A generation that is being loaded; see facematch.loading.Intake."""

    def __init__(self, generations: Generations, name: str) -> None:
        self._generations, self._name = generations, name

    def require(self, faces: int) -> None:
        """See Intake; how much room there is, Milvus knows."""

    def add(self, ids: FaceIds, encodings: Encodings) -> None:
        """See Intake."""
        self._generations.add(self._name, ids, encodings, [""] * len(ids))


def _add(
    generations: Generations,
    generation: str,
    faces: Mapping[int, Encodings],
    chains: Mapping[int, str],
) -> None:
    if faces:
        histories = [chains[position][:_WORD] for position, found in faces.items() for _ in found]
        encodings = np.concatenate(list(faces.values()))
        generations.add(generation, ids_of_all(faces), encodings, histories)
        reached("after_faces")
