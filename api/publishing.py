"""Publishes job ids without making a client wait for the broker.

A job is durable before it comes here. One that is not published (the broker is away, the
queue is full, the process dies) is published by a worker's sweeper later.
"""

import queue
import threading
import time
from dataclasses import replace

import structlog
from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception_type,
    stop_after_delay,
    stop_when_event_set,
    wait_exponential,
)
from tenacity.nap import sleep_using_event

from facematch import failpoints, tracing
from facematch.broker import Queues
from facematch.collection_name import DEFAULT
from facematch.errors import Unavailable
from facematch.job import Message

_CHECK_SECONDS = 10.0

_log = structlog.get_logger()


class Publisher:
    """A bounded queue and the one thread that uses the brokers.

    A message is tried again for `patience` seconds; after that a sweeper has the job anyway.
    """

    def __init__(self, queues: Queues, patience: float = 30.0, size: int = 10_000) -> None:
        self._queues = queues
        self._edition = 0
        self._patience = patience
        self._queue: queue.Queue[tuple[int, Message, float] | None] = queue.Queue(size)
        self._stopped = threading.Event()
        self._state = "not asked yet"
        self._full = False
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    @property
    def state(self) -> str:
        """How the broker is, as of its last use a few seconds ago: "up", or "down: " and why."""
        return self._state

    @property
    def queued(self) -> int:
        """How many jobs are still to be published."""
        return self._queue.qsize()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def publish(
        self, job: str, edition: int = 0, traceparent: str = "", collection: str = DEFAULT
    ) -> None:
        """Send the workers of an edition a wake-up for this job soon, or leave it to the sweeper.
        Never waits. `traceparent`: see facematch.tracing."""
        message = Message(job, traceparent, collection)
        try:
            self._queue.put_nowait((edition, message, time.monotonic()))
        except queue.Full:
            if not self._full:
                _log.warning("too many jobs to publish; the sweeper will", job=job)
            self._full = True
        else:
            self._full = False

    def close(self, seconds: float = 2.0) -> None:
        """Send what is queued, for up to `seconds`, and disconnect."""
        try:
            self._queue.put(None, timeout=seconds)
            self._thread.join(seconds)
        except queue.Full:
            pass
        self._stopped.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        self._check()
        while not self._stopped.is_set():
            try:
                item = self._queue.get(timeout=_CHECK_SECONDS)
            except queue.Empty:
                self._check()
                continue
            if item is None:
                break
            try:
                self._publish(*item)
            except Exception:  # noqa: BLE001 - the next message may do better, a dead thread cannot
                message = item[1]
                about = tracing.fields(message.job, message.traceparent)
                _log.exception("an error nobody planned for", **about)
        self._queues.close()

    def _publish(self, edition: int, message: Message, since: float) -> None:
        self._edition = edition
        patient = Retrying(
            retry=retry_if_exception_type(Unavailable),
            wait=wait_exponential(0.2, max=5),
            stop=stop_after_delay(since + self._patience - time.monotonic())
            | stop_when_event_set(self._stopped),
            sleep=sleep_using_event(self._stopped),
            before_sleep=lambda state: self._note(
                _down(state.outcome and state.outcome.exception())
            ),
        )
        about = tracing.fields(message.job, message.traceparent)
        try:
            with tracing.working("publish", message.job, message.traceparent, kind="producer"):
                told = replace(message, traceparent=tracing.here())
                patient(self._queues.of(edition).publish, told)
        except RetryError as error:
            self._note(_down(error.last_attempt.exception()))
            _log.debug("not published; the sweeper will", **about)
        else:
            self._note("up")
            failpoints.reached("after_publish")

    def _check(self) -> None:
        try:
            self._queues.of(self._edition).depth()
        except Unavailable as error:
            self._note(_down(error))
        except Exception:  # noqa: BLE001 - see _run
            _log.exception("an error nobody planned for")
        else:
            self._note("up")

    def _note(self, state: str) -> None:
        was_up, is_up = self._state == "up", state == "up"
        if is_up and not was_up:
            _log.info("the broker is there")
        elif not is_up and (was_up or self._state == "not asked yet"):
            _log.warning("the broker is away; accepted jobs wait", detail=state)
        self._state = state


def _down(error: object) -> str:
    return f"down: {error}"
