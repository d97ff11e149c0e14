"""Nasty TIFFs: their sizes, pixels and directories. The strips are in nasty_strips.py."""

import struct
import zlib
from collections.abc import Mapping
from functools import partial

import numpy as np
from drawn import encoded, quarters
from nasty_parts import (
    BYTE,
    LONG,
    MEBIBYTE,
    RATIONAL,
    SHORT,
    UNDEFINED,
    Builders,
    Tag,
    longs,
    noise,
    one_colour,
    quartered,
    shorts,
    strips,
    tiff,
)
from PIL import Image

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
OFFSETS, ORIENTATION, SAMPLES, ROWS, LENGTHS, X_RESOLUTION = 273, 274, 277, 278, 279, 282
PLANES, COLOUR_MAP, SUB_DIRECTORIES, EXTRA, FORMAT, SUBSAMPLING = 284, 320, 330, 338, 339, 530
XMP, ICC, DEFLATE = 700, 34675, 8

Changes = Mapping[int, Tag | None]


def small(changes: Changes, body: bytes = bytes(range(64))) -> bytes:
    """8 × 8 grey pixels, and what is to be odd about them."""
    return strips(8, 8, body, changes)


def short(value: int) -> Tag:
    return (SHORT, 1, value)


def long(value: int) -> Tag:
    return (LONG, 1, value)


