"""Nasty JPEGs: what is wrong with their scans, tables and segments.

Their EXIF is in nasty_exif.py.
"""

import struct
from functools import partial

from drawn import encoded, quarters
from nasty_parts import (
    LONG,
    MEBIBYTE,
    UNDEFINED,
    Builders,
    after_start,
    quartered,
    segment,
    tiff,
)

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
BASELINE, PROGRESSIVE, LOSSLESS, ARITHMETIC = 0xC0, 0xC2, 0xC3, 0xC9


# -- a JPEG of one grey -------------------------------------------------------------------------
def frame(
    width: int, height: int, components: int = 1, marker: int = BASELINE, bits: int = 8
) -> bytes:
    each = b"".join(bytes((number, 0x11, 0)) for number in range(1, components + 1))
    return segment(marker, struct.pack(">BHHB", bits, height, width, components) + each)


def huffman(kind: int, symbol: int) -> bytes:
    """A table with one code, a single 0: entropy-coded data is then nothing but zeros."""
    return segment(0xC4, bytes((kind, 1)) + bytes(15) + bytes((symbol,)))


QUANTIZATION = segment(0xDB, b"\x00" + b"\x01" * 64)
TABLES = QUANTIZATION + huffman(0x00, 0) + huffman(0x10, 0)
#: The AC code means a run of 16,384 blocks in which nothing changes.
PROGRESSIVE_TABLES = QUANTIZATION + huffman(0x00, 0) + huffman(0x10, 0xE0)


