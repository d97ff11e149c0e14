"""The api on a store and a broker in memory, and a worker that finds what a test tells it."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from apiflask import APIFlask
from waiting import eventually

from api.app import create_app
from api.ledger import Ledger
from api.publishing import Publisher
from api.replaying import Replayer
from api.status_routes import Operation
from api.waiting import Waiting
from facematch.broker import MemoryBroker, Queues
from facematch.faces import Box, Face, image_hash
from facematch.job import Message, new_job_id
from facematch.memory_people import MemoryPeople
from facematch.memory_store import MemoryStore
from facematch.settings import Settings
from facematch.store import Commit, Link

MODEL = "told"
FACE = Face(Box(1, 20, 30, 4), np.zeros(128, dtype=np.float32))


@dataclass
class Api:
    """A running api and what it works with."""

    store: MemoryStore
    broker: MemoryBroker
    publisher: Publisher
    waiting: Waiting
    ledger: Ledger
    replayer: Replayer
    app: APIFlask
    positions: dict[str, int] = field(default_factory=dict)

    def next_job(self) -> str:
        """The job of the next message, as a worker takes it."""
        delivery = self.broker.receive(5.0)
        assert delivery is not None, "no message came"
        delivery.ack()
        return Message.decode(delivery.body).job

    def commit(
        self, job: str, data: bytes, faces: int = 1, found: int = 0, thumbnail: bytes = b""
    ) -> Commit:
        """Take up a job and say which faces are in the picture."""
        self.store.begin(job)
        commit = Commit(
            job=job,
            image=image_hash(data),
            nonce=new_job_id(),
            model=MODEL,
            faces=[FACE] * faces,
            width=640,
            height=480,
            faces_found=found or faces,
            thumbnail=thumbnail,
        )
        self.positions[commit.image] = self.store.commit(commit).position
        return commit

    def link(
        self, commit: Commit, others: Sequence[tuple[bytes, float]] = (), exact: bool = True
    ) -> None:
        """Write the matches of a committed image with images that are done; it is done then."""
        self.store.link(
            Link(
                image=commit.image,
                committed=self.store.commit(commit),
                seen=self.store.collection().tail,
                token=new_job_id(),
                offset=0,
                pairs=[(self.positions[image_hash(data)], distance) for data, distance in others],
                last=True,
                exact=exact,
                calibration=self.store.collection().calibration,
            )
        )

    def finish(
        self, data: bytes, others: Sequence[tuple[bytes, float]] = (), faces: int = 1
    ) -> str:
        """Do the next job to the end; the image's hash."""
        commit = self.commit(self.next_job(), data, faces)
        if faces:
            self.link(commit, others)
        return commit.image


@contextmanager
def running_api(
    folder: Path,
    store: MemoryStore | None = None,
    operation: Operation | None = None,
    **settings: object,
) -> Iterator[Api]:
    """An api whose threads run; `settings` are those of `facematch.settings`."""
    store = store or MemoryStore()
    store.create(MODEL, 0.6)
    broker = MemoryBroker()
    publisher = Publisher(Queues(lambda edition: broker))
    ledger = Ledger(folder / "ledger")
    ledger.check()
    replayer = Replayer(store, ledger)
    chosen = Settings(**settings)  # type: ignore[arg-type]
    waiting = Waiting(store, chosen.api_waiters, on_connect=replayer.request)
    parts = store, publisher, waiting, ledger, replayer, MemoryPeople(store), chosen
    app = create_app(*parts, operation=operation)
    publisher.start()
    replayer.start()
    waiting.start()
    eventually(lambda: replayer.replayed)
    try:
        yield Api(store, broker, publisher, waiting, ledger, replayer, app)
    finally:
        waiting.stop()
        replayer.stop()
        publisher.close()


def later(action: Callable[[], object], seconds: float = 0.2) -> threading.Thread:
    """Do it in another thread, a little later."""
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer
