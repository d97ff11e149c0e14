"""A worker has the append-only file of Redis written anew now and then: what was erased is in
it for no longer than was promised.
"""

import secrets
import threading
from typing import Protocol

import structlog

from facematch.errors import Unavailable
from facematch.jitter import jittered

_SECONDS = 60.0

_log = structlog.get_logger()


class Rewriting(Protocol):
    """See facematch.redis_rewriting.RedisRewriting."""

    def due(self, seconds: float, holder: str) -> bool:
        """Whether `holder` is to do it now."""

    def rewrite(self) -> None:
        """Do it, and return when it is done. Raises Unavailable."""


def keep_rewriting(
    rewriting: Rewriting, hours: float, stop: threading.Event, *, seconds: float = _SECONDS
) -> None:
    """Have it written anew every so many hours until `stop` is set; for a thread of its own.

    A lease spares several workers from doing the same.
    """
    holder = secrets.token_hex(8)
    while not stop.wait(jittered(seconds)):
        try:
            if rewriting.due(hours * 3600, holder):
                rewriting.rewrite()
                _log.info("the append-only file was written anew")
        except Unavailable as error:
            _log.warning("rewriting put off", code=error.code, detail=str(error))
        except Exception:  # noqa: BLE001 - jobs go on, and so shall this
            _log.exception("rewriting failed")
