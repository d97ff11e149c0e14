"""Pictures are looked at, and URLs fetched, in children that they cannot harm the worker from.

`worker.nursery` is the process from which the children are forked, `worker.child` the worker's end
of both, `worker.frames` what is said. A child that crashes, hangs or wants too much memory costs
its own task; the next one finds a fresh child.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TypeVar

import structlog

from facematch.errors import Rejected
from worker.batching import Batcher
from worker.child import Child, Nursery
from worker.encoder import Encoder
from worker.frames import Broken, ChildSettings, Exhausted, Fetch, Fetched, Look, Refused, Task
from worker.lending import Lending
from worker.looking import Crashed, Looked, Looker, Seen, looked
from worker.stages import took

#: Seconds by the clock for each second of processor time: a busy machine is no picture's fault.
_CLOCK_TIMES = 5.0
#: A child counts its own seconds, and knows better what it was doing when they were over.
_GRACE_SECONDS = 2.0

_Outcome = TypeVar("_Outcome", Fetched, Seen)

_log = structlog.get_logger()


class Sandbox:
    """Safe to use from several threads."""

    def __init__(self, settings: ChildSettings, *, lookers: int, fetchers: int) -> None:
        """Starts the nursery, and does not wait for it. `lookers`, `fetchers`: how many children
        there are at the most for either; each is started when it is needed.
        """
        self._nursery = Nursery(settings)
        self._lookers = _Children(self._nursery, lookers)
        self._fetchers = _Children(self._nursery, fetchers)
        self._look_seconds = _CLOCK_TIMES * settings.cpu_seconds
        self._fetch_seconds = settings.fetch.timeout + _GRACE_SECONDS

    def look(self, data: bytes, hurry: bool = False) -> Seen:
        """The faces of a picture, not yet encoded. `hurry`: before others that wait for a child.

        Raises Rejected as `worker.decode` does, Crashed: decoder_crashed, out_of_memory,
        timed_out; Unavailable("sandbox_unavailable") when no child can be had. What needs more
        memory than pictures have that are looked at at the same time is looked at alone.
        """
        try:
            return self._lookers.ask(Look(data), Seen, self._look_seconds, hurry=hurry)
        except Crashed as crashed:
            if crashed.code != "out_of_memory":
                raise
        return self._lookers.ask_alone(Look(data, alone=True), Seen, self._look_seconds, hurry)

    def fetch(self, url: str, hurry: bool = False) -> bytes:
        """The bytes behind a URL. Raises Rejected as `worker.fetch` does, else as `look` does."""
        return self._fetchers.ask(Fetch(url), Fetched, self._fetch_seconds, hurry=hurry).data

    def check(self) -> None:
        """Wait until children can be had. Raises Unavailable("sandbox_unavailable")."""
        self._nursery.check()

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *error: object) -> None:
        """End the nursery, and with it all children."""
        self._nursery.close()
        self._lookers.close()
        self._fetchers.close()


class SandboxedLooker:
    """See worker.looking.Looker: finds faces in the sandbox, and encodes them in this process."""

    def __init__(self, sandbox: Sandbox, encoder: Encoder) -> None:
        self._sandbox = sandbox
        self._batcher = Batcher(encoder.encode)

    def look(self, data: bytes) -> Looked:
        """See Looker."""
        return self._look(data, hurry=False)

    @property
    def in_a_hurry(self) -> Looker:
        """The same for who comes before others; what is encoded shares their batches."""
        return _Hurried(partial(self._look, hurry=True))

    def _look(self, data: bytes, hurry: bool) -> Looked:
        seen = self._sandbox.look(data, hurry)
        took("decode", seen.decoding, ago=seen.finding)
        took("detect", seen.finding)
        return looked(seen, self._batcher.encode(seen.crops))


class _Hurried:
    def __init__(self, look: Callable[[bytes], Looked]) -> None:
        self._look = look

    def look(self, data: bytes) -> Looked:
        return self._look(data)


class _Children:
    """Up to so many children, the last used first, so that no more are started than needed."""

    def __init__(self, nursery: Nursery, count: int) -> None:
        self._nursery = nursery
        self._count = count
        self._one_alone = threading.Lock()
        self._free: Lending[Child | None] = Lending([None] * count)

    def ask(
        self,
        task: Task,
        wanted: type[_Outcome],
        seconds: float,
        *,
        fresh: bool = False,
        hurry: bool = False,
    ) -> _Outcome:
        """`fresh`: of a child that had no task before; others keep some of the memory they had.
        `hurry`: see Lending."""
        with self._borrowed(fresh, hurry) as child:
            outcome = child.ask(task, seconds)
            match outcome:
                case Exhausted():
                    raise Crashed("out_of_memory")
                case Broken(where):
                    _log.error("a picture met an error of ours", where=where)
                    raise Crashed("decoder_crashed", "an error nobody planned for")
                case Refused():
                    pass
                case _ if not isinstance(outcome, wanted):
                    raise Crashed("decoder_crashed", "a child answered with something else")
        if isinstance(outcome, Refused):
            raise Rejected(outcome.code, outcome.detail)
        return outcome

    def close(self) -> None:
        """Let go of those that have no task."""
        for child in self._free.take_free():
            if child is not None:
                child.discard()
            self._free.give(None)

    def ask_alone(
        self, task: Task, wanted: type[_Outcome], seconds: float, hurry: bool
    ) -> _Outcome:
        """While no other child has a task, with all the memory there is."""
        with self._one_alone, ExitStack() as idle:
            for _ in range(self._count - 1):
                idle.callback(self._free.give, self._free.take(hurry))
            return self.ask(task, wanted, seconds, fresh=True, hurry=hurry)

    @contextmanager
    def _borrowed(self, fresh: bool, hurry: bool) -> Iterator[Child]:
        child = self._free.take(hurry)
        try:
            if fresh and child is not None:
                child.discard()
                child = None
            child = child or self._nursery.child()
            yield child
        except BaseException:
            if child is not None:
                child.discard()
            child = None
            raise
        finally:
            self._free.give(child)
