"""Stores with a planted past, and one that breaks, forks or changes at a chosen moment."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

from facematch.errors import Unavailable
from facematch.faces import Box, Encodings, Face, image_hash
from facematch.job import new_job_id
from facematch.neighbours import Neighbours
from facematch.reindexing import Reindexing
from facematch.store import Commit, NewJob, Store

MODEL = "planted"
THRESHOLD = 0.6


def add(store: Store, name: str, encodings: Encodings, model: str = MODEL) -> int:
    """Commit an image whose faces have these encodings (k, 128); its position.

    The same name makes the same log entry in two stores.
    """
    job = new_job_id()
    store.accept(NewJob(job, name, url=f"http://pictures.test/{name}"), 0)
    faces = [Face(Box(0, 1, 1, 0), encoding) for encoding in encodings]
    image = image_hash(name.encode())
    commit = Commit(job, image, f"nonce of {name}", model, faces, 1, 1, len(faces))
    return store.commit(commit).position


def erase(store: Store, name: str) -> None:
    """Erase the image that `add` committed under this name."""
    store.erase(image_hash(name.encode()))


@contextmanager
def running(run: Callable[[Event], None], seconds: float = 10.0) -> Iterator[None]:
    """`run(stop)` in a thread for the time of the block; it may take so long to end."""
    stop = Event()
    thread = Thread(target=run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(seconds)
        assert not thread.is_alive()


class Switch:
    """A store, or another port, that stands for one that may be exchanged or go away at any moment.

    `before` and `after` hold actions by the name of a method: each runs once, around its next
    call. `calls` counts the calls of each method.
    """

    def __init__(self, store: Store | Reindexing | Neighbours) -> None:
        self.store = store
        self.down = False
        self.before: dict[str, Callable[[], None]] = {}
        self.after: dict[str, Callable[[], None]] = {}
        self.calls: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] = self.calls.get(name, 0) + 1
            if action := self.before.pop(name, None):
                action()
            if self.down:
                raise Unavailable("store_unavailable", "switched off")
            result = getattr(self.store, name)(*args, **kwargs)
            if action := self.after.pop(name, None):
                action()
            return result

        return call
