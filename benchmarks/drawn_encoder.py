"""Tiny pictures that say which drawn face they show, and the encoder that reads them.

So that as many pictures as anybody wants go through the whole real service, and all but the
network is measured. A worker uses it with `FACEMATCH_ENCODER` set to ENCODER. The face of a number
is the same everywhere and always: one of the distribution of dlib's encodings.
"""

import io
import time
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facematch.encoding_model import encoding_model
from facematch.faces import DIMENSIONS, Box, Encodings, Pixels
from worker.encoder import Found

ENCODER = "benchmarks.drawn_encoder:DrawnEncoder"
#: The same, but takes PACE_SECONDS for each picture without computing, as on a machine of its own.
PACED_ENCODER = "benchmarks.drawn_encoder:PacedEncoder"
PACE_SECONDS = 0.2
MODEL = "drawn"
_BYTES = 8
#: Faces are drawn so many at once: the model is slow at drawing one.
_BLOCK = 4096


def drawn_picture(number: int) -> bytes:
    """A PNG, one row of grey pixels: the bytes of the number."""
    row = np.array([number], dtype="<u8").view(np.uint8)[None]
    buffer = io.BytesIO()
    Image.fromarray(row).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def drawn_faces(numbers: NDArray[np.int64]) -> Encodings:
    """The encodings (n, 128), float32, of the faces with these numbers (n,)."""
    found = np.empty((len(numbers), DIMENSIONS), dtype=np.float32)
    blocks, rows = np.divmod(numbers, _BLOCK)
    for block in np.unique(blocks):
        own = blocks == block
        found[own] = _drawn(int(block))[rows[own]]
    return found


@lru_cache(4)
def _drawn(block: int) -> Encodings:
    return encoding_model().draw(_BLOCK, np.random.default_rng(block))


class DrawnEncoder:
    """See worker.encoder.Encoder. A picture of another size has no face."""

    model = MODEL
    calibration = "dlib-1"

    def find(self, pixels: Pixels, max_faces: int) -> Found:
        """One face, whose crop is its number."""
        del max_faces
        if pixels.shape[:2] != (1, _BYTES):
            return Found([], 0, np.empty((0, _BYTES), dtype=np.uint8))
        return Found([Box(0, _BYTES, 1, 0)], 1, np.ascontiguousarray(pixels[:, :, 0]))

    def encode(self, crops: NDArray[np.uint8]) -> Encodings:
        """The drawn faces with these numbers."""
        return drawn_faces(np.ascontiguousarray(crops).view("<u8")[:, 0].astype(np.int64))


class PacedEncoder(DrawnEncoder):
    """So that three workers on two cores do three times as much as one."""

    def find(self, pixels: Pixels, max_faces: int) -> Found:
        """See DrawnEncoder."""
        time.sleep(PACE_SECONDS)
        return super().find(pixels, max_faces)