def scan(
    bits: int, components: tuple[int, ...] = (1,), first: int = 0, last: int = 63, near: int = 0
) -> bytes:
    """A scan of so many zero bits."""
    each = b"".join(bytes((component, 0)) for component in components)
    head = bytes((len(components),)) + each + bytes((first, last, near))
    return segment(0xDA, head) + bytes((bits + 7) // 8)


def blocks(width: int, height: int) -> int:
    return -(-width // 8) * -(-height // 8)


def one_grey(
    width: int, height: int, marker: int = BASELINE, tables: bytes = TABLES, bits: int = 8
) -> bytes:
    head = SOI + tables + frame(width, height, 1, marker, bits)
    return head + scan(2 * blocks(width, height)) + EOI


def idle_scan(count: int, component: int = 1) -> bytes:
    """A scan in which so many blocks stay as they are."""
    return scan(15 * (1 + count // 16384), (component,), 1, 63)


def progressive(
    width: int, height: int, scans: int, components: int = 1, refinements: int = 0
) -> bytes:
    """With so many idle scans, and scans that refine the first component."""
    count = blocks(width, height)
    everything = tuple(range(1, components + 1))
    head = SOI + PROGRESSIVE_TABLES + frame(width, height, components, PROGRESSIVE)
    start = scan(count * components, everything, 0, 0)
    idle = b"".join(idle_scan(count, component) for component in everything)
    refined = scan(count, (1,), 0, 0, 0x10)
    return head + start + idle * (scans // components) + refined * refinements + EOI


# -- scans --------------------------------------------------------------------------------------
def hidden_scans(side: int, times: int) -> bytes:
    """Thousands of scans that a reader who believes an unknown marker's length never sees.

    libjpeg expects a restart marker there, and goes on with the next marker it finds instead.
    """
    count = blocks(side, side)
    idle = idle_scan(count)
    no_restarts, restarts = segment(0xDD, b"\x00\x00"), segment(0xDD, b"\x00\x01")
    hidden = (no_restarts + idle * (65_000 // len(idle))).ljust(65_533, b"\x00")
    visible = restarts + scan(1, (1,), 0, 0) + b"\xff\x02\xff\xff"
    head = SOI + PROGRESSIVE_TABLES + frame(side, side, 1, PROGRESSIVE)
    return head + (visible + hidden) * times + EOI


def in_scan(data: bytes) -> bytes:
    """A picture with something behind the data of its only scan."""
    return one_grey(64, 64)[:-2] + data + EOI


def restart_storm() -> bytes:
    restarts = b"".join(b"\x00\xff" + bytes((0xD0 + number % 8,)) for number in range(9_999))
    head = SOI + TABLES + segment(0xDD, b"\x00\x01") + frame(800, 800)
    return head + scan(0) + restarts + b"\x00" + EOI


def interleaved(sampling: bytes) -> bytes:
    each = b"".join(bytes((number, byte, 0)) for number, byte in enumerate(sampling, 1))
    head = segment(BASELINE, struct.pack(">BHHB", 8, 64, 64, len(sampling)) + each)
    components = tuple(range(1, len(sampling) + 1))
    return SOI + TABLES + head + scan(80_000, components[:4]) + EOI


# -- segments -----------------------------------------------------------------------------------
def claiming(width: int, height: int, data: bytes) -> bytes:
    """A JPEG whose frame header says another size."""
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def icc(size: int, told: int, filler: bytes) -> bytes:
    """A profile in pieces of 65,000 bytes, and how many of them there are said to be."""
    heads = (b"ICC_PROFILE\x00" + bytes((number, told)) for number in range(1, size // 65_000 + 1))
    return after_start(b"".join(segment(0xE2, head + filler * 65_000) for head in heads))


def multi_picture(second: int, count: int = 2) -> bytes:
    """An MPO whose further pictures lie at a wrong place, or are said to be more."""
    entries = struct.pack("<IIIHH", 0x030000, 100, 0, 0, 0)
    entries += struct.pack("<IIIHH", 0, 100, second, 0, 0) * (min(count, 4000) - 1)
    index = tiff(
        {
            0xB000: (UNDEFINED, 4, b"0100"),
            0xB001: (LONG, 1, count),
            0xB002: (UNDEFINED, len(entries), entries),
        }
    )
    return after_start(segment(0xE2, b"MPF\x00" + index))


def adobe(mode: str, transform: int) -> bytes:
    data = encoded(quarters().convert(mode), "JPEG")
    marker = segment(0xEE, b"Adobe\x00\x64" + bytes(4) + bytes((transform,)))
    return data[:2] + marker + data[2:]


TALL_FRAME = segment(BASELINE, struct.pack(">BHHB", 8, 8, 8, 1) + bytes(65_000))
PHOTOSHOP = segment(0xED, b"Photoshop 3.0\x00" + (b"8BIM" + bytes(8)) * 5000)
LYING_PHOTOSHOP = segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04\x00\x00\xff\xff\xff\xff")

BUILDERS: Builders = {
    # sizes
    "bomb-jpeg-65535-x-65535": lambda: claiming(65535, 65535, quartered("JPEG")),
    "bomb-jpeg-8001-x-8000": lambda: claiming(8001, 8000, quartered("JPEG")),
    "bomb-jpeg-multi-picture": lambda: claiming(30_000, 30_000, multi_picture(4)),
    "fine-jpeg-3000-x-2000": partial(one_grey, 3000, 2000),
    "fine-jpeg-1-x-65500": partial(one_grey, 1, 65_500),
    "fine-jpeg-65500-x-1": partial(one_grey, 65_500, 1),
    "any-jpeg-1-x-65535": partial(one_grey, 1, 65_535),
    "any-jpeg-65535-x-1": partial(one_grey, 65_535, 1),
    "broken-jpeg-0-x-64": lambda: claiming(0, 64, quartered("JPEG")),
    "broken-jpeg-96-x-0": lambda: claiming(96, 0, quartered("JPEG")),
    "cut-jpeg-that-says-it-is-higher": lambda: claiming(96, 6400, quartered("JPEG"))[:-2],
    # scans
    "fine-jpeg-progressive-8000-x-8000-cmyk": partial(progressive, 8000, 8000, 4, 4),
    "fine-jpeg-99-scans-of-8000-x-8000": partial(progressive, 8000, 8000, 90, 3, 8),
    "broken-jpeg-101-scans": partial(progressive, 64, 64, 100),
    "broken-jpeg-80000-scans": partial(progressive, 64, 64, 80_000),
    "broken-jpeg-47200-hidden-scans": partial(hidden_scans, 8000, 100),
    "any-jpeg-5000-hidden-scans-of-64-x-64": partial(hidden_scans, 64, 1),
    "any-jpeg-restart-storm": restart_storm,
    "any-jpeg-megabytes-of-restarts": lambda: in_scan(b"\xff\xd0" * (4 * MEBIBYTE)),
    "any-jpeg-fill-bytes-before-a-restart": lambda: in_scan(b"\xff" * 100_000 + b"\xd0"),
    "any-jpeg-fill-bytes-before-a-zero": lambda: in_scan(b"\xff" * (9 * MEBIBYTE) + b"\x00"),
    "fine-jpeg-fill-bytes-before-the-frame": lambda: after_start(b"\xff" * MEBIBYTE),
    "any-jpeg-escaped-bytes-before-the-frame": lambda: after_start(b"\xff\x00" * 500_000),
    "any-jpeg-arithmetic": partial(one_grey, 64, 64, ARITHMETIC),
    "any-jpeg-arithmetic-progressive": lambda: (
        SOI + QUANTIZATION + frame(64, 64, 1, 0xCA) + scan(64, (1,), 0, 0) + EOI
    ),
    "any-jpeg-lossless": partial(one_grey, 64, 64, LOSSLESS),
    "any-jpeg-hierarchical": partial(one_grey, 64, 64, 0xC5),
    "broken-jpeg-12-bit": partial(one_grey, 64, 64, 0xC1, TABLES, 12),
    "broken-jpeg-0-bit": partial(one_grey, 64, 64, BASELINE, TABLES, 0),
    "broken-jpeg-without-quantization": partial(
        one_grey, 64, 64, BASELINE, TABLES[len(QUANTIZATION) :]
    ),
    "any-jpeg-without-huffman-tables": partial(one_grey, 64, 64, BASELINE, QUANTIZATION),
    "broken-jpeg-two-components": lambda: interleaved(b"\x11\x11"),
    "broken-jpeg-255-components": lambda: interleaved(b"\x11" * 255),
    "broken-jpeg-sampling-of-zero": lambda: interleaved(b"\x00\x11\x11"),
    "any-jpeg-sampling-of-four": lambda: interleaved(b"\x44\x11\x41"),
    "any-jpeg-sampling-of-three": lambda: interleaved(b"\x31\x12\x21"),
    "broken-jpeg-scan-before-its-frame": lambda: SOI + TABLES + scan(9) + frame(8, 8) + EOI,
    "any-jpeg-nothing-but-start-and-end": lambda: SOI + EOI + bytes(64),
    # segments
    "broken-jpeg-300000-segments": lambda: after_start(segment(0xE5, b"") * 300_000),
    "broken-jpeg-a-hundred-thousand-comments": lambda: after_start(segment(0xFE, b"!") * 100_000),
    "any-jpeg-ten-thousand-quantization-tables": lambda: after_start(QUANTIZATION * 10_000),
    "any-jpeg-thousands-of-tables-in-a-segment": lambda: after_start(
        segment(0xC4, (bytes((0, 1)) + bytes(16)) * 3600) * 100
    ),
    "any-jpeg-a-frame-of-20000-components": lambda: after_start(TALL_FRAME * 100),
    "any-jpeg-a-huffman-table-of-1000-codes": lambda: after_start(
        segment(0xC4, b"\x00" + b"\xff" * 16 + bytes(1000))
    ),
    "any-jpeg-a-segment-of-length-0": lambda: after_start(b"\xff\xe5\x00\x00"),
    "any-jpeg-a-line-count-of-its-own": lambda: in_scan(segment(0xDC, b"\xff\xff")),
    "fine-jpeg-photoshop-blocks": lambda: after_start(PHOTOSHOP * 20),
    "fine-jpeg-photoshop-block-that-lies": lambda: after_start(LYING_PHOTOSHOP),
    "fine-jpeg-profile-of-9-megabytes": partial(icc, 9_100_000, 140, b"\x00"),
    "fine-jpeg-profile-of-nonsense": partial(icc, 65_000, 1, b"\xa5"),
    "fine-jpeg-profile-with-pieces-missing": partial(icc, 130_000, 255, b"\x00"),
    "fine-jpeg-second-picture-beyond-the-end": partial(multi_picture, 2**31),
    "fine-jpeg-second-picture-inside-the-first": partial(multi_picture, 4),
    "fine-jpeg-4000-pictures": partial(multi_picture, 4, 4000),
    "any-jpeg-a-billion-pictures": partial(multi_picture, 4, 10**9),
    # colours
    "fine-jpeg-cmyk": partial(adobe, "CMYK", 0),
    "fine-jpeg-ycck": partial(adobe, "CMYK", 2),
    "fine-jpeg-rgb-in-rgb": partial(adobe, "RGB", 0),
    "fine-jpeg-unknown-transform": partial(adobe, "RGB", 77),
}