def flat(
    width: int, height: int, samples: int, bits: int, photometric: int, more: Changes | None = None
) -> bytes:
    """One colour: all strips are the same hundred deflated rows."""
    body = zlib.compress(bytes(width * samples * bits // 8 * 100), 9)
    count = height // 100
    changes: Changes = {
        BITS: (SHORT, samples, shorts(*[bits] * samples)),
        COMPRESSION: short(DEFLATE),
        PHOTOMETRIC: short(photometric),
        OFFSETS: (LONG, count, longs(*[8] * count)),
        SAMPLES: short(samples),
        ROWS: long(100),
        LENGTHS: (LONG, count, longs(*[len(body)] * count)),
        **(more or {}),
    }
    return strips(width, height, body, changes)


def sample_format(kind: int) -> Changes:
    return {FORMAT: short(kind)}


def floats(values: list[float]) -> bytes:
    pixels = np.tile(np.array(values, np.float32), 8)[:64]
    changes: Changes = {BITS: short(32), FORMAT: short(3), LENGTHS: long(256)}
    return small(changes, pixels.tobytes())


def integers(kind: str, bits: int, signed: bool) -> bytes:
    pixels = np.linspace(-(2**31), 2**31 - 1, 64).astype(np.int64).astype(kind)
    changes: Changes = {BITS: short(bits), FORMAT: short(1 + signed)}
    return small(changes, pixels.tobytes())


# -- directories --------------------------------------------------------------------------------
PLAIN: dict[int, Tag] = {
    WIDTH: long(8),
    HEIGHT: long(8),
    BITS: short(8),
    COMPRESSION: short(1),
    PHOTOMETRIC: short(1),
    OFFSETS: long(8),
    SAMPLES: short(1),
    ROWS: long(8),
    LENGTHS: long(64),
}


def circular() -> bytes:
    return tiff(PLAIN, bytes(64), following=72)


def sub_directories() -> bytes:
    """The picture is its own sub-directory, EXIF, GPS and next picture, a hundred times."""
    loop: dict[int, Tag] = {SUB_DIRECTORIES: (LONG, 100, longs(72) * 100)}
    pointers: dict[int, Tag] = {0x8769: long(72), 0x8825: long(72), 0xA005: long(72)}
    return tiff({**PLAIN, **loop, **pointers}, bytes(64), following=72)


def many_tags() -> bytes:
    fillers = {tag: short(1) for tag in range(1000, 48_000)}
    return tiff({**PLAIN, **fillers}, bytes(64))


def claimed_tags(count: int) -> bytes:
    return b"II*\x00\x08\x00\x00\x00" + struct.pack("<H", count) + bytes(200)


def big(count: int, at: int = 16) -> bytes:
    return b"II+\x00\x08\x00\x00\x00" + struct.pack("<QQ", at, count) + bytes(400)


def frames(count: int) -> bytes:
    image = Image.new("L", (8, 8))
    return encoded(image, "TIFF", save_all=True, append_images=[image] * (count - 1))


BUILDERS: Builders = {
    # sizes
    "bomb-tiff-1000000-x-1000000": lambda: strips(10**6, 10**6, bytes(64)),
    "bomb-tiff-4294967295-x-4294967295": lambda: strips(2**32 - 1, 2**32 - 1, bytes(64)),
    "bomb-tiff-8000-x-8100-that-is-real": partial(flat, 8000, 8100, 1, 8, 1),
    "fine-tiff-8000-x-8000-lab": partial(flat, 8000, 8000, 3, 8, 8),
    "fine-tiff-8000-x-8000-sideways": lambda: flat(8000, 8000, 3, 8, 2, {ORIENTATION: short(6)}),
    "fine-tiff-8000-x-8000-of-fractions": lambda: flat(8000, 8000, 1, 32, 1, sample_format(3)),
    "fine-tiff-8000-x-8000-of-32-bit-numbers": lambda: flat(8000, 8000, 1, 32, 1, sample_format(2)),
    "fine-tiff-1-x-65535": lambda: one_colour("TIFF", 1, 65_535),
    "fine-tiff-65535-x-1": lambda: one_colour("TIFF", 65_535, 1),
    "broken-tiff-0-x-8": lambda: small({WIDTH: long(0)}),
    "broken-tiff-without-a-width": lambda: small({WIDTH: None}),
    "any-tiff-two-widths": lambda: small({WIDTH: (LONG, 2, longs(8, 8))}),
    "any-tiff-width-as-a-fraction": lambda: small({WIDTH: (RATIONAL, 1, longs(8, 1))}),
    # pixels
    "fine-tiff-fractions-that-are-none": partial(
        floats, [0.5, float("nan"), float("inf"), float("-inf"), -1.0, 1e38, 0.0, 1.0]
    ),
    "fine-tiff-nothing-but-nan": partial(floats, [float("nan")] * 8),
    "fine-tiff-nothing-but-infinity": partial(floats, [float("inf")] * 8),
    "fine-tiff-negative-fractions": partial(floats, [-3.0, -2.0] * 4),
    "fine-tiff-32-bit-negative": partial(integers, "<i4", 32, True),
    "any-tiff-32-bit-unsigned": partial(integers, "<u4", 32, False),
    "any-tiff-16-bit-signed": partial(integers, "<i2", 16, True),
    "any-tiff-64-bit": partial(integers, "<i8", 64, True),
    "any-tiff-bits-of-65535": lambda: small({BITS: short(65_535)}),
    "any-tiff-bits-of-3": lambda: small({BITS: short(3)}),
    "fine-tiff-one-bit": lambda: small({BITS: short(1)}),
    "any-tiff-one-bit-backwards": lambda: small({BITS: short(1), FILL_ORDER: short(2)}),
    "broken-tiff-65535-samples": lambda: small({SAMPLES: short(65_535)}),
    "any-tiff-two-samples-of-nothing": lambda: small({SAMPLES: short(2)}),
    "any-tiff-planes-of-grey": lambda: small({PLANES: short(2)}),
    "any-tiff-planes-of-7": lambda: small({PLANES: short(7)}),
    "any-tiff-palette-missing": lambda: small({PHOTOMETRIC: short(3)}),
    "any-tiff-palette-too-short": lambda: small(
        {PHOTOMETRIC: short(3), COLOUR_MAP: (SHORT, 3, shorts(1, 2, 3))}
    ),
    "any-tiff-photometric-of-65535": lambda: small({PHOTOMETRIC: short(65_535)}),
    "any-tiff-subsampling-of-zero": lambda: flat(
        800, 800, 3, 8, 6, {SUBSAMPLING: (SHORT, 2, bytes(4))}
    ),
    "any-tiff-subsampling-of-65535": lambda: flat(
        800, 800, 3, 8, 6, {SUBSAMPLING: (SHORT, 2, b"\xff" * 4)}
    ),
    "fine-tiff-cmyk": lambda: encoded(quarters().convert("CMYK"), "TIFF"),
    "fine-tiff-lab": lambda: encoded(Image.new("LAB", (8, 8)), "TIFF"),
    "any-tiff-300-extra-samples": lambda: small({EXTRA: (SHORT, 300, shorts(0) * 300)}),
    # directories
    "any-tiff-circular": circular,
    "any-tiff-its-own-sub-directory": sub_directories,
    "any-tiff-47000-tags": many_tags,
    "any-tiff-says-65535-tags": partial(claimed_tags, 65_535),
    "any-tiff-no-tags": partial(claimed_tags, 0),
    "any-big-tiff-of-exatags": partial(big, 2**62),
    "any-big-tiff-of-a-directory-at-exabytes": partial(big, 1, 2**63 + 5),
    "fine-tiff-big": lambda: quartered("TIFF", big_tiff=True),
    "any-tiff-directory-beyond-the-end": lambda: b"II*\x00\xff\xff\xff\x7f" + bytes(64),
    "any-tiff-directory-in-the-header": lambda: b"II*\x00\x00\x00\x00\x00" + bytes(64),
    "fine-tiff-200-frames": partial(frames, 200),
    "fine-tiff-profile-of-9-megabytes": lambda: small(
        {ICC: (UNDEFINED, 9 * MEBIBYTE, bytes(9 * MEBIBYTE))}
    ),
    "fine-tiff-xmp-of-2-megabytes": lambda: small({XMP: (BYTE, 2 * MEBIBYTE, bytes(2 * MEBIBYTE))}),
    "any-tiff-xmp-as-fractions": lambda: small({XMP: (RATIONAL, 100_000, longs(1, 0) * 100_000)}),
    "any-tiff-resolution-of-300000-fractions": lambda: small(
        {X_RESOLUTION: (RATIONAL, 300_000, longs(1, 0) * 300_000)}
    ),
    **{
        f"fine-tiff-orientation-{number}": partial(
            lambda number: small({ORIENTATION: short(number)}), number
        )
        for number in (0, 5, 9, 65535)
    },
    "any-tiff-three-orientations": lambda: small({ORIENTATION: (SHORT, 3, shorts(6, 7, 8))}),
    "any-tiff-orientation-as-text": lambda: small({ORIENTATION: (2, 4, b"six\x00")}),
    "fine-tiff-noise-by-lzw": lambda: encoded(noise(400, 400), "TIFF", compression="tiff_lzw"),
    "fine-tiff-fax": lambda: encoded(Image.new("1", (800, 800)), "TIFF", compression="group4"),
}
