"""Pictures that carry encodings, and the encoder that reads them: speed for protocol tests.

A planted picture is a lossless PNG, one row of 512 grey pixels a face: the encoding's bytes.
Set FACEMATCH_ENCODER to PLANTED, with tests/ on the path.
"""

import io

import numpy as np
from PIL import Image

from facematch.faces import Box, Encodings, Pixels, pack_encodings, unpack_encodings
from worker.encoder import Found

#: The setting `encoder` that makes a worker read planted pictures, by one model or by another.
PLANTED, OTHER_PLANTED = "planted:PlantedEncoder", "planted:OtherPlantedEncoder"


def planted_picture(encodings: Encodings) -> bytes:
    """A PNG carrying encodings of shape (k, 128)."""
    rows = np.frombuffer(pack_encodings(encodings), dtype=np.uint8).reshape(-1, 512)
    buffer = io.BytesIO()
    Image.fromarray(rows).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def people(rng: np.random.Generator, count: int) -> Encodings:
    """Encodings of `count` people who do not match each other: shape (count, 128), norm 1.4."""
    drawn = rng.normal(size=(count, 128))
    return (1.4 * drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def pictures_of(rng: np.random.Generator, person: Encodings, count: int) -> Encodings:
    """`count` encodings of one person (128), all within 0.4 of each other."""
    noise = rng.normal(size=(count, 128))
    noise *= 0.2 * rng.random((count, 1)) / np.linalg.norm(noise, axis=1, keepdims=True)
    return (person + noise).astype(np.float32)


class PlantedEncoder:
    """Reads the encodings of a planted picture; see worker.encoder.Encoder."""

    model = "planted"
    calibration = "dlib-1"

    def find(self, pixels: Pixels, max_faces: int) -> Found:
        """One face a row, which is its encoding; other pictures have none."""
        rows = np.ascontiguousarray(pixels[:, :512, 0])
        if rows.shape[1] < 512:
            rows = rows[:0, :0]
        encodings = unpack_encodings(rows.tobytes())
        boxes = [Box(number, 1, number + 1, 0) for number in range(len(encodings))]
        return Found(boxes[:max_faces], len(boxes), encodings[:max_faces])

    def encode(self, crops: Encodings) -> Encodings:
        """They are encodings already."""
        return crops


class OtherPlantedEncoder(PlantedEncoder):
    """Of another model: all faces are twice as far apart."""

    model = "other-planted"

    def encode(self, crops: Encodings) -> Encodings:
        """Twice what the other one says."""
        return 2 * crops
