"""Named places where a test makes a process die, stall or fail: FACEMATCH_FAILPOINT.

`name:action[:n]`, where the action (kill, stop, sleep or raise) happens at the n-th time the
place is reached (default the first), and at `sleep` every time from then on. Without the
setting `reached` is one attribute look-up and a call of nothing.
"""

import os
import signal
import threading
import time
from collections.abc import Callable

import structlog

from facematch.errors import Misconfigured

_log = structlog.get_logger()

NAMES = (
    "fetched",
    "encoded",
    "before_commit",
    "after_commit",
    "after_query",
    "mid_link",
    "after_link",
    "after_ack",
    "range_found",
    "mid_range",
    "range_done",
    "after_accept",
    "after_publish",
    "after_erase",
    "after_ledger",
    "mid_unlink",
    "mid_load",
    "before_apply",
    "after_apply",
    "after_faces",
    "before_place",
    "after_place",
    "after_removal",
    "mid_pairs",
    "people_begun",
    "people_read",
    "people_grouped",
    "people_written",
    "imported_images",
    "imported_matches",
    "imported_part",
    "imported_people",
)


class FailpointError(Exception):
    """What the action `raise` raises: an error nobody planned for."""


def _nothing(name: str) -> None:
    del name


_hook: Callable[[str], None] = _nothing


def reached(name: str) -> None:
    """Say that the process is at this place."""
    _hook(name)


def set_hook(hook: Callable[[str], None] | None) -> None:
    """Call `hook` with the name of every place reached; None takes it away."""
    global _hook
    _hook = hook or _nothing


def arm(setting: str) -> None:
    """Make the place named in `setting` fail. Raises Misconfigured for no such failpoint."""
    if not setting:
        return
    name, _, rest = setting.partition(":")
    action, _, count = rest.partition(":")
    known = name in NAMES and action in ("kill", "stop", "sleep", "raise")
    if not known or not (count or "1").isdigit():
        raise Misconfigured(f"no such failpoint: {setting!r}")
    set_hook(_Failpoint(name, action, int(count or 1)))


class _Failpoint:
    def __init__(self, name: str, action: str, nth: int) -> None:
        self._name, self._action, self._nth = name, action, nth
        self._hits = 0
        self._lock = threading.Lock()

    def __call__(self, name: str) -> None:
        if name != self._name:
            return
        with self._lock:
            self._hits += 1
            hits = self._hits
        if hits == self._nth:
            # Who waits for it can tell it from any other death.
            _log.warning("failpoint reached", place=name, action=self._action)
        if self._action == "sleep":
            if hits >= self._nth:
                time.sleep(3600)
        elif hits == self._nth:
            if self._action == "raise":
                raise FailpointError(name)
            os.kill(os.getpid(), signal.SIGKILL if self._action == "kill" else signal.SIGSTOP)
