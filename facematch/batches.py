"""The port to batches, pictures that were submitted together, and to submissions sent twice.

A batch is kept as long as a job that has ended; what became of its items is that of their jobs. The
real one is `facematch.redis_batches.RedisBatches`, the one for tests
`facematch.memory_batches.MemoryBatches`; one contract test runs against both. Every method raises
Unavailable("store_unavailable") when the store does not answer.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

#: Items of a batch.
MOST_ITEMS = 1000
#: How long a submission that is sent again with its key is known for the same.
CLAIM_SECONDS = 24 * 3600.0

#: States of an item beside those of jobs: it was not accepted (its code says why), or its job is
#: not known any more.
REFUSED, FORGOTTEN = "refused", "forgotten"


@dataclass(frozen=True)
class Item:
    """One of what was sent: the job that was made of it, or the code it was refused with, and the
    name or URL that it came under."""

    job: str = ""
    code: str = ""
    name: str = ""


@dataclass(frozen=True)
class ItemState:
    """What became of an item; `number`: its place in what was sent, from 0."""

    number: int
    state: str
    job: str = ""
    image: str = ""
    code: str = ""
    name: str = ""


@dataclass(frozen=True)
class Batch:
    """A batch: how many of its items are in which state, and some of them."""

    id: str
    total: int
    counts: Mapping[str, int]
    items: Sequence[ItemState]


class Batches(Protocol):
    """What the api needs of the store for batches."""

    def keep(self, batch: str, items: Sequence[Item]) -> None:
        """Keep a batch. Repeatable."""

    def batch(self, batch: str, start: int, count: int) -> Batch:
        """A batch, with `count` items from number `start` on. Raises NotFound."""

    def claim(self, key: str, fingerprint: str, name: str) -> str:
        """Let this key stand for the submission with this fingerprint, which is to become the job
        or batch of this name, for CLAIM_SECONDS. The name that it stands for: another one, if it
        was claimed before. Raises Conflict("key_reused") if that was with another fingerprint.
        """


def job_of(batch: str, number: int) -> str:
    """The id of the job of an item: the same each time."""
    return hashlib.sha256(f"{batch} {number}".encode()).hexdigest()[:32]
