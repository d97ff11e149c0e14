"""Pictures drawn for tests, and what decoding makes of them."""

import io
import struct
import zlib

import numpy as np
import pillow_heif
from PIL import Image

from facematch.errors import Rejected
from worker.decode import decode

LIMIT = 64_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
RED, GREEN, BLUE, YELLOW = (220, 30, 30), (30, 200, 30), (30, 30, 210), (220, 210, 40)
WHITE = (255, 255, 255)

pillow_heif.register_heif_opener()


def quarters() -> Image.Image:
    """96 × 64: red and green above blue and yellow, so that each rotation looks different."""
    image = Image.new("RGB", (96, 64), RED)
    image.paste(GREEN, (48, 0, 96, 32))
    image.paste(BLUE, (0, 32, 48, 64))
    image.paste(YELLOW, (48, 32, 96, 64))
    return image


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def code_of(data: bytes, max_pixels: int = LIMIT) -> str:
    """The code decoding ends with; "" when it succeeds."""
    try:
        decode(data, max_pixels)
    except Rejected as error:
        return error.code
    return ""


def corners(data: bytes) -> list[tuple[int, ...]]:
    """The colours in the middle of the four quarters: top left, top right, and below."""
    picture = decode(data, LIMIT)
    height, width = picture.pixels.shape[:2]
    assert (picture.width, picture.height) == (width, height)
    assert picture.pixels.dtype == np.uint8
    assert picture.pixels.shape == (height, width, 3)
    return [
        tuple(picture.pixels[height * y // 4, width * x // 4].tolist())
        for y, x in ((1, 1), (1, 3), (3, 1), (3, 3))
    ]


def near(a: list[tuple[int, ...]], b: list[tuple[int, ...]], tolerance: int = 16) -> bool:
    return bool(np.abs(np.subtract(a, b)).max() <= tolerance)


def chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, depth: int, kind: int, rows: bytes) -> bytes:
    """A PNG with any header and the given filtered rows."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + header + body + chunk(b"IEND", b"")
