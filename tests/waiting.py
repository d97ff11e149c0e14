"""Waiting for something that must come about; every test that waits uses it."""

import time
from collections.abc import Callable


def eventually(
    condition: Callable[[], object], what: str = "what is waited for", seconds: float = 60.0
) -> None:
    """Return as soon as the condition holds; AssertionError naming `what` after `seconds`."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not within {seconds:g} s: {what}"
        time.sleep(0.01)


def quietly(check: Callable[[], None], times: int = 10) -> None:
    """That it holds once in so many times: a machine that others use stands still at times, and a
    fault fails them all."""
    for left in reversed(range(times)):
        try:
            check()
        except AssertionError:
            if not left:
                raise
        else:
            return
