"""The port to which collections there are. Each has images, a log and match sets of its own, and
knows nothing of the others.

The default one is there for whoever comes first, and is never removed: erasing it empties it, and
it stays of its model and its policy. Any other is made by `create`, with the model of the default
one, which is that of the workers.

    create → … → drop (from then on nothing of it is told or made) → drop_some until nothing is left

A process that serves all collections cannot look at each of them all the time. Whoever changes one
says so (`touch`), and who looks for work looks at those that were touched often, and at all others
now and then.

The real one is `facematch.redis_collections.RedisCollections`, the one for tests
`facematch.memory_collections.MemoryCollections`; one contract test runs against both. Every method
raises Unavailable("store_unavailable") when the store does not answer.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from facematch.collection_name import DEFAULT
from facematch.errors import Conflict
from facematch.policy import PolicyChange, policy_told
from facematch.store import Collection

#: Names on one page.
MOST_NAMES = 1000


@dataclass(frozen=True)
class CollectionAbout:
    """A collection with what is in it: `images` with faces, of these `pending` whose matches are
    not all written, and `jobs` that have not ended."""

    name: str
    collection: Collection
    images: int
    pending: int
    jobs: int


class Collections(Protocol):
    """Of one service. Safe to share between threads."""

    def create(self, name: str, policy: PolicyChange) -> tuple[CollectionAbout, bool]:
        """Make a collection unless it exists; how it stands, and whether it was made. What the
        policy leaves out is as the default collection has it.

        Raises Conflict: collection_exists when it exists with another policy, reindex_exists while
        the default one is changing over to another encoder; Unavailable: collection_erasing while
        one of this name is being erased, store_unavailable before the default one was made, which
        the first worker does; ValueError for what is no name.
        """

    def about(self, name: str) -> CollectionAbout:
        """How a collection stands. Raises NotFound("unknown_collection"); Unavailable: while the
        default one is being emptied, or was not made yet."""

    def page(self, limit: int, after: str = "") -> tuple[list[CollectionAbout], str]:
        """Up to `limit` collections whose names come after `after` in the order of their bytes; and
        the name to go on behind, "" at the end. A page may have fewer, and be none."""

    def names(self) -> list[str]:
        """All names, in order, the default one among them. Of some there may be nothing yet, or
        not any more."""

    def drop(self, name: str, upto: int = 0) -> int:
        """Erase a collection: nothing of it is told from now on. The number of this in its order of
        submissions; repeatable until nothing is left.

        With `upto` of an earlier erasure that is repeated, whatever the store has forgotten since:
        0 when the collection there is was made after it, or there is none. Without, raises
        NotFound("unknown_collection").
        """

    def dropping(self) -> list[str]:
        """Those of which something may be left to be forgotten."""

    def drop_some(self, name: str, also: Callable[[str], object] = lambda name: None) -> bool:
        """Forget a portion of a collection that is being erased; True when nothing of it is left,
        or it is not being erased. `also`: called with its name before it counts as forgotten. For
        one thread; several processes may be at it."""

    def touch(self, name: str) -> None:
        """There is, or will be, something to be done in this collection."""

    def touched(self, seconds: float) -> list[str]:
        """Those that were touched within so many seconds, and the default one."""

    def listen(self, timeout: float) -> Iterator[str | None]:
        """Of all collections: see facematch.store.Front."""


def check_same(found: CollectionAbout, policy: PolicyChange) -> None:
    """Raise Conflict("collection_exists") unless what is there is of this policy, as far as it
    says."""
    served = found.collection.generations[0]
    if not policy.fits(served.threshold, served.bounds):
        told = policy_told(served.threshold, served.bounds)
        raise Conflict("collection_exists", f"there is a collection {found.name}, with {told}")


def with_default(names: list[str]) -> list[str]:
    """These and the default one, first."""
    return [DEFAULT, *(name for name in names if name != DEFAULT)]
