"""`facematch index`: how far the index is, making it anew, comparing its answers with the truth."""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from facematch import progress
from facematch.collection_name import DEFAULT
from facematch.commands.fsck import finding_lines
from facematch.commands.quietly import quiet
from facematch.commands.stores import served_edition, urls
from facematch.commands.text import Document
from facematch.errors import Unavailable
from facematch.generation_loading import Loader
from facematch.generation_search import GenerationSearch
from facematch.generations import Generations, current
from facematch.index_check import Verified, left_in, too_many, verify
from facematch.indexes import is_milvus, open_generations
from facematch.loading import continues
from facematch.redis_connection import Redis, connect
from facematch.redis_store import RedisStore
from facematch.sidecar import Sidecar
from facematch.store import Store

_ASK_SECONDS = 0.2


@dataclass(frozen=True)
class Status:
    """How far an index is: the place in the log it reflects, of which the log's end is `behind`
    more, and how many faces it holds. `reason`: why it is not ready."""

    kind: str
    ready: bool
    position: int
    behind: int
    faces: int
    reason: str


def status(data: Path | None, collection: str = DEFAULT) -> Status:
    """Ask the index of a data folder, or the one that the settings name.

    Raises Misconfigured, Unavailable.
    """
    with urls(data) as (redis_url, index_url), connect(redis_url) as client:
        return status_at(client, _there(index_url), collection)


def status_at(client: Redis, index_url: str, collection: str = DEFAULT) -> Status:
    """That of the index at a URL, beside this store. Raises Misconfigured, Unavailable."""
    with _opened(client, index_url, collection) as (store, index):
        return (
            _sidecar_status(store, index) if isinstance(index, Sidecar) else _status(store, index)
        )


def rebuild(data: Path | None, collection: str = DEFAULT) -> Status:
    """Make it load the collection anew, and wait until it has. A sidecar answers nothing
    meanwhile; Milvus answers from the faces it has. Raises Misconfigured, Unavailable."""
    with (
        _parts(data, collection) as (store, index),
        contextlib.closing(progress.on(sys.stderr, "images")) as shown,
    ):
        if not isinstance(index, Sidecar):
            Loader(store, index).rebuild(threading.Event(), shown.update)
            return _status(store, index)
        index.rebuild()
        while not (told := index.status()).ready:
            if told.code not in ("", "index_loading"):
                raise Unavailable(told.code, told.reason)
            shown.update(told.loaded, told.images)
            time.sleep(_ASK_SECONDS)
        return _sidecar_status(store, index)


def check(data: Path | None, sample: int, collection: str = DEFAULT) -> Verified:
    """Compare what it answers about `sample` faces. Raises Misconfigured, Unavailable."""
    with (
        _parts(data, collection) as (store, index),
        contextlib.closing(progress.on(sys.stderr, "images")) as shown,
    ):
        if isinstance(index, Sidecar):
            extra = too_many(store, lambda: index.status().faces)
            return verify(store, index, extra, sample, shown.update)
        search = GenerationSearch(index)
        return verify(store, search, left_in(store, index), sample, shown.update)


def document(answer: Status | Verified) -> Document:
    """For a script."""
    return asdict(answer)


def status_lines(answer: Status) -> Iterator[str]:
    """For people."""
    ready = "ready" if answer.ready else f"not ready: {answer.reason}"
    yield f"{answer.kind}, {ready}"
    place = f"at position {answer.position:,}, {answer.behind:,} behind the log"
    yield f"{answer.faces:,} faces, {place}"
    if answer.ready and answer.reason:
        yield f"it cannot follow the log: {answer.reason}"


def verified_lines(answer: Verified) -> Iterator[str]:
    """For people."""
    yield (
        f"{answer.sampled:,} faces compared with {answer.faces:,} of {answer.images:,} images,"
        f" {answer.neighbours:,} neighbours"
    )
    yield from finding_lines(answer.findings)


@contextlib.contextmanager
def _parts(
    data: Path | None, collection: str = DEFAULT
) -> Iterator[tuple[Store, Sidecar | Generations]]:
    with (
        urls(data) as (redis_url, index_url),
        connect(redis_url) as client,
        _opened(client, _there(index_url), collection) as opened,
    ):
        yield opened


def _there(index_url: str | None) -> str:
    if index_url is None:
        raise Unavailable("index_unavailable", "the service does not run, nor does its index")
    return index_url


@contextlib.contextmanager
def _opened(
    client: Redis, index_url: str, collection: str
) -> Iterator[tuple[Store, Sidecar | Generations]]:
    name = served_edition(client, collection)
    milvus = is_milvus(index_url)
    index = open_generations(index_url, name) if milvus else Sidecar(index_url, name)
    with quiet(), contextlib.closing(index):
        yield RedisStore(client, name), index


def _status(store: Store, generations: Generations) -> Status:
    places = current(generations.places())
    end = store.collection().tail.position
    if not places:
        return Status("milvus", False, 0, end, 0, "no generation of faces is loaded yet")
    tail = places[-1].tail
    try:
        continues(tail, store.log(tail.position, 1))
        known = True
    except Unavailable as error:
        if error.code != "index_diverged":
            raise
        known = False
    return Status(
        "milvus",
        known,
        tail.position,
        max(0, end - tail.position),
        generations.count(places[-1].generation),
        "" if known else "it reflects a log that is no longer the log",
    )


def _sidecar_status(store: Store, sidecar: Sidecar) -> Status:
    told = sidecar.status()
    behind = max(0, store.collection().tail.position - told.position)
    return Status("sidecar", told.ready, told.position, behind, told.faces, told.reason)
