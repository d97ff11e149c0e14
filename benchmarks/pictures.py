"""Pictures to measure with: real ones where a folder of them is given, else a drawn face.

None of them is kept in this project.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facematch.faces import Box, Encodings, Face
from worker.golden_drawing import golden_picture

#: Boxes that overlap by more than this are of one face.
_SAME = 0.4

DEFAULT_DATA = Path(__file__).parents[1].parent / "shared" / "data"


@dataclass(frozen=True)
class Reference:
    """A folder with pictures in lfw/ and, of all their faces, what face_recognition makes of them.

    `images` is the row of each face's picture in `files`; `boxes` (n, 4): top, right, bottom, left.
    """

    folder: Path

    @property
    def exists(self) -> bool:
        """Whether there is one."""
        return (self.folder / "lfw-reference.npz").exists()

    @cached_property
    def files(self) -> list[str]:
        """Paths below the folder of pictures."""
        return [str(name) for name in self._stored["files"]]

    @cached_property
    def images(self) -> NDArray[np.int64]:
        """(n,)"""
        return self._stored["image"].astype(np.int64)

    @cached_property
    def boxes(self) -> NDArray[np.int64]:
        """(n, 4)"""
        return self._stored["box"].astype(np.int64)

    @cached_property
    def encodings(self) -> Encodings:
        """(n, 128), float32"""
        return self._stored["encoding"].astype(np.float32)

    def path(self, row: int) -> Path:
        """Of the picture in this row of `files`."""
        return self.folder / "lfw" / self.files[row]

    def without_face(self) -> list[bytes]:
        """The pictures in which the reference has nobody; none where there is no reference."""
        if not self.exists:
            return []
        rows = sorted(set(range(len(self.files))) - set(self.images.tolist()))
        return [self.path(row).read_bytes() for row in rows]

    @cached_property
    def _stored(self) -> dict[str, NDArray[np.generic]]:
        with np.load(self.folder / "lfw-reference.npz", allow_pickle=False) as stored:
            return dict(stored)


def sample(reference: Reference, count: int, seed: int) -> list[bytes]:
    """The bytes of `count` pictures with a face: real ones, or the drawn face again and again."""
    if not reference.exists:
        return [jpeg(Image.fromarray(golden_picture()).resize((250, 250)))] * count
    rows = np.random.default_rng(seed).choice(np.unique(reference.images), count, replace=False)
    return [reference.path(int(row)).read_bytes() for row in rows]


@dataclass(frozen=True)
class Group:
    """A picture of several faces, and where they were put."""

    data: bytes
    boxes: list[Box]

    def found_in(self, faces: Sequence[Face]) -> dict[int, Face]:
        """Which of its faces these are, by their rows in `boxes`."""
        return {
            row: face
            for row, box in enumerate(self.boxes)
            for face in faces
            if _overlap(box, face.box) > _SAME
        }


def group(reference: Reference, sides: list[int], seed: int, width: int, height: int) -> Group:
    """A JPEG of this size with a face of each of these sides (pixels), on a busy background.

    The faces are some that dlib's HOG detector finds, so that another can only find fewer.
    """
    rng = np.random.default_rng(seed)
    canvas = _background(rng, width, height)
    cells = _cells(len(sides), width, height)
    boxes = []
    for side, (left, top, room) in zip(sides, cells, strict=True):
        portrait, box = _portrait(reference, rng)
        scale = side / (box.bottom - box.top)
        size = round(portrait.width * scale), round(portrait.height * scale)
        if max(size) > room:
            raise ValueError(f"{len(sides)} faces of {side} pixels do not fit")
        x, y = left + (room - size[0]) // 2, top + (room - size[1]) // 2
        canvas.paste(portrait.resize(size, Image.Resampling.LANCZOS), (x, y))
        edges = (round(edge * scale) for edge in (box.top, box.right, box.bottom, box.left))
        upper, right, lower, leftmost = edges
        boxes.append(Box(y + upper, x + right, y + lower, x + leftmost))
    return Group(jpeg(canvas), boxes)


def jpeg(image: Image.Image) -> bytes:
    """As cameras write them."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def _overlap(one: Box, other: Box) -> float:
    """Of two boxes: the area of what both cover, as part of what either does."""
    both = Box(
        max(one.top, other.top),
        min(one.right, other.right),
        min(one.bottom, other.bottom),
        max(one.left, other.left),
    )
    apart = both.right <= both.left or both.bottom <= both.top
    shared = 0 if apart else both.area
    return shared / (one.area + other.area - shared)


def _portrait(reference: Reference, rng: np.random.Generator) -> tuple[Image.Image, Box]:
    if not reference.exists:
        return Image.fromarray(golden_picture()), Box(56, 135, 146, 46)
    faces_of = np.bincount(reference.images, minlength=len(reference.files))
    face = int(rng.choice(np.flatnonzero(faces_of[reference.images] == 1)))
    image = Image.open(reference.path(int(reference.images[face]))).convert("RGB")
    top, right, bottom, left = map(int, reference.boxes[face])
    margin = 3 * (bottom - top) // 4
    x, y = max(0, left - margin), max(0, top - margin)
    corner = min(image.width, right + margin), min(image.height, bottom + margin)
    return image.crop((x, y, *corner)), Box(top - y, right - x, bottom - y, left - x)


def _background(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Noise of every scale, as natural pictures have it."""
    total = np.zeros((height, width, 3), dtype=np.float32)
    for cells in (4, 16, 64, 256):
        noise = rng.integers(0, 256, (cells * height // width + 1, cells, 3), dtype=np.uint8)
        layer = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
        total += np.asarray(layer, dtype=np.float32)
    return Image.fromarray((total / 4).astype(np.uint8))


def _cells(count: int, width: int, height: int) -> list[tuple[int, int, int]]:
    """Left, top and side of `count` squares, as large as possible, beside each other."""
    room = next(
        side
        for side in range(min(width, height), 0, -1)
        if (width // side) * (height // side) >= count
    )
    across = width // room
    return [(number % across * room, number // across * room, room) for number in range(count)]
