"""The port to a vector database, which keeps the faces of a collection in *generations*.

A generation is a set of faces with rows that say how far along the log it is: its *places*. It is
there for who asks from its first place on. `facematch.feeder` writes, `facematch.generation_search`
asks. The real one is `facematch.milvus`, the one for tests `facematch.memory_generations`; one
contract test runs against both.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from facematch.errors import Unavailable
from facematch.faces import Encodings, FaceIds
from facematch.log import Tail


@dataclass(frozen=True)
class Place:
    """A claim about a generation: it has the faces of all `add` entries of the log up to `tail`.

    Of those, the faces of images that the `del` entries up to `erased` are about may be missing,
    and no others; up to `done` they are gone. It continues the history of the place `since`, and so
    says all that one there said. Of two generations the one with the greater `made`
    counts. Places are never changed, only added and, once another one says more, forgotten.
    """

    generation: str
    made: int
    tail: Tail
    erased: Tail
    done: Tail
    since: Tail

    def encode(self) -> str:
        """As text."""
        tails = (part for tail in self._tails() for part in _parts(tail))
        return ":".join((self.generation, str(self.made), *tails))

    @classmethod
    def decode(cls, text: str) -> "Place":
        """The inverse of `encode`. Raises Unavailable("index_unavailable") for anything else."""
        try:
            generation, made, *rest = text.split(":")
            tails = [Tail(int(at), chain) for at, chain in zip(rest[::2], rest[1::2], strict=True)]
            tail, erased, done, since = tails
            return cls(generation, int(made), tail, erased, done, since)
        except ValueError as error:
            detail = f"a place of another form: {text!r}"
            raise Unavailable("index_unavailable", detail) from error

    def _tails(self) -> tuple[Tail, ...]:
        return self.tail, self.erased, self.done, self.since


def _parts(tail: Tail) -> tuple[str, str]:
    return str(tail.position), tail.chain


def current(places: Sequence[Place]) -> list[Place]:
    """The places of the generation that counts, the one that says most last."""
    newest = max(((place.made, place.generation) for place in places), default=None)
    ours = [place for place in places if (place.made, place.generation) == newest]
    return sorted(ours, key=lambda place: (place.tail.position, place.done.position))


class Generations(Protocol):
    """What a vector database does. Whatever was written is seen by every later reading.

    Every method raises Unavailable("index_unavailable") when the database does not answer in
    time, or when the generation is not there.
    """

    def places(self) -> list[Place]:
        """The places of all generations."""

    def add_place(self, place: Place) -> None:
        """Add a place; one that is there already stays."""

    def forget(self, places: Sequence[Place]) -> None:
        """Take places away; one that is not there is passed over."""

    def names(self) -> list[str]:
        """The generations there are, with places or without."""

    def create(self, epoch: str) -> str:
        """Make a generation without faces, of the collection created as `epoch`; its name."""

    def drop(self, generation: str) -> None:
        """Forget a generation and its faces, but not its places; no-op if it is not there."""

    def add(
        self, generation: str, ids: FaceIds, encodings: Encodings, histories: Sequence[str]
    ) -> None:
        """Add faces: ids (n,), encodings (n, 128), and for each a word about the history of the
        log that it comes from: one with the same id and word is replaced."""

    def remove(self, generation: str, positions: Sequence[int]) -> None:
        """Remove all faces of the images at these positions."""

    def search(
        self, generation: str, encodings: Encodings, squared: float, low: int, high: int, limit: int
    ) -> list[FaceIds]:
        """For each of the encodings (k, 128) up to `limit` faces at positions from `low` to below
        `high`, at a squared distance below `squared` as float32 arithmetic has it. Fewer than
        `limit` are all there are. An id may be there twice."""

    def held(self, generation: str) -> Iterator[FaceIds]:
        """The ids of all its faces, in portions and no particular order."""

    def count(self, generation: str) -> int:
        """How many faces it has."""

    def close(self) -> None:
        """Disconnect."""
