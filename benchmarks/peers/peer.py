"""What a peer is: something that holds faces and is asked for all of them within a radius."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from facematch.faces import Encodings

Rows = NDArray[np.int64]
#: The `count` nearest faces, nearest first: rows (n,), squared distances (n,).
Nearest = Callable[[int], tuple[NDArray[Any], NDArray[Any]]]

_EXTRA = "pip install 'facematch[peers]'"


class PeerIndex(Protocol):
    """Faces in a peer. A face's id is its row."""

    def build(self, encodings: Encodings) -> None:
        """Take in all faces, (n, 128), on all cores."""

    def within(self, query: Encodings, radius: float, setting: int) -> Rows:
        """The rows of the faces that are nearer than `radius` to the query (128,), as the peer
        finds them, with one thread."""

    @property
    def bytes(self) -> int | None:
        """What its faces take; None: what the memory of its process has grown by."""

    def close(self) -> None:
        """End whatever it has started."""


@dataclass(frozen=True)
class Peer:
    """A peer, which may not be installed. `where`: module and class of its PeerIndex, which is
    made with a folder that it may use; `needs`: the modules that must be there."""

    name: str
    where: str
    needs: tuple[str, ...]
    exact: bool
    #: The largest number of faces that it is reasonable with.
    most: int
    #: What its speed is bought with, and to what this is set, in turn.
    dial: str = ""
    settings: tuple[int, ...] = (0,)
    install: str = _EXTRA

    @property
    def installed(self) -> bool:
        """Whether its modules are there; none is imported."""
        return all(find_spec(module) for module in self.needs)

    def open(self, folder: Path) -> PeerIndex:
        """A new one, without faces."""
        module, _, name = self.where.partition(":")
        index: PeerIndex = getattr(import_module(module), name)(folder)
        return index

    def label(self, setting: int) -> str:
        """The peer at one setting, as tables and plots call it."""
        return f"{self.name}, {self.dial} {setting}" if self.dial else self.name


def driver(module: str) -> Any:
    """A peer's module. It has no types here: what is checked must not depend on what is there."""
    return import_module(module)


def growing(nearest: Nearest, radius: float, first: int, faces: int) -> Rows:
    """All within the radius from something that only gives the nearest few: ever more of them,
    until the farthest is beyond it."""
    count = min(first, faces)
    while True:
        rows, squares = nearest(count)
        near = squares < radius**2
        if not near.all() or len(rows) < count or count == faces:
            return np.asarray(rows[near], dtype=np.int64)
        count = min(4 * count, faces)
