"""Killing what a service is made of, and what one worker would have made of the same pictures."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from cluster import Cluster
from planted import PlantedEncoder
from rabbit_server import RabbitServer

from facematch.faces import image_hash
from facematch.memory_store import MemoryStore
from facematch.neighbours import ExactNeighbours
from facematch.redis_connection import Redis
from facematch.store import NewJob, Store
from worker.looking import DirectLooker, PictureLimits
from worker.pipeline import Parts, process

MatchSets = dict[str, list[tuple[str, float]]]


def replay(
    pictures: list[bytes], threshold: float, encoder: PlantedEncoder | None = None
) -> MatchSets:
    """What one worker makes of these pictures, one after the other."""
    store, encoder = MemoryStore(), encoder or PlantedEncoder()
    store.create(encoder.model, threshold)
    looker = DirectLooker(encoder, PictureLimits(10**6, 0, 100))
    parts = Parts(store, ExactNeighbours(store), lambda url: b"", looker, encoder.model, 10)
    for number, picture in enumerate(pictures):
        store.accept(NewJob(str(number), "x", "", image_hash(picture), picture), 10**9)
        process(str(number), parts)
    return stored(store, 0)


def stored(store: Store, generation: int) -> MatchSets:
    """The match sets of a generation as they are."""
    images = store.snapshot().positions
    sets = store.linked(list(images), generation)
    return {
        image: sorted((images[other], distance) for other, distance in sets[position].items())
        for position, image in images.items()
    }


def bytes_of(client: Redis, matches: str) -> dict[bytes, bytes]:
    """The match sets whose keys begin like this, as Redis would write them to its disk."""
    keys = sorted(client.scan_iter(f"{matches}:*", count=1000))
    return {key: client.dump(key) for key in keys}


@contextmanager
def killing(
    cluster: Cluster,
    rabbitmq: RabbitServer,
    victims: Sequence[str],
    seed: int,
    others: dict[str, Callable[[], object]] | None = None,
) -> Iterator[list[str]]:
    """Something is killed every second or so for the time of the block, each at its turn: what.
    `others`: what kills the ones that are neither of the cluster nor RabbitMQ."""
    killed: list[str] = []
    stop = threading.Event()
    rng = np.random.default_rng(seed)

    def kill(name: str) -> None:
        if others and name in others:
            others[name]()
        elif name == "rabbitmq":
            rabbitmq.kill()
            rabbitmq.start()
        else:
            cluster.kill(name)
            cluster.start(name)

    def work() -> None:
        while not stop.wait(float(rng.random()) * 2):
            killed.append(victims[len(killed) % len(victims)])
            kill(killed[-1])

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield killed
    finally:
        stop.set()
        thread.join()
