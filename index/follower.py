"""Keeping an index in step with the log of a collection, and answering queries meanwhile.

One thread runs `Follower.run`; the server's threads call `within`, `pairs` and `status`.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import structlog
from tenacity import RetryCallState, RetryError, Retrying, sleep_using_event, stop_when_event_set
from tenacity.wait import wait_random_exponential

from facematch.errors import CODES, NotFound, Unavailable
from facematch.faces import DEFAULT_THRESHOLD, FACES_PER_POSITION, face_ids
from facematch.failpoints import reached
from facematch.loading import Portion, load, read_on
from facematch.log import Entry, Tail
from facematch.sidecar import IndexStatus
from facematch.store import Store
from facematch.wire import Candidates, Gathering, Pairs, Query
from index.budget import Budget, Full
from index.engine import AnyEngine, Engine, first_beyond
from index.recall import Recall
from index.room import RESTS, Room
from index.sharing import SharedLock

_POLL_SECONDS = 0.05
#: When nothing has come and nobody has asked for so long, it looks less often: whoever asks next
#: makes up what came meanwhile.
_QUIET_SECONDS, _QUIET_POLL_SECONDS = 10.0, 1.0
_MOST_SECONDS_BETWEEN_TRIES = 5.0
_GONE = "no_collection"
_NOWHERE = Tail(0, "")

_log = structlog.get_logger()


@dataclass(frozen=True)
class _Trouble:
    """Why it cannot go on."""

    code: str
    reason: str


_NONE = _Trouble("", "")


class Follower:
    """An engine together with the place in the log that it reflects.

    Both change under one lock, an entry at a time, so that every answer tells the place it
    is right for. It is ready from the moment it has loaded the collection until it meets a log
    that does not continue its own; then it starts anew with an empty engine. When the engine is
    full it stays where it is, and goes on answering for that place, until all that is alive would
    fit again: then it is loaded anew, without what was erased.
    """

    def __init__(
        self,
        store: Store,
        budget: Budget | None = None,
        new_engine: Callable[[Budget], AnyEngine] = Engine,
        make_room: Callable[[int], None] | None = None,
        loaded: Callable[[], None] | None = None,
    ) -> None:
        """`budget`: what its memory comes out of; None: it may take any. `make_room`: have so
        many bytes free in it, or raise Full. `loaded` is called when a load has come to its end.
        """
        self._store = store
        self._budget = budget or Budget()
        self._new_engine = new_engine
        self._room = Room(store, make_room or self._budget.require)
        self._tell_loaded = loaded
        self._lock = SharedLock()
        self._engine: AnyEngine | None = None
        self._tail = _NOWHERE
        self._fence = _NOWHERE
        self._end = 0
        self._progress = (0, 0)
        self._trouble = _NONE
        self._radius = DEFAULT_THRESHOLD
        self._recall = Recall()
        self._anew = False
        self._stirred = time.monotonic()

    def run(self, stop: threading.Event) -> None:
        """Load, then follow, until `stop` is set. No error ends it: it tries again."""
        retrying = Retrying(
            wait=wait_random_exponential(multiplier=0.1, max=_MOST_SECONDS_BETWEEN_TRIES),
            stop=stop_when_event_set(stop),
            sleep=sleep_using_event(stop),
            before_sleep=self._failed,
        )
        while not stop.is_set():
            try:
                caught_up = retrying(self._step, stop)
            except RetryError:
                return
            if caught_up:
                quiet = time.monotonic() - self._stirred > _QUIET_SECONDS
                stop.wait(_QUIET_POLL_SECONDS if quiet else _POLL_SECONDS)

    def close(self) -> None:
        """Give its memory back; once `run` has ended."""
        self._forget()

    def within(self, query: Query) -> Candidates:
        """The candidates and the place they are right for. Raises Unavailable: index_loading, or
        index_full when the collection does not fit."""
        with self._lock.reading():
            engine = self._answering()
            self._radius, self._stirred = query.radius, time.monotonic()
            # It may become another one meanwhile, but not there and back.
            exact = engine.exact
            faces = engine.within(query.encodings, query.radius, query.before)
            return Candidates(faces, self._tail, exact and engine.exact)

    def pairs(self, query: Query) -> Pairs:
        """The same of each of the encodings, and also raises Rejected("answer_too_large").

        What takes long is done without the lock, so that entries are applied meanwhile, and still
        one place is told for which none is missing: that at the end. A face that is alive there
        either was there at the beginning, and then all the time, because no face comes back: so the
        engine finds it. Or it was added meanwhile: those are searched once more in the end, when
        nothing changes any more, and are few, or none where all positions asked for were there at
        the beginning. One that was erased meanwhile may be in the answer or not; the place is
        behind its erasure. All that holds while the engine is the same one. Another one has loaded
        what may be another history: then there is no answer.
        """
        with self._lock.reading():
            engine = self._answering()
            end, exact = engine.end, engine.exact
        found, beyond = Gathering(), first_beyond(query.before)
        for portion in engine.pairs(query.encodings, query.radius, 0, min(end, beyond)):
            found.add(*portion)
            reached("mid_pairs")
            if self._engine is not engine:  # it shall not be kept for an answer that there is not
                break
        with self._lock.reading():
            if self._answering() is not engine:
                raise Unavailable("index_loading", "it was loaded anew meanwhile")
            for portion in engine.pairs(query.encodings, query.radius, end, beyond):
                found.add(*portion)
            tail, exact = self._tail, exact and engine.exact
        return found.pairs(tail, exact)

    def sample(self, rng: np.random.Generator) -> None:
        """Compare one search of an approximate index with brute force."""
        engine = self._engine
        if engine is not None and not engine.exact:
            self._recall.note(*engine.measure(rng, self._radius))

    def status(self) -> IndexStatus:
        """How far it is. Never waits for a query."""
        anew = self._anew  # before the engine: it is taken back when that is gone
        engine, tail, (loaded, images) = self._engine, self._tail, self._progress
        ready = engine is not None and not anew and self._whole()
        return IndexStatus(
            ready=ready,
            position=tail.position,
            chain=tail.chain,
            behind=max(0, self._end - tail.position) if engine is not None else 0,
            faces=len(engine) if engine is not None else 0,
            memory=engine.bytes if engine is not None else 0,
            loaded=loaded,
            images=images,
            reason=self._trouble.reason if ready else self._reason(),
            code=self._trouble.code if ready else self._code(),
            exact=engine is None or engine.exact,
            recall=self._recall.value,
        )

    @property
    def gone(self) -> bool:
        """Whether its collection was erased, as far as it knows."""
        return self._trouble.code == _GONE

    @property
    def taken(self) -> int:
        """The memory that closing it would give back."""
        engine = self._engine
        return engine.taken if engine is not None else 0

    def idle(self, used: float, least: float) -> bool:
        """See Room."""
        return self._room.idle(used, least)

    def rebuild(self) -> None:
        """Forget everything and load anew: it is not ready until it has."""
        _log.info("asked to load anew")
        self._anew = True

    def _answering(self) -> AnyEngine:
        """What to answer from. Raises Unavailable. Called with the lock."""
        if self._engine is None or self._anew or not self._whole():
            raise Unavailable(self._code(), self._reason())
        return self._engine

    def _whole(self) -> bool:
        return self._tail.position >= self._fence.position

    def _code(self) -> str:
        full = self._engine is None and self._trouble.code == "index_full"
        return "index_full" if full else "index_loading"

    def _reason(self) -> str:
        if self._trouble.reason:
            return self._trouble.reason
        if self._anew:
            return "it is to be loaded anew"
        if self._engine is not None:
            return f"at position {self._tail.position}, needed is {self._fence.position}"
        loaded, images = self._progress
        return f"{loaded} of {images} images are loaded"

    def _step(self, stop: threading.Event) -> bool:
        """Load or follow a portion; True when there is nothing more to do for now."""
        if self._anew:
            self._begin_anew()
        engine, began = self._engine, time.monotonic()
        try:
            caught_up = self._load(stop) if engine is None else self._follow(engine, stop)
        except Full:
            stop.wait(RESTS * (time.monotonic() - began))
            raise
        except Unavailable as error:
            # A store that is away takes nothing from what is loaded: who asks compares the answer
            # with the log anyway. Anything else means that ours is not to be trusted.
            if error.code != "store_unavailable":
                self._forget()
            raise
        except Exception:
            self._forget()
            raise
        if self._trouble.code:
            self._trouble = _NONE
            _log.info("following the log", position=self._tail.position)
        return caught_up

    def _load(self, stop: threading.Event) -> bool:
        self._room.before_load()
        began = time.monotonic()
        engine = loaded = None
        try:
            engine = self._new_engine(self._budget)
            reached_at = load(self._store, engine, stop, self._report)
            engine.tend()
            loaded = reached_at
        except Full as error:
            if not self._room.too_little(engine, error):
                raise
            return False
        finally:
            if engine is not None and loaded is None:
                engine.close()
        if loaded is None:
            return True
        with self._lock.writing():
            self._engine, self._tail, self._fence = engine, loaded.tail, loaded.fence
        seconds = time.monotonic() - began
        self._room.loaded(seconds)
        _log.info(
            "loaded", position=self._tail.position, faces=len(engine), seconds=round(seconds, 2)
        )
        if self._tell_loaded is not None:
            self._tell_loaded()
        return False

    def _report(self, loaded: int, images: int) -> None:
        self._trouble = _NONE
        self._progress = (loaded, images)

    def _follow(self, engine: AnyEngine, stop: threading.Event) -> bool:
        portion = read_on(self._store, self._tail, self._fence)
        self._end = portion.end.position
        if portion.entries:
            self._stirred = time.monotonic()
        try:
            for entry in portion.entries:
                reached("before_apply")
                if stop.is_set():
                    break
                self._apply(engine, entry, portion)
                reached("after_apply")
        except Full as error:
            if not self._room.find(engine, error):
                _log.info("loading anew what is left after erasures", position=self._tail.position)
                self._begin_anew()
            return False
        engine.tend()
        return self._tail == portion.end

    def _apply(self, engine: AnyEngine, entry: Entry, portion: Portion) -> None:
        with self._lock.writing():
            if entry.op == "del":
                engine.remove(face_ids(entry.target, FACES_PER_POSITION))
            elif entry.position in portion.faces:
                found = portion.faces[entry.position]
                engine.add(face_ids(entry.position, len(found)), found)
            else:
                self._fence = portion.fence
            self._tail = entry.tail

    def _begin_anew(self) -> None:
        # Whoever asks while nothing is loaded is to hear of that, and not of what was before.
        self._trouble = _NONE
        self._forget()

    def _forget(self) -> None:
        with self._lock.writing():
            engine, self._engine = self._engine, None
            self._tail = self._fence = _NOWHERE
            self._progress = (0, 0)
            self._recall = Recall()
            self._anew = False
        if engine is not None:
            engine.close()

    def _failed(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        gone = isinstance(error, NotFound)
        planned, before = isinstance(error, Unavailable) or gone, self._trouble
        if isinstance(error, Unavailable):
            self._trouble = _Trouble(error.code, str(error))
        elif gone:
            self._trouble = _Trouble(_GONE, CODES[_GONE])
        else:
            self._trouble = _Trouble("internal_error", CODES["internal_error"])
        if planned and self._trouble == before:
            return
        _log.warning(
            "cannot follow the log",
            reason=self._trouble.reason,
            ready=self._engine is not None,
            exc_info=None if planned else error,
        )
