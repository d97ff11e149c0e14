"""Positions and the hash chain of a collection's log: what makes a stale cache detectable.

The log of a collection is dense: positions 1, 2, 3 … Each entry carries
`chain = sha1(previous chain | position | op | image | nonce)`, so a position together with its
chain names one history, and a reader that holds another history can tell. The commit and
erase scripts compute the same chain in Lua.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from facematch.errors import Unavailable

Op = Literal["add", "del"]


@dataclass(frozen=True)
class Tail:
    """A place in the log: a position and the chain there. Position 0 is before the first entry."""

    position: int
    chain: str


@dataclass(frozen=True)
class Entry:
    """One entry. `target` is the position of the image it is about: its own for an add."""

    position: int
    op: Op
    image: str
    nonce: str
    target: int
    chain: str

    @property
    def tail(self) -> Tail:
        """The place in the log just behind this entry."""
        return Tail(self.position, self.chain)


def genesis(epoch: str) -> Tail:
    """The place before the first entry; `epoch` names one creation of a collection."""
    return Tail(0, hashlib.sha1(epoch.encode(), usedforsecurity=False).hexdigest())


def next_chain(previous: str, position: int, op: Op, image: str, nonce: str) -> str:
    """The chain of an entry that follows one with the chain `previous`."""
    text = f"{previous}|{position}|{op}|{image}|{nonce}"
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def follow(start: Tail, entries: Iterable[Entry]) -> Tail:
    """The place reached by applying `entries` to `start`.

    Raises Unavailable("index_diverged") when an entry does not continue the chain, and
    Unavailable("index_behind") when a position is missing.
    """
    position, chain = start.position, start.chain
    for entry in entries:
        if entry.position != position + 1:
            raise Unavailable(
                "index_behind", f"the log jumps from position {position} to {entry.position}"
            )
        expected = next_chain(chain, entry.position, entry.op, entry.image, entry.nonce)
        if entry.chain != expected:
            raise Unavailable("index_diverged", f"another history from position {position} on")
        position, chain = entry.position, entry.chain
    return Tail(position, chain)
