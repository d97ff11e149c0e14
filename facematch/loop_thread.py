"""An asyncio loop in a thread of its own, and connections in it that are made again when lost.

Used by the RabbitMQ broker, whose driver must go on answering heartbeats while a worker computes.
"""

import asyncio
import concurrent.futures
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar

import structlog

from facematch.errors import Unavailable
from facematch.jitter import jittered

_LONGEST_PAUSE = 2.0
_JOIN_SECONDS = 0.5
#: The loop keeps the bounds itself; this much later its thread is taken for dead.
_GRACE = 2.0

_Result = TypeVar("_Result")

_log = structlog.get_logger()


class LoopThread:
    """Starts with the first `run`. Raises Unavailable(code) when it cannot keep a bound."""

    def __init__(self, name: str, code: str) -> None:
        self._name, self._code = name, code
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = asyncio.Event()
        self._closed = False

    def run(self, work: Callable[[], Coroutine[Any, Any, _Result]], seconds: float) -> _Result:
        """The result of `work()` in the loop; Unavailable after `seconds` or when stopped."""
        with self._lock:
            if self._closed:
                raise Unavailable(self._code, "it was closed")
            future = self._submit(lambda: _bounded(work, seconds))
        try:
            return future.result(seconds + _GRACE)
        except (TimeoutError, concurrent.futures.CancelledError) as error:
            raise Unavailable(self._code, f"no answer in {seconds:g} s") from error
        finally:
            future.cancel()

    def stop(self, last: Callable[[], Coroutine[Any, Any, None]], seconds: float) -> None:
        """Run `last()` for up to `seconds`, then end the thread and all that runs in it."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self._thread is None or self._loop is None:
                return
            future = self._submit(lambda: _bounded(last, seconds))
        with suppress(TimeoutError, concurrent.futures.CancelledError):
            future.result(seconds + _GRACE)
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(_JOIN_SECONDS)

    def _submit(
        self, work: Callable[[], Coroutine[Any, Any, _Result]]
    ) -> "concurrent.futures.Future[_Result]":
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            # A daemon: a process that forgets to close shall end all the same.
            self._thread = threading.Thread(
                target=self._main, args=(self._loop,), name=self._name, daemon=True
            )
            self._thread.start()
        return asyncio.run_coroutine_threadsafe(work(), self._loop)

    def _main(self, loop: asyncio.AbstractEventLoop) -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(self._wait())

    async def _wait(self) -> None:
        await self._stopped.wait()


class Session(Protocol):
    """A connection that is open until it is lost."""

    @property
    def lost(self) -> "asyncio.Future[str]":
        """Done when the connection has ended; why, or nothing when it was closed here."""

    async def close(self) -> None:
        """Disconnect."""


_Session = TypeVar("_Session", bound=Session)


class Link(Generic[_Session]):
    """A session that is opened when it is needed, and again when it was lost. For one loop."""

    def __init__(
        self, open_session: Callable[[], Awaitable[_Session]], code: str, seconds: float
    ) -> None:
        """`open_session` may raise Unavailable; it is given `seconds`."""
        self._open, self._code, self._seconds = open_session, code, seconds
        self._opening: asyncio.Task[_Session] | None = None
        self._failures = 0
        self._not_before = 0.0
        self._why = ""

    @property
    def current(self) -> _Session | None:
        """The session, if there is one."""
        task = self._opening
        if task is None or not task.done() or task.cancelled() or task.exception():
            return None
        session = task.result()
        return None if session.lost.done() else session

    @property
    def pause(self) -> float:
        """Seconds until the next attempt to connect may be made."""
        return max(0.0, self._not_before - asyncio.get_running_loop().time())

    async def session(self) -> _Session:
        """The session. Raises Unavailable, at once when an attempt has just failed."""
        if (session := self.current) is not None:
            return session
        if self._opening is None or self._opening.done():
            if self.pause > 0:
                raise Unavailable(self._code, self._why)
            self._opening = asyncio.create_task(self._attempt())
        # The attempt goes on when whoever waits for it gives up.
        return await asyncio.shield(self._opening)

    async def close(self) -> None:
        """Close the session, or stop opening one."""
        if (session := self.current) is not None:
            await session.close()
        elif self._opening is not None:
            self._opening.cancel()

    async def _attempt(self) -> _Session:
        try:
            async with asyncio.timeout(self._seconds):
                session = await self._open()
        except (Unavailable, TimeoutError) as error:
            pause = jittered(min(_LONGEST_PAUSE, 0.1 * 2**self._failures))
            self._not_before = asyncio.get_running_loop().time() + pause
            self._why = str(error) or "no answer while connecting"
            self._failures += 1
            (_log.warning if self._failures == 1 else _log.debug)(self._code, why=self._why)
            raise Unavailable(self._code, self._why) from error
        self._failures = 0
        session.lost.add_done_callback(self._tell)
        return session

    def _tell(self, lost: "asyncio.Future[str]") -> None:
        if lost.result():
            _log.warning(self._code, why=lost.result())


async def _bounded(work: Callable[[], Coroutine[Any, Any, _Result]], seconds: float) -> _Result:
    async with asyncio.timeout(seconds):
        return await work()
