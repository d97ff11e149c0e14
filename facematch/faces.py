"""The values everything is about: images, faces, encodings, distances.

*image*: a picture, known by the SHA-256 of its bytes. *face*: a box and an encoding.
*distance*: Euclidean, in float64, between two float32 encodings. Used by every process.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

DIMENSIONS = 128
ENCODING_BYTES = DIMENSIONS * 4
DEFAULT_THRESHOLD = 0.6
#: A face's id is `position * FACES_PER_POSITION + number`, so this bounds the faces of one image.
FACES_PER_POSITION = 256
#: Of the number of a face in its image, which is less than that.
NUMBER_PATTERN = "(0|[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5])"

Encodings: TypeAlias = NDArray[np.float32]
Pixels: TypeAlias = NDArray[np.uint8]
FaceIds: TypeAlias = NDArray[np.int64]

_HASH = re.compile(r"[0-9a-f]{64}")
_DISTANCE_BLOCK = 4096
_NUMBER = re.compile(NUMBER_PATTERN)


@dataclass(frozen=True)
class Box:
    """Where a face is, in pixels of the upright picture."""

    top: int
    right: int
    bottom: int
    left: int

    @property
    def area(self) -> int:
        """Pixels inside."""
        return max(0, self.bottom - self.top) * max(0, self.right - self.left)

    def scaled(self, down: float, across: float) -> "Box":
        """Where it is in the same picture with so many times the rows and the columns."""
        return Box(
            top=round(self.top * down),
            right=round(self.right * across),
            bottom=round(self.bottom * down),
            left=round(self.left * across),
        )


@dataclass(frozen=True, eq=False)
class Face:
    """One face of an image: its box and its encoding, shape (128,), float32."""

    box: Box
    encoding: Encodings

    def __post_init__(self) -> None:
        """Raises ValueError for what is no encoding."""
        if self.encoding.shape != (DIMENSIONS,) or not np.isfinite(self.encoding).all():
            raise ValueError(f"an encoding is {DIMENSIONS} finite numbers")


def image_hash(data: bytes) -> str:
    """The name of the image with these bytes: SHA-256, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def is_image_hash(text: str) -> bool:
    """Whether the text has the form that `image_hash` gives."""
    return _HASH.fullmatch(text) is not None


def pack_encodings(encodings: Sequence[Encodings] | Encodings) -> bytes:
    """Encodings as little-endian float32, 512 bytes each."""
    return np.ascontiguousarray(encodings, dtype="<f4").reshape(-1, DIMENSIONS).tobytes()


def unpack_encodings(data: bytes) -> Encodings:
    """The inverse of `pack_encodings`: shape (k, 128), float32, read-only.

    Raises ValueError when the length is no multiple of 512.
    """
    return np.frombuffer(data, dtype="<f4").reshape(-1, DIMENSIONS)


def face_ids(position: int, count: int) -> FaceIds:
    """The ids of the `count` faces of the image at `position`, int64."""
    return position * FACES_PER_POSITION + np.arange(count, dtype=np.int64)


def ids_of_all(faces: Mapping[int, Encodings]) -> FaceIds:
    """The ids of all faces of these images, in their order: `face_ids` of each position."""
    counts = np.fromiter(map(len, faces.values()), dtype=np.int64, count=len(faces))
    firsts = np.fromiter(faces, dtype=np.int64, count=len(faces)) * FACES_PER_POSITION
    before = np.cumsum(counts) - counts
    return np.repeat(firsts - before, counts) + np.arange(counts.sum(), dtype=np.int64)


def positions_of(ids: FaceIds) -> list[int]:
    """The positions that these faces belong to, ascending, each once."""
    return [int(position) for position in np.unique(ids // FACES_PER_POSITION)]


def pair_distances(a: Encodings, b: Encodings) -> NDArray[np.float64]:
    """Distances between the rows of a (n, 128) and those of b (n, 128): float64, (n,). The same
    numbers as those of `distances`."""
    out = np.empty(len(a), dtype=np.float64)
    for start in range(0, len(a), _DISTANCE_BLOCK):
        rows = slice(start, start + _DISTANCE_BLOCK)
        block = np.asarray(b[rows], dtype=np.float64) - np.asarray(a[rows], dtype=np.float64)
        out[rows] = np.sqrt(np.square(block).sum(axis=1))
    return out


def distances(a: Encodings, b: Encodings) -> NDArray[np.float64]:
    """Distances between all rows of a (n, 128) and all of b (m, 128): float64, (n, m).

    Plain differences, no matrix product, so that a pair's distance depends on nothing but the
    pair: not on the order of its two faces, nor on what else is computed beside it.
    """
    left = np.asarray(a, dtype=np.float64)
    right = np.asarray(b, dtype=np.float64)
    out = np.empty((len(left), len(right)), dtype=np.float64)
    for row, encoding in enumerate(left):
        for start in range(0, len(right), _DISTANCE_BLOCK):
            block = right[start : start + _DISTANCE_BLOCK] - encoding
            out[row, start : start + _DISTANCE_BLOCK] = np.sqrt(np.square(block).sum(axis=1))
    return out


def face_name(image: str, number: int) -> str:
    """How a face is named: by the hash of its image and its number there, from 0."""
    return f"{image}:{number}"


def parse_face_name(text: str) -> tuple[str, int] | None:
    """The inverse of `face_name`; None for anything else."""
    image, _, number = text.partition(":")
    if not (is_image_hash(image) and _NUMBER.fullmatch(number)):
        return None
    return image, int(number)
