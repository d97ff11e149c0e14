"""The port to what the store knows of a reindex to another encoder: a second edition of a
collection, made while the first is served.

    begin → images, carried over one by one → built → switched → dropped

From `begin` on, what is submitted is submitted in both editions, and what is erased is erased in
both. The edition that is not served follows the other one: its workers take up a job once that has
ended there, and of a URL they take no other picture. So all that is left to do are the images that
were there at `begin`. Faces and matches are made by the workers of each edition, which know it by
their model.

Each method is one atomic step. The real one is `facematch.redis_reencoding.RedisReencoding`, the
one for tests `facematch.memory_reencoding.MemoryReencoding`; one contract test runs against both.
Every method raises Unavailable("store_unavailable") when the store does not answer.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from facematch.errors import Conflict
from facematch.reindexing import Phase
from facematch.store import DEFAULT_BOUNDS, Bounds, State


@dataclass(frozen=True)
class Edition:
    """An edition: its `number`, the `model` of its encodings, "" before the collection is made, and
    the threshold and bounds of the match sets that are served of it. `encoder` and `detector`: the
    settings of its workers, as far as they are known."""

    number: int
    model: str = ""
    threshold: float = 0.0
    encoder: str = ""
    detector: str = ""
    bounds: Bounds = DEFAULT_BOUNDS


@dataclass(frozen=True)
class Editions:
    """The edition that is served, and the other one where there is one: to be served, or served
    before. `built`: the later one has all that can be had."""

    served: Edition
    other: Edition | None = None
    built: bool = False

    @property
    def all(self) -> tuple[Edition, ...]:
        """The one that is served, and the other one if there is one."""
        return (self.served,) if self.other is None else (self.served, self.other)

    @property
    def numbers(self) -> frozenset[int]:
        """Those of all editions."""
        return frozenset(edition.number for edition in self.all)

    @property
    def phase(self) -> Phase | None:
        """How far the reindex is, None when there is none."""
        if self.other is None:
            return None
        if self.other.number < self.served.number:
            return Phase.SWITCHED
        return Phase.BUILT if self.built else Phase.BUILDING

    @property
    def later(self) -> Edition:
        """The one made last."""
        other = self.other or self.served
        return other if other.number > self.served.number else self.served


@dataclass(frozen=True)
class Standing:
    """How an image stands in the edition that is served, and in the other one; None where it is not
    known. `code`: why it failed in the other one. `names`: those it has in the one that is served.
    """

    image: str
    state: State | None
    faces_found: int
    other: State | None
    code: str
    other_faces_found: int
    names: tuple[str, ...]


class Carried(StrEnum):
    """What became of carrying an image over."""

    ACCEPTED = "accepted"  # there is a job for it in the other edition now
    FAILED = "failed"  # it has failed there, with the code given
    NONE = "none"  # there is nothing to do, or it is under way


@dataclass(frozen=True)
class Carry:
    """An image to be carried over, by a job of this id: from its `data`, or from what is behind
    `url`; with a `code`, it cannot be had. A `name` that the image does not have is not given to
    it."""

    image: str
    job: str
    name: str = ""
    url: str = ""
    data: bytes = b""
    code: str = ""


@dataclass(frozen=True)
class Lag:
    """Of the other edition: jobs accepted `before` it was there that have not ended; jobs that have
    ended in the one that is served but not in it (`jobs`); `images` of it whose matches are not all
    written yet."""

    before: int
    jobs: int
    images: int

    @property
    def behind(self) -> int:
        """What is not in it yet although it is in the one that is served."""
        return self.jobs + self.images


class Reencoding(Protocol):
    """What the command line and the workers need of the store for a reindex to another encoder.
    A method that is given the number of an edition raises Conflict("no_reindex") unless that is the
    other one, or what the method says."""

    def editions(self) -> Editions:
        """Those there are."""

    def note(self, number: int, encoder: str, detector: str) -> None:
        """The workers of the edition with this number have these settings."""

    def begin(
        self,
        model: str,
        threshold: float,
        encoder: str,
        detector: str,
        bounds: Bounds = DEFAULT_BOUNDS,
    ) -> Editions:
        """Make another edition.

        Raises Conflict: reindex_exists while there is a reindex of either kind; same_model when
        the edition that is served is of this model; old_data with data before schema 1, or 2 where
        false matches are to be bounded.
        """

    def images(self) -> Iterator[list[str]]:
        """All images of the edition that is served, whatever their state, in portions and no
        particular order. One that is there during the whole iteration is told."""

    def standing(self, number: int, images: Sequence[str]) -> list[Standing]:
        """How some images stand."""

    def carry(self, number: int, carry: Carry, backlog: int) -> Carried:
        """Have an image of the edition that is served looked at for the other one. An image that
        has failed or was erased is there as that. Raises Unavailable("backlog_full")."""

    def lag(self, number: int) -> Lag:
        """How far the other edition is behind."""

    def built(self, number: int) -> None:
        """The other edition has all that can be had."""

    def switch(self, number: int) -> None:
        """Serve this one from now on. Raises Conflict("reindex_phase") before it is built."""

    def rollback(self, number: int) -> None:
        """Serve the former one again. Raises Conflict("reindex_phase") before it is built."""

    def cancel(self, number: int) -> None:
        """Give this one up. Raises Conflict("reindex_phase") while it is served."""

    def drop(self, number: int) -> None:
        """Give up the one served before this one. Raises Conflict("reindex_phase") before this one
        is served."""

    def drop_some(self, also: Callable[[int], object] = lambda number: None) -> bool:
        """Forget a portion of editions that were given up; True when nothing of them is left.
        `also`: called with the number of one before it counts as forgotten."""


def no_such_edition() -> Conflict:
    """That an edition is not, or not any more, the one that is made."""
    return Conflict("no_reindex", "there is no such edition, or it was given up")
