"""From deliveries to the pipeline: who is acknowledged, who is given back, who is dead."""

import threading
from collections.abc import Callable

import structlog

from facematch.broker import Broker, Delivery
from facematch.errors import Misconfigured, NotFound, Unavailable
from facematch.failpoints import reached
from facematch.job import Message

_log = structlog.get_logger()

_RECEIVE_SECONDS = 1.0
_PAUSE_SECONDS = 1.0


def consume(
    broker: Broker,
    process: Callable[[str], object],
    ready: Callable[[], None],
    stop: threading.Event,
) -> None:
    """Take messages and process their jobs, one at a time, until `stop` is set.

    `ready` raises Unavailable while the parts that `process` needs are not all there; no
    message is taken meanwhile, so that another worker can have it. Raises Misconfigured when
    one of them does; the message in hand is given back.
    """
    while not stop.is_set():
        try:
            ready()
        except Unavailable as error:
            broker.rest()
            _wait(error, stop)
            continue
        try:
            delivery = broker.receive(_RECEIVE_SECONDS)
        except Unavailable as error:
            _wait(error, stop)
            continue
        if delivery is not None:
            _handle(delivery, process, stop)


def _wait(error: Unavailable, stop: threading.Event) -> None:
    _log.warning("waiting", code=error.code, detail=str(error))
    stop.wait(_PAUSE_SECONDS)


def _handle(delivery: Delivery, process: Callable[[str], object], stop: threading.Event) -> None:
    try:
        job = Message.decode(delivery.body).job
    except ValueError as error:
        _log.error("not a job message", detail=str(error))
        delivery.reject()
        return
    with structlog.contextvars.bound_contextvars(job=job):
        try:
            process(job)
        except NotFound as error:
            _log.warning("no such job any more", detail=str(error))
        except Unavailable as error:
            _log.warning("given back", code=error.code, detail=str(error))
            delivery.retry()
            stop.wait(_PAUSE_SECONDS)
            return
        except Misconfigured:
            delivery.retry()
            raise
        except Exception:  # noqa: BLE001 - whatever it is, the attempts counted in the job end it
            _log.exception("given back after an error of ours")
            delivery.retry()
            stop.wait(_PAUSE_SECONDS)
            return
        delivery.ack()
        reached("after_ack")
