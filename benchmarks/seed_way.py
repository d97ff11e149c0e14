"""What a first version does, to be compared with: face_recognition, and a scan of every image.

Each image is a key of its own in Redis. For a new picture every one of them is fetched and
compared, and each match is written into both images' sets. One process, as it is written. No
slower than that need be: the encodings are stored as their bytes, Redis is reached over a unix
socket, and keeps nothing on disk.
"""

import io
import time
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.drawn_encoder import DrawnEncoder
from benchmarks.sources import Picture
from facematch.encoding_model import encoding_model
from facematch.faces import DIMENSIONS, Encodings, image_hash
from facematch.redis_connection import Redis
from worker.dlib_encoder import load_face_recognition

_IMAGE, _MATCHES = "seed:image:", "seed:matches:"
_PORTION = 1000

Floats64 = NDArray[np.float64]


class SeedWay:
    """Images in a Redis. `encode`: from a picture's bytes to encodings (k, 128), float64."""

    def __init__(
        self, client: Redis, threshold: float, encode: Callable[[bytes], Floats64]
    ) -> None:
        self._redis, self._threshold, self._encode = client, threshold, encode
        self._theirs = load_face_recognition()
        self._filled = 0

    def fill(self, encodings: Encodings) -> None:
        """Store images with one of these faces (n, 128) each, without comparing them."""
        for start in range(0, len(encodings), _PORTION):
            with self._redis.pipeline(transaction=False) as pipe:
                for encoding in encodings[start : start + _PORTION]:
                    image = image_hash(self._filled.to_bytes(8, "little"))
                    pipe.set(_IMAGE + image, encoding.astype(np.float64).tobytes())
                    self._filled += 1
                pipe.execute()

    def add(self, picture: bytes) -> Sequence[str]:
        """Encode a picture, find its matches, and write them; the images that match."""
        face_distance = self._theirs.face_distance
        image, encodings = image_hash(picture), self._encode(picture)
        matches = []
        for key in self._redis.scan_iter(match=f"{_IMAGE}*", count=_PORTION):
            stored = cast(bytes, self._redis.get(key))
            others = np.frombuffer(stored).reshape(-1, DIMENSIONS)
            if any((face_distance(others, one) <= self._threshold).any() for one in encodings):
                matches.append(cast(bytes, key).decode().removeprefix(_IMAGE))
        for other in matches:
            self._redis.sadd(_MATCHES + image, other)
            self._redis.sadd(_MATCHES + other, image)
        self._redis.set(_IMAGE + image, encodings.tobytes())
        return matches

    def matches(self, image: str) -> set[str]:
        """The match set of an image."""
        return {cast(bytes, member).decode() for member in self._redis.smembers(_MATCHES + image)}


class Samples:
    """What a picture takes with more and more images stored: drawn ones, beside the pictures."""

    def __init__(self, way: SeedWay, pictures: Sequence[Picture]) -> None:
        self._way, self._pictures = way, pictures
        self._rng = np.random.default_rng(3)
        self._stored = self._next = 0
        self.sizes: list[int] = []
        self.seconds: list[float] = []

    def measure(self, size: int, count: int) -> None:
        """What one picture takes, on average over `count`, with `size` images stored, no fewer
        than the last time."""
        self._way.fill(encoding_model().draw(size - self._stored, self._rng))
        if not self.sizes:
            self._way.add(self._read())  # until it has loaded everything
        self._stored = size
        pictures = [self._read() for _ in range(count)]
        start = time.perf_counter()
        for picture in pictures:
            self._way.add(picture)
        self.sizes.append(size)
        self.seconds.append((time.perf_counter() - start) / count)

    def _read(self) -> bytes:
        """The next picture that there is."""
        for _ in range(len(self._pictures)):
            picture = self._pictures[self._next % len(self._pictures)]
            self._next += 1
            try:
                return picture.read()
            except OSError:
                continue
        raise FileNotFoundError("none of the pictures can be read")


def drawn_encode(picture: bytes) -> Floats64:
    """The face of a picture of benchmarks.drawn_encoder: (1, 128). Takes no time, as there."""
    with Image.open(io.BytesIO(picture)) as image:
        pixels = np.asarray(image.convert("RGB"))
    encoder = DrawnEncoder()
    return encoder.encode(encoder.find(pixels, 1).crops).astype(np.float64)


def face_recognition_encode(picture: bytes) -> Floats64:
    """As its README says: encodings (k, 128)."""
    theirs = load_face_recognition()
    pixels = theirs.load_image_file(io.BytesIO(picture))
    return np.array(theirs.face_encodings(pixels)).reshape(-1, DIMENSIONS)


def mean_up_to(count: int, sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Seconds for one of `count` images, on average over all of them, one after the other.

    `seconds`: what one takes with so many stored as `sizes`, ascending, say; in between it is on
    a straight line, beyond the last as on the last piece.
    """
    if len(sizes) > 1 and count > sizes[-1]:
        slope = (seconds[-1] - seconds[-2]) / (sizes[-1] - sizes[-2])
        sizes = [*sizes, count]
        seconds = [*seconds, seconds[-1] + slope * (count - sizes[-2])]
    return float(np.interp(np.arange(count), sizes, seconds).mean())
