"""Collections in real servers, to which images are added and from which they are erased."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
from answers import Truth
from histories import MODEL, THRESHOLD, add, erase
from indexes import FOREVER
from planted import people, pictures_of
from servers import RedisServer

from facematch.encoding_model import encoding_model
from facematch.errors import NotFound, Unavailable
from facematch.faces import Encodings, image_hash
from facematch.redis_connection import connect
from facematch.redis_store import RedisStore
from facematch.store import Store
from facematch.wire import Query

_Result = TypeVar("_Result")


class Writer:
    """Adds and erases images of a store that match each other; `truth` knows of all of them."""

    def __init__(self, store: Store, seed: int = 0) -> None:
        self.store, self.truth = store, Truth(store)
        self._rng = np.random.default_rng(seed)
        self._drawn = encoding_model().draw(1000, self._rng)
        self._persons = people(np.random.default_rng(0), 20)
        self._number = 0
        self.live: dict[str, Encodings] = {}

    def add(self, count: int = 1) -> None:
        """Add images: half of their faces lie where dlib's do, so that both parts of an engine
        have some."""
        for _ in range(count):
            self._number += 1
            name = f"{self._number}"
            person = self._persons[self._rng.integers(len(self._persons))]
            faces = np.concatenate(
                [pictures_of(self._rng, person, 1), self._drawn[self._rng.integers(1000, size=1)]]
            )
            self.truth.know(image_hash(name.encode()), faces)
            _patiently(lambda: add(self.store, name, faces))  # noqa: B023
            self.live[name] = faces

    def erase(self, count: int = 1) -> None:
        """Erase images; one that the store has forgotten is none of ours any more."""
        for _ in range(count):
            name = str(self._rng.choice(list(self.live)))
            del self.live[name]
            try:
                _patiently(lambda: erase(self.store, name))  # noqa: B023
            except NotFound:
                continue

    def work(self, count: int = 1) -> None:
        """Add and erase, so that the images become more."""
        for _ in range(count):
            if len(self.live) > 3 and self._rng.random() < 0.3:
                self.erase()
            else:
                self.add()
        _patiently(self.truth.read)

    def queries(self, count: int) -> list[Query]:
        """What finds some of the images."""
        faces = np.concatenate(list(self.live.values()))
        rows = self._rng.integers(len(faces), size=count)
        return [Query(faces[row : row + 1], THRESHOLD, FOREVER) for row in rows]


@contextmanager
def writing(server: RedisServer, log_keep: int = 100_000) -> Iterator[Writer]:
    """Who writes into an empty collection, made in this server."""
    client = connect(server.url)
    store = RedisStore(client, log_keep=log_keep)
    store.create(MODEL, THRESHOLD)
    try:
        yield Writer(store)
    finally:
        client.close()


def _patiently(act: Callable[[], _Result], seconds: float = 30.0) -> _Result:
    """What the store says, as soon as it says anything."""
    until = time.monotonic() + seconds
    while True:
        try:
            return act()
        except Unavailable:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
