"""How long the stages of a job took, by the clock: told with the job's line in the log.

    fetch    the bytes: from their URL, or from the store
    decode   in the child: from the bytes to pixels
    detect   in the child: the faces
    encode   the job's share of a batch, by its number of faces
    commit   the image's place in the log, and its faces
    query    the index, what it missed, and every candidate compared
    link     the matches written
    finish   from there being a place to done: query, link, and what is read for them

Where there is a tracer (facematch.tracing) each is a span, too; those that are known only once they
are over end then, or so many seconds before.

What a job waits for in between, for a child or for its turn in a batch, is in none of them. What
is tried again counts again.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from facematch import tracing

#: Of the job that the thread works on; None where nobody asked.
_taken: ContextVar[dict[str, float] | None] = ContextVar("taken", default=None)


def begin() -> dict[str, float]:
    """The seconds of each stage, filled in by what this thread does from now on."""
    seconds: dict[str, float] = {}
    _taken.set(seconds)
    return seconds


def took(stage: str, seconds: float, ago: float = 0.0) -> None:
    """Note that a stage took so long, on top of what it took before. `ago`: seconds since."""
    tracing.past(stage, seconds, ago)
    _add(stage, seconds)


def _add(stage: str, seconds: float) -> None:
    taken = _taken.get()
    if taken is not None:
        # A microsecond is more exact than the clock is right.
        taken[stage] = round(taken.get(stage, 0.0) + seconds, 6)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """What the block takes is a stage's, also when it fails."""
    start = time.perf_counter()
    try:
        with tracing.part(name):
            yield
    finally:
        _add(name, time.perf_counter() - start)
