"""From a picture's bytes to its faces: what the pipeline asks for, in whatever process it happens.

`see` is the part that touches what strangers have sent; `worker.sandbox` runs it in a child.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from facematch.errors import Unavailable
from facematch.faces import Box, Encodings, Face
from worker.costly import Room
from worker.decode import decode
from worker.encoder import Encoder
from worker.thumbnail import thumbnail
from worker.working_size import DECODED


class Crashed(Unavailable):
    """A picture took down who looked at it: that may be its fault, so attempts are counted."""


@dataclass(frozen=True)
class PictureLimits:
    """What a picture may be. Bytes are limited where they come in.

    `max_side`: pixels of the longer side in which faces are looked for; see worker.working_size.
    `thumbnail`: whether to make a small picture of it.
    """

    max_pixels: int
    max_side: int
    max_faces: int
    thumbnail: bool = False


@dataclass(frozen=True, eq=False)
class Seen:
    """A picture's size and its faces, before they are encoded; see worker.encoder.Found.

    `decoding`, `finding`: seconds by the clock that either took. `thumbnail`: a JPEG, b"" for none.
    """

    width: int
    height: int
    boxes: Sequence[Box]
    total: int
    crops: NDArray[Any]
    decoding: float = 0.0
    finding: float = 0.0
    thumbnail: bytes = b""


@dataclass(frozen=True)
class Looked:
    """A picture's size, its faces, and how many were seen: more than there are if over a limit.
    `thumbnail`: a JPEG, b"" for none."""

    width: int
    height: int
    faces: Sequence[Face]
    total: int
    thumbnail: bytes = b""


class Looker(Protocol):
    """What the pipeline needs."""

    def look(self, data: bytes) -> Looked:
        """The faces of the picture with these bytes.

        Raises Rejected as `decode` does, and in a sandbox Unavailable, of which Crashed.
        """


class DirectLooker:
    """Looks in this process: for tests and benchmarks, with pictures that can be trusted."""

    def __init__(self, encoder: Encoder, limits: PictureLimits) -> None:
        self._encoder = encoder
        self._limits = limits

    def look(self, data: bytes) -> Looked:
        """See Looker."""
        seen = see(data, self._encoder, self._limits)
        return looked(seen, self._encoder.encode(seen.crops))


def see(data: bytes, encoder: Encoder, limits: PictureLimits, room: Room | None = None) -> Seen:
    """Decode a picture and find its faces; boxes are in pixels of the full picture.

    Raises Rejected, and MemoryError for want of `room`, as `decode` does.
    """
    start = time.perf_counter()
    picture = decode(data, limits.max_pixels, DECODED * limits.max_side, room)
    decoded = time.perf_counter()
    found = encoder.find(picture.pixels, limits.max_faces)
    boxes = [picture.in_full(box) for box in found.boxes]
    taken = decoded - start, time.perf_counter() - decoded
    small = thumbnail(picture.pixels) if limits.thumbnail else b""
    return Seen(picture.width, picture.height, boxes, found.total, found.crops, *taken, small)


def looked(seen: Seen, encodings: Encodings) -> Looked:
    """What was seen, with the encodings of its crops."""
    faces = [Face(box, encoding) for box, encoding in zip(seen.boxes, encodings, strict=True)]
    return Looked(seen.width, seen.height, faces, seen.total, seen.thumbnail)
