"""The port to what an export reads of a collection, beside the store, and an import writes to it.

An import makes an empty collection what another one was: image by image in the order of their
positions, each at its own. Each step is atomic and safe to repeat, and what there is after any of
them is a collection of fewer images, those still to be linked among `pending`. So an import that
broke off goes on where it stopped. While one is under way no job is committed, and whoever does it
renews that with each step: LEASE_SECONDS after the last one the collection is open again.

The real one is `facematch.redis_archiving.RedisArchiving`, the one for tests
`facematch.memory_archiving.MemoryArchiving`; one contract test runs against both. Every method
raises Unavailable("store_unavailable") when the store does not answer.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from facematch.store import Generation, Image
from facematch.stored_faces import StoredFaces

#: So long after its last step an import keeps others from committing.
LEASE_SECONDS = 60.0
#: Entries of the log that are written by one step at most.
MOST_ENTRIES = 1000


@dataclass(frozen=True)
class Pinned:
    """What a collection is. `size`: the faces ever committed. `position`: where its log ends.
    `last_number`: that of its last submission or erasure. `generation`: its match sets."""

    model: str
    calibration: str
    generation: Generation
    size: int
    position: int
    last_number: int


@dataclass(frozen=True)
class Record:
    """An image that is indexed or done, and the number of the submission that began its life."""

    image: Image
    number: int


@dataclass(frozen=True, eq=False)
class Arrival:
    """An image to be taken in, with its faces; None if it has none. `limit`: from which score on
    its match set leaves matches out; see `facematch.store.Store.limits`."""

    record: Record
    faces: StoredFaces | None = None
    limit: float | None = None


@dataclass(frozen=True)
class Ticket:
    """Which export is imported, by its id, and a name of who does it."""

    export: str
    holder: str


@dataclass(frozen=True)
class Reached:
    """How far an import is: `ended`, or all up to `position` is there, and the matches of images
    from `unlinked` on (0: of none) may be missing."""

    position: int
    unlinked: int = 0
    ended: bool = False


class Archiving(Protocol):
    """Of one edition of a collection.

    Every step of an import raises Conflict: "reindex_exists" while there is another generation or
    edition, "overtaken" when something else was written to the log since it began, or somebody else
    is at it; and NotFound("no_collection") when the collection is gone or another export's.
    """

    # -- export
    def records(self, positions: Sequence[int]) -> dict[int, Record]:
        """The images at these positions; those that are gone are left out."""

    def faceless(self) -> Iterator[list[Record]]:
        """The images that have no face, in portions, in no particular order."""

    def last_number(self) -> int:
        """The number that was given to a submission or erasure last; 0 for none."""

    # -- import
    def begin(self, ticket: Ticket, pinned: Pinned) -> Reached:
        """Make the collection of this policy, or go on. It must have been created.

        Raises Conflict also: "not_empty" when images have been taken in; "other_model";
        "old_data" while it is of an older schema.
        """

    def skip(self, ticket: Ticket, position: int) -> bool:
        """Let the log come to this position without an image; whether it has. Up to MOST_ENTRIES
        are written."""

    def add(self, ticket: Ticket, arrivals: Sequence[Arrival]) -> list[str]:
        """Take images in, each at the next position, or at none without a face. Those with faces
        are to be linked. Returns those that are not taken, because they were erased here after they
        were submitted there; one at a position is passed over then."""

    def link(self, ticket: Ticket, pairs: Sequence[tuple[int, int, float]]) -> None:
        """Write matches, both directions: two positions and the score. Of images that are not there
        nothing is written."""

    def settle(self, ticket: Ticket, images: Sequence[str]) -> None:
        """These images have all their matches: they are done."""

    def end(self, ticket: Ticket, pinned: Pinned) -> None:
        """All is there: the collection is open."""
