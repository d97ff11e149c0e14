"""The api on a store and a broker in memory, and a worker that finds what a test tells it."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import numpy as np
from apiflask import APIFlask
from waiting import eventually
from werkzeug.local import LocalProxy

from api.app import AppParts, create_app
from api.collection_of import Parts
from api.guard import Guard
from api.ledger import Ledger
from api.limiting import Limits
from api.listening import Audiences
from api.publishing import Publisher
from api.replaying import Replayer
from api.status_routes import Operation
from api.waiting import Waiting
from facematch.batches import Batches
from facematch.broker import MemoryBroker, Queues
from facematch.collection_name import DEFAULT
from facematch.errors import NotFound
from facematch.events import Events
from facematch.faces import Box, Face, image_hash
from facematch.job import Message, new_job_id
from facematch.memory_batches import MemoryBatches
from facematch.memory_collections import MemoryCollections
from facematch.memory_events import MemoryEvents
from facematch.memory_failed_jobs import MemoryFailedJobs
from facematch.memory_keys import MemoryKeys
from facematch.memory_people import MemoryPeople
from facematch.memory_privacy import MemoryPrivacy
from facematch.memory_reencoding import MemoryReencoding
from facematch.memory_store import MemoryStore
from facematch.memory_webhooks import MemoryWebhooks
from facematch.people import PeopleFront
from facematch.searching import Found, Nobody, Probe, Searcher
from facematch.settings import Settings
from facematch.store import Commit, Front, Link
from facematch.vitals import EditionVitals, Vitals
from facematch.webhooks import Webhooks

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
    audiences: Audiences
    app: APIFlask
    keys: MemoryKeys
    positions: dict[str, int] = field(default_factory=dict)
    collections: MemoryCollections = field(kw_only=True)
    parts: AppParts = field(kw_only=True)

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


def stores_of(collections: MemoryCollections) -> Parts[Front]:
    """The store of each collection, as long as it is there."""
    return Parts(lambda name: cast(Front, LocalProxy(lambda: collections.store(name))))


def people_of(collections: MemoryCollections) -> Parts[PeopleFront]:
    """The people of each."""
    return Parts(
        lambda name: cast(PeopleFront, LocalProxy(lambda: MemoryPeople(collections.store(name))))
    )


class FindsNothing:
    """Searches, and never finds a face."""

    def search(self, probe: Probe) -> Found:
        """See facematch.searching.Searcher."""
        if probe.asked.collection != DEFAULT:
            raise NotFound("unknown_collection")
        return Found(9, 9, 0, 0, MODEL, 0.6, None, 0, True, ())


def audiences_of(collections: MemoryCollections, settings: Settings) -> Audiences:
    """Who listens to any of them."""

    def events_of(name: str) -> Events:
        return cast(Events, LocalProxy(lambda: MemoryEvents(collections.store(name))))

    return Audiences(events_of, settings.api_listeners)


def operation_of(store: MemoryStore) -> Operation:
    """Of a service that has nothing to do, and whose index cannot be asked."""
    vitals = Vitals((EditionVitals(0),))
    failed_jobs = MemoryFailedJobs(MemoryReencoding(store))
    return Operation(lambda: vitals, failed_jobs, lambda edition: None)


def parts_of(
    collections: MemoryCollections,
    audiences: Audiences,
    ledger: Ledger,
    publisher: Publisher,
    waiting: Waiting,
    replayer: Replayer,
    guard: Guard,
    searcher: Searcher,
) -> AppParts:
    """What an application works with, all in memory."""
    batches = Parts[Batches](lambda name: MemoryBatches(collections.store(name)))
    webhooks = Parts[Webhooks](lambda name: MemoryWebhooks(collections.store(name)))
    operation = Parts(lambda name: operation_of(collections.store(name)))
    events = Parts[Events](lambda name: MemoryEvents(collections.store(name)))
    return AppParts(
        store=stores_of(collections).here,
        people=people_of(collections).here,
        ledger=Parts(ledger.of).here,
        batches=batches.here,
        events=events.here,
        listeners=audiences.here,
        operation=operation.here,
        webhooks=webhooks.here,
        collections=collections,
        publisher=publisher,
        waiting=waiting,
        replayer=replayer,
        guard=guard,
        searcher=searcher,
        privacy=MemoryPrivacy(collections.store),
    )


@contextmanager
def running_api(
    folder: Path,
    store: MemoryStore | None = None,
    searcher: Searcher | None = None,
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
    collections = MemoryCollections(store)
    stores = stores_of(collections)
    replayer = Replayer(stores.of, collections, ledger)
    chosen = Settings(**settings)  # type: ignore[arg-type]
    waiting = Waiting(collections, chosen.api_waiters, on_connect=replayer.request)
    keys = MemoryKeys()
    guard = Guard(
        keys, Limits(chosen.key_rate, chosen.key_quota), asks=not chosen.guarded_elsewhere
    )
    audiences = audiences_of(collections, chosen)
    parts = parts_of(
        *(collections, audiences, ledger, publisher, waiting, replayer, guard),
        searcher=searcher or Nobody(),
    )
    if operation is not None:
        parts = replace(parts, operation=operation)
    publisher.start()
    replayer.start()
    waiting.start()
    eventually(lambda: replayer.replayed)
    try:
        app = create_app(parts, chosen)
        yield Api(
            *(store, broker, publisher, waiting, ledger, replayer, audiences, app, keys),
            collections=collections,
            parts=parts,
        )
    finally:
        waiting.stop()
        audiences.stop()
        replayer.stop()
        publisher.close()


def later(action: Callable[[], object], seconds: float = 0.2) -> threading.Thread:
    """Do it in another thread, a little later."""
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer
