"""Nasty BMPs."""

import struct
from functools import partial

from nasty_parts import MEBIBYTE, Builders, one_colour, quartered

RAW, RLE8, RLE4, BITFIELDS, JPEG, PNG = range(6)
#: 16 and 256 colours; a palette of greys would be left out by Pillow.
FEW, MANY = bytes(range(64)), bytes(range(256)) * 4
END_OF_LINE, DELTA = b"\x00\x00", b"\x00\x02"


def bmp(
    width: int,
    height: int,
    bits: int,
    compression: int,
    body: bytes,
    palette: bytes = b"",
    *,
    colours: int | None = None,
    offset: int | None = None,
) -> bytes:
    count = len(palette) // 4 if colours is None else colours
    head = struct.pack(
        "<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(body), 0, 0, count, 0
    )
    start = 14 + len(head) + len(palette)
    told = start if offset is None else offset
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, told) + head + palette + body


def true_colour(width: int, height: int, **more: int) -> bytes:
    return bmp(width, height, 24, RAW, bytes(8 * 24), **more)


def rle8(width: int, height: int, body: bytes) -> bytes:
    return bmp(width, height, 8, RLE8, body, MANY)


def rle4(width: int, height: int, body: bytes) -> bytes:
    return bmp(width, height, 4, RLE4, body, FEW)


def fields(bits: int, *masks: int) -> bytes:
    return bmp(8, 8, bits, BITFIELDS, struct.pack("<3I", *masks) + bytes(8 * 8 * bits // 8))


def os2(size: int) -> bytes:
    """A picture with the header of OS/2, or one of another size."""
    head = struct.pack("<IHHHH", 12, 8, 8, 1, 24) if size == 12 else struct.pack("<I", size)
    return b"BM" + struct.pack("<IHHI", 999, 0, 0, 26) + head + bytes(8 * 24 + 200)


BUILDERS: Builders = {
    "bomb-bmp-60000-x-60000": lambda: true_colour(60_000, 60_000),
    "bomb-bmp-2147483647-x-2147483647": lambda: true_colour(2**31 - 1, 2**31 - 1),
    "bomb-bmp-8001-x-8000-run-length": lambda: rle8(8001, 8000, b"\xff\x01"),
    "any-bmp-negative-width": lambda: true_colour(-8, 8),
    "fine-bmp-negative-height": lambda: true_colour(8, -8),
    "any-bmp-least-height": lambda: true_colour(8, -(2**31)),
    "broken-bmp-0-x-8": lambda: true_colour(0, 8),
    "fine-bmp-1-x-65535": lambda: one_colour("BMP", 1, 65_535),
    "fine-bmp-65535-x-1": lambda: one_colour("BMP", 65_535, 1),
    "fine-bmp-4000-x-4000-one-bit": lambda: bmp(4000, 4000, 1, RAW, bytes(2_000_000), bytes(8)),
    # run lengths: Pillow decodes them in Python
    "fine-bmp-3000-x-3000-ended-lines": lambda: rle8(
        3000, 3000, (b"\x01\x01" + END_OF_LINE) * 3000
    ),
    "fine-bmp-4-bit-8000000-x-1": lambda: rle4(8_000_000, 1, b"\xff\x12" * 31_373),
    "any-bmp-jump-over-everything": lambda: rle8(4000, 4000, (DELTA + b"\xff\xff") * 40),
    "any-bmp-a-million-jumps-to-nowhere": lambda: rle8(80, 80, (DELTA + b"\x00\x00") * MEBIBYTE),
    "any-bmp-a-million-ends-of-line": lambda: rle8(80, 80, END_OF_LINE * MEBIBYTE),
    "any-bmp-runs-beyond-the-line": lambda: rle8(80, 80, b"\xff\x01" * MEBIBYTE),
    "any-bmp-run-length-ends-at-once": lambda: rle8(80, 80, b"\x00\x01"),
    "any-bmp-run-length-of-nothing": lambda: rle8(80, 80, b""),
    "any-bmp-run-length-literal-that-is-cut": lambda: rle8(80, 80, b"\x00\xff\x01"),
    "any-bmp-run-length-for-24-bits": lambda: bmp(8, 8, 24, RLE8, b"\xff\x01" * 9),
    "any-bmp-run-length-for-one-bit": lambda: bmp(8, 8, 1, RLE8, b"\x40\x01", bytes(8)),
    "any-bmp-colours-out-of-range": lambda: bmp(8, 8, 8, RLE8, b"\x40\xff", bytes(range(8))),
    # headers
    "fine-bmp-os2": partial(os2, 12),
    **{
        f"any-bmp-header-of-{size}": partial(os2, size)
        for size in (0, 11, 16, 64, 2**31, 2**32 - 1)
    },
    "cut-bmp-pixels-beyond-the-end": lambda: true_colour(8, 8, offset=10**6),
    "any-bmp-pixels-in-the-header": lambda: true_colour(8, 8, offset=1),
    "any-bmp-pixels-at-4-gigabytes": lambda: true_colour(8, 8, offset=2**32 - 1),
    **{
        f"broken-bmp-of-{bits}-bits": lambda bits=bits: bmp(8, 8, bits, RAW, bytes(999))
        for bits in (3, 64)
    },
    "any-bmp-of-0-bits": lambda: bmp(8, 8, 0, JPEG, quartered("JPEG")),
    "broken-bmp-jpeg-inside": lambda: bmp(8, 8, 24, JPEG, quartered("JPEG")),
    "broken-bmp-png-inside": lambda: bmp(8, 8, 32, PNG, quartered("PNG")),
    "any-bmp-65536-colours": lambda: bmp(8, 8, 8, RAW, bytes(64), bytes(1 << 18)),
    "any-bmp-4-billion-colours": lambda: bmp(8, 8, 8, RAW, bytes(64), MANY, colours=2**32 - 1),
    "any-bmp-no-palette": lambda: bmp(8, 8, 8, RAW, bytes(64), colours=256),
    "any-bmp-palette-of-one": lambda: bmp(8, 8, 8, RAW, b"\xff" * 64, bytes(4)),
    "fine-bmp-fields-565": partial(fields, 16, 0xF800, 0x7E0, 0x1F),
    "any-bmp-fields-that-overlap": partial(fields, 32, 0xFFFF, 0xFFFF, 0xFFFF),
    "any-bmp-fields-of-nothing": partial(fields, 16, 0, 0, 0),
    "any-bmp-fields-for-8-bits": partial(fields, 8, 1, 2, 4),
    "any-bmp-signature-only": lambda: b"BM",
}
