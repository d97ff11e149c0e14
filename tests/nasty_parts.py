"""What nasty pictures are put together from: segments, boxes, directories, repeated data.

Used by the other modules named nasty_*; tests use tests/nasty.py.
"""

import struct
import zlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from drawn import encoded, quarters
from PIL import Image

#: Names of files, and what makes each. Nothing is built before it is asked for.
Builders = dict[str, Callable[[], bytes]]

MEBIBYTE = 1 << 20
#: The service takes no larger upload.
LARGEST = 10 * MEBIBYTE

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 1, 2, 3, 4, 5, 7
#: Kind, count and value of a tag: the four bytes themselves as a number, or bytes to lie elsewhere.
Tag = tuple[int, int, int | bytes]


def noise(width: int, height: int, seed: int = 1) -> Image.Image:
    """Noise in blocks of 8, which no format makes much smaller."""
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return Image.fromarray(np.kron(coarse, np.ones((8, 8, 1), np.uint8)))


def quartered(form: str, **options: object) -> bytes:
    return encoded(quarters(), form, **options)


def one_colour(form: str, width: int, height: int, mode: str = "RGB", **options: object) -> bytes:
    return encoded(Image.new(mode, (width, height), "brown"), form, **options)


def deflated(piece: bytes, times: int) -> bytes:
    """A zlib stream of a piece repeated, compressed only once."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)
    check = 1
    for _ in range(times):
        check = zlib.adler32(piece, check)
    return b"\x78\xda" + packed * times + b"\x03\x00" + struct.pack(">I", check)


# -- JPEG ---------------------------------------------------------------------------------------
def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def after_start(head: bytes, data: bytes | None = None) -> bytes:
    """A JPEG with something put behind its first marker."""
    whole = quartered("JPEG") if data is None else data
    return whole[:2] + head + whole[2:]


def jpeg_exif(block: bytes) -> bytes:
    """A JPEG with an EXIF block of any size: readers join the segments."""
    pieces = (block[at : at + 65_000] for at in range(0, max(1, len(block)), 65_000))
    return after_start(b"".join(segment(0xE1, b"Exif\x00\x00" + piece) for piece in pieces))


# -- TIFF and EXIF ------------------------------------------------------------------------------
def directory(tags: Mapping[int, Tag], at: int, following: int = 0) -> bytes:
    """An image file directory that lies at an offset, and behind it its values."""
    behind = at + 2 + 12 * len(tags) + 4
    entries, values = [], b""
    for tag, (kind, count, value) in sorted(tags.items()):
        if isinstance(value, int):
            field = struct.pack("<I", value)
        elif len(value) <= 4:
            field = value.ljust(4, b"\x00")
        else:
            field = struct.pack("<I", behind + len(values))
            values += value
        entries.append(struct.pack("<HHI", tag, kind, count) + field)
    return struct.pack("<H", len(tags)) + b"".join(entries) + struct.pack("<I", following) + values


def tiff(tags: Mapping[int, Tag], body: bytes = b"", following: int = 0) -> bytes:
    """A little-endian TIFF or EXIF block; its body lies at offset 8, its directory behind it."""
    at = 8 + len(body)
    return b"II*\x00" + struct.pack("<I", at) + body + directory(tags, at, following)


def strips(
    width: int, height: int, body: bytes, changes: Mapping[int, Tag | None] | None = None
) -> bytes:
    """A grey TIFF whose body is its one strip, with any tags changed or, by None, left out."""
    tags: dict[int, Tag | None] = {
        256: (LONG, 1, width),
        257: (LONG, 1, height),
        258: (SHORT, 1, 8),
        259: (SHORT, 1, 1),
        262: (SHORT, 1, 1),
        273: (LONG, 1, 8),
        277: (SHORT, 1, 1),
        278: (LONG, 1, height),
        279: (LONG, 1, len(body)),
    }
    tags |= changes or {}
    return tiff({tag: value for tag, value in tags.items() if value is not None}, body)


def shorts(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}H", *values)


def longs(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)


def oriented(orientation: int) -> bytes:
    """An EXIF block with nothing but an orientation."""
    return tiff({0x0112: (SHORT, 1, orientation)})


# -- AVIF, HEIF and WebP ------------------------------------------------------------------------
def box(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", 8 + len(payload)) + kind + payload


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    """A WebP of these chunks, with true sizes."""
    body = b"".join(
        kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for kind, data in chunks
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def webp_chunks(data: bytes) -> Sequence[tuple[bytes, bytes]]:
    """The chunks of a WebP."""
    chunks, at = [], 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        chunks.append((data[at : at + 4], data[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    return chunks
