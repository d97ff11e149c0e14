"""`facematch functions`: what it does to a Redis, and what it prints."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from facematch import redis_limits, redis_scripts, streams
from facematch.commands.stores import urls
from facematch.commands.text import Document
from facematch.redis_connection import connect
from facematch.redis_functions import Source, load, prune


@dataclass(frozen=True)
class Done:
    """How many functions this version has, how many of them had to be put there, and how many of
    other versions were deleted."""

    functions: int
    loaded: int
    deleted: int


def sources() -> list[Source]:
    """Every script that a process of this version has Redis run."""
    return [*redis_scripts.sources(), streams.FORGET, redis_limits.LOOK, redis_limits.TAKE]


def run(data: Path | None, only: bool) -> Done:
    """Put the functions of this version into a Redis (see facematch.commands.stores.urls); `only`:
    and delete those of all others. Raises Misconfigured for a folder without data, Unavailable."""
    ours = sources()
    with urls(data) as (redis_url, _), connect(redis_url) as client:
        loaded = load(client, ours)
        return Done(len(ours), loaded, prune(client, ours) if only else 0)


def document(done: Done) -> Document:
    """For a script."""
    return asdict(done)


def lines(done: Done) -> Iterator[str]:
    """For people."""
    had = done.functions - done.loaded
    yield f"{done.functions} functions: {had} were there, {done.loaded} are there now, too."
    if done.deleted:
        yield f"{done.deleted} of other versions were deleted."
