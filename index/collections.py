"""The collections that a process has loaded: each on first use, all within one budget.

One that has been idle is dropped whole when another needs the room, and loaded again when it is
used again. Used by `index.server`.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import structlog

from facematch.collection_name import DEFAULT, check_edition, collection_of
from facematch.errors import NotFound, Unavailable
from facematch.sidecar import IndexStatus
from facematch.startup import usable_cores
from facematch.store import Store
from facematch.wire import Candidates, Pairs, Query
from index.budget import Budget
from index.engine import AnyEngine, Engine
from index.follower import Follower
from index.metrics import Metrics

#: A collection in use is asked more often than that.
LEAST_IDLE_SECONDS = 5.0
#: Collections that are held at the most, if none of them is in use.
MOST_HELD = 100
#: The first query of a collection waits for it so long: a small one is there by then.
_LOAD_SECONDS = 0.5
#: How long the end of an idle follower is waited for: it hangs as long as its store does.
_END_SECONDS = 10.0

_AT_REST = IndexStatus(ready=False, reason="it is not loaded; the first query has it loaded")

_log = structlog.get_logger()


class _Held:
    """A collection's follower and the thread that it runs in."""

    def __init__(self, follower: Follower, loaded: threading.Event) -> None:
        """`loaded`: set once it is."""
        self.follower = follower
        self.used = self._begun = time.monotonic()
        self._loaded = loaded
        self.queries = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        self._stop.set()

    def wait_loaded(self) -> None:
        """Until it is loaded, for a moment after its beginning."""
        left = self._begun + _LOAD_SECONDS - time.monotonic()
        if left > 0:
            self._loaded.wait(left)

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _run(self) -> None:
        self.follower.run(self._stop)
        # Not before its own thread has ended: nobody else knows when it takes nothing any more.
        self.follower.close()


