"""What a worker works with in each collection: opened when there is something to be done there."""

from collections.abc import Callable
from dataclasses import dataclass

from facematch.collection_name import DEFAULT, edition_name
from facematch.errors import Misconfigured, Unavailable
from facematch.feeder import Feeder
from facematch.neighbours import Neighbours
from facematch.people import People
from facematch.reencoding import Reencoding
from facematch.reindexing import Reindexing
from facematch.store import Store
from worker.delivering import Delivery
from worker.joining import check
from worker.pipeline import Parts
from worker.ranges import RangeParts

#: Collections that a worker has open, with a few connections to the index for each.
MOST = 100


@dataclass(frozen=True)
class Bench:
    """Of one collection: the edition that has the model of this worker, by its `number`. `feeder`:
    who keeps a vector database in step, where that is for `worker.feeding`."""

    collection: str
    number: int
    reencoding: Reencoding
    parts: Parts
    ranges: RangeParts
    people: People
    delivery: Delivery
    feeder: Feeder | None = None

    def close(self) -> None:
        """Close idle connections."""
        self.parts.neighbours.close()
        if self.feeder is not None:
            self.feeder.close()

    def is_served(self) -> bool:
        """Whether this is the edition that is served. Raises Unavailable, NotFound."""
        return self.reencoding.editions().served.number == self.number

    @property
    def store(self) -> Store:
        """Its store."""
        return self.parts.store

    @property
    def neighbours(self) -> Neighbours:
        """Its index."""
        return self.parts.neighbours

    @property
    def reindexing(self) -> Reindexing:
        """What there is of a reindex."""
        return self.ranges.reindexing


def opener(
    number: int,
    model: str,
    open_store: Callable[[str], Store],
    make: Callable[[str, str, Store, str], Bench],
) -> Callable[[str], Bench]:
    """Who opens the bench of a collection: that of its edition of this number, which is that of the
    default collection with the worker's model. `make` is given the names of the collection and of
    the edition, the store, and the calibration that is pinned.

    What it returns raises NotFound("unknown_collection"), and Unavailable also for a collection
    that is not of the worker's model.
    """

    def open_bench(collection: str) -> Bench:
        name = edition_name(collection, number)
        store = open_store(name)
        found = store.collection()
        try:
            check(found, model)
        except Misconfigured as error:
            if collection == DEFAULT:
                raise
            raise Unavailable("no_collection", str(error)) from error
        return make(collection, name, store, found.calibration)

    return open_bench