class Collections:
    """Followers by collection. Safe to share between threads."""

    def __init__(
        self,
        open_store: Callable[[str], Store],
        budget: Budget,
        metrics: Metrics,
        new_engine: Callable[[Budget], AnyEngine] = Engine,
        least_idle: float = LEAST_IDLE_SECONDS,
    ) -> None:
        """`open_store`: the store of a collection, which need not exist. `least_idle`: a
        collection used within so many seconds is not dropped."""
        self._open_store = open_store
        self._budget = budget
        self._metrics = metrics
        self._new_engine = new_engine
        self._least_idle = least_idle
        self._lock = threading.Lock()
        self._held: dict[str, _Held] = {}
        # Of the default collection, the one that is served first.
        self._editions: tuple[str, ...] = (DEFAULT,)
        self._told = False
        # More would be no faster. Threads of lower priority were tried instead: they hold what is
        # shared while they wait for a core, so that the follower waits, and with it all others.
        self._turns = threading.BoundedSemaphore(usable_cores())
        metrics.watch(budget, self.held)

    def start(self, name: str) -> None:
        """Have it loaded from now on, as soon as the store has it."""
        with self._lock:
            self._have(name)

    def keep(self, editions: Sequence[str]) -> None:
        """The default collection has these editions now, the one that is served first: that is
        loaded from then on, the other when it is first used. One that is not among them was given
        up, and is dropped unless it is being asked. Until this is called for the first time only
        the default collection's first edition is known."""
        with self._lock:
            if editions[0] != self.served:
                self._have(editions[0])
            self._editions, self._told = tuple(editions), True
            given_up = {
                name: held
                for name, held in self._held.items()
                if self._is_edition(name) and name not in editions and held.queries == 0
            }
            for name in given_up:
                del self._held[name]
        for name, held in given_up.items():
            _log.info("dropped an edition that was given up", collection=name)
            held.stop()
        for held in given_up.values():
            held.join(_END_SECONDS)

    @property
    def served(self) -> str:
        """The edition of the default collection that is served, as far as is known."""
        return self._editions[0]

    def within(self, name: str, query: Query) -> Candidates:
        """See Follower. The first query has the collection loaded; until then it raises
        Unavailable("index_loading"). Raises Unavailable: no_collection, store_unavailable."""
        with self._in_use(name) as follower, self._metrics.query(name):
            return follower.within(query)

    def tidy(self) -> None:
        """Drop those that were erased, and what was used least lately of more than MOST_HELD: each
        has a thread that follows its log. To be called now and then."""
        dropped: dict[str, _Held] = {}
        with self._lock:
            for name, held in self._held.items():
                if not self._is_edition(name) and held.follower.gone:
                    dropped[name] = held
            by_use = sorted(self._held.items(), key=lambda item: item[1].used)
            surplus = len(self._held) - len(dropped) - MOST_HELD
            for name, held in by_use:
                if surplus <= 0:
                    break
                idle = held.queries == 0 and held.follower.idle(held.used, self._least_idle)
                if name not in dropped and idle and not self._is_edition(name):
                    dropped[name] = held
                    surplus -= 1
            for name in dropped:
                del self._held[name]
        for name, held in dropped.items():
            _log.info("dropped a collection", collection=name, erased=held.follower.gone)
            self._metrics.dropped(name)
            held.stop()
        for held in dropped.values():
            held.join(_END_SECONDS)

    def pairs(self, name: str, query: Query) -> Pairs:
        """The same: see Follower. Also raises Rejected("answer_too_large"). As many at once as
        there are cores, so that other queries find one soon; the others wait for their turn."""
        with self._in_use(name) as follower, self._metrics.pairs(name), self._turns:
            return follower.pairs(query)

    def rebuild(self, name: str) -> None:
        """Have it loaded anew. Raises as `within`, but for index_loading."""
        with self._in_use(name) as follower:
            follower.rebuild()

    def status(self, name: str) -> tuple[bool, IndexStatus]:
        """Whether queries are welcome, and how far it is. Not a use. Raises as `within`, but for
        index_loading."""
        with self._lock:
            held = self._held.get(name)
        if held is None:
            self._check_known(name)
            return True, replace(_AT_REST, memory_limit=self._budget.limit)
        status = replace(held.follower.status(), memory_limit=self._budget.limit)
        return status.ready, status

    def held(self) -> Mapping[str, tuple[IndexStatus, float]]:
        """What is loaded, or being loaded, with the seconds since it was last used."""
        with self._lock:
            held, now = dict(self._held), time.monotonic()
        return {
            name: (one.follower.status(), 0.0 if one.queries else now - one.used)
            for name, one in sorted(held.items())
        }

    def sample(self, rng: np.random.Generator) -> None:
        """Have each that is held compare a search with brute force, where it is not exact."""
        with self._lock:
            followers = [held.follower for held in self._held.values()]
        for follower in followers:
            follower.sample(rng)

    @property
    def budget(self) -> Budget:
        """What they share."""
        return self._budget

    def alive(self) -> bool:
        """Whether no follower's thread has died."""
        with self._lock:
            return all(held.alive for held in self._held.values())

    def stop(self, seconds: float) -> None:
        """End all followers; waits for them so long, all in all."""
        with self._lock:
            held = list(self._held.values())
        for one in held:
            one.stop()
        until = time.monotonic() + seconds
        for one in held:
            one.join(max(0.0, until - time.monotonic()))

    @contextmanager
    def _in_use(self, name: str) -> Iterator[Follower]:
        with self._lock:
            known = name in self._held
        if not known:
            self._check_known(name)
        with self._lock:
            held = self._have(name)
            held.queries += 1
        try:
            held.wait_loaded()
            yield held.follower
        finally:
            with self._lock:
                held.queries -= 1
                held.used = time.monotonic()

    def _have(self, name: str) -> _Held:
        held = self._held.get(name)
        if held is None:
            _log.info("a collection is used", collection=name)
            loaded = threading.Event()
            follower = Follower(
                self._open_store(name),
                self._budget,
                self._new_engine,
                lambda needed: self._make_room(name, needed),
                lambda: self._loaded(name, loaded),
            )
            held = self._held[name] = _Held(follower, loaded)
        return held

    def _loaded(self, name: str, loaded: threading.Event) -> None:
        loaded.set()
        self._metrics.loaded(name)

    def _check_known(self, name: str) -> None:
        """Raise Unavailable unless there is such a collection. Nothing is left behind of a name
        that somebody made up. The default collection is waited for, whoever makes it, and what
        editions it has."""
        if check_edition(name) in self._editions:
            return
        if self._is_edition(name) and not self._told:
            raise Unavailable("index_loading", "it is not known yet which editions there are")
        store = self._open_store(name)
        try:
            store.collection()
        except (NotFound, Unavailable) as error:
            if isinstance(error, Unavailable):
                store.check()  # raises when it is the store that is not there
            raise Unavailable("no_collection", f"there is no collection {name}") from error

    def _is_edition(self, name: str) -> bool:
        return collection_of(name) == DEFAULT

    def _make_room(self, name: str, needed: int) -> None:
        """Drop idle collections, those idle for longest first, until so many bytes are free.
        Raises Full, and drops none, when it would not be enough."""
        dropped: dict[str, _Held] = {}
        with self._lock:
            room = needed
            for other, held in sorted(self._held.items(), key=lambda item: item[1].used):
                if self._budget.has(room):
                    break
                taken = held.follower.taken
                idle = held.queries == 0 and held.follower.idle(held.used, self._least_idle)
                if other != name and taken and idle:
                    dropped[other] = held
                    room -= taken
            if not self._budget.has(room):
                self._budget.require(needed)
            for other in dropped:
                del self._held[other]
        for other, held in dropped.items():
            _log.info("dropped an idle collection", collection=other, needed_by=name)
            self._metrics.dropped(other)
            held.stop()
        for held in dropped.values():
            held.join(_END_SECONDS)
