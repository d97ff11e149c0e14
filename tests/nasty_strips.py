"""Nasty TIFFs: their strips and tiles, and how those are compressed."""

import lzma
import struct
import zlib
from functools import partial

from nasty_jpeg import one_grey, progressive
from nasty_parts import (
    BYTE,
    MEBIBYTE,
    SHORT,
    Builders,
    deflated,
    quartered,
    shorts,
    strips,
)
from nasty_tiff import (
    BITS,
    COMPRESSION,
    LENGTHS,
    OFFSETS,
    PHOTOMETRIC,
    ROWS,
    SAMPLES,
    Changes,
    long,
    short,
    small,
)

TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_LENGTHS = 322, 323, 324, 325
OLD_JPEG, JPEG, DEFLATE, PACKBITS, LZMA, ZSTD, WEBP = 6, 7, 8, 32773, 34925, 50000, 50001


# -- strips and tiles ---------------------------------------------------------------------------
def offsets(kind: int, count: int, width: int, height: int) -> bytes:
    """So many strips, each a row of pixels at offset 0."""
    size = {BYTE: 1, SHORT: 2}[kind]
    return strips(
        width, height, bytes(4096), {OFFSETS: (kind, count, bytes(size * count)), ROWS: long(1)}
    )


def painted_again(times: int) -> bytes:
    """All rows but one, and the last, in turn: painted from the same bytes again and again."""
    width, height, count = 8000, 7900, 2 * times
    changes: Changes = {
        BITS: short(1),
        OFFSETS: (SHORT, count, shorts(8) * count),
        ROWS: long(height - 1),
    }
    return strips(width, height, bytes(width // 8 * height), changes)


def compressed_rows(compression: int, row: bytes, count: int) -> bytes:
    """A strip for every row of 8 pixels, all of them the same bytes."""
    changes: Changes = {
        COMPRESSION: short(compression),
        OFFSETS: (SHORT, count, shorts(8) * count),
        ROWS: long(1),
        LENGTHS: (SHORT, count, shorts(len(row)) * count),
    }
    return strips(8, count, row, changes)


def tiled(width: int, height: int, compression: int = 1, body: bytes = bytes(4096)) -> bytes:
    """64 × 64 pixels in one tile of any size."""
    changes: Changes = {
        COMPRESSION: short(compression),
        **dict.fromkeys((OFFSETS, ROWS, LENGTHS)),
        TILE_WIDTH: long(width),
        TILE_HEIGHT: long(height),
        TILE_OFFSETS: long(8),
        TILE_LENGTHS: long(len(body)),
    }
    return strips(64, 64, body, changes)


# -- compressed strips --------------------------------------------------------------------------
def one_strip(width: int, height: int, compression: int, body: bytes) -> bytes:
    return strips(width, height, body, {COMPRESSION: short(compression), ROWS: long(height)})


def jpeg_strip(side: int, data: bytes, components: int = 1, compression: int = JPEG) -> bytes:
    changes: Changes = {
        BITS: (SHORT, components, shorts(*[8] * components)),
        COMPRESSION: short(compression),
        PHOTOMETRIC: short(6 if components == 3 else 1),
        SAMPLES: short(components),
    }
    return strips(side, side, data, changes)


def zstd(size: int) -> bytes:
    """A frame of zeros, four bytes for 128 KiB."""
    blocks, last = divmod(size, 1 << 17)
    block = (1 << 1 | 1 << 17 << 3).to_bytes(3, "little") + b"\x00"
    end = (1 | 1 << 1 | last << 3).to_bytes(3, "little") + b"\x00"
    return b"\x28\xb5\x2f\xfd\x00\x50" + block * blocks + end


def lzma_with_dictionary(size: int) -> bytes:
    """Pixels whose decoder is asked to set aside a dictionary of 4 GiB for them."""
    data = bytearray(lzma.compress(bytes(size), check=lzma.CHECK_NONE))
    data[16] = 40
    data[20:24] = struct.pack("<I", zlib.crc32(data[12:20]))
    return bytes(data)


BUILDERS: Builders = {
    # strips and tiles
    "broken-tiff-10-million-strips": partial(offsets, BYTE, 10_000_000, 1, 64_000_000),
    "broken-tiff-10-million-strips-of-a-small-picture": partial(offsets, BYTE, 10_000_000, 64, 64),
    "broken-tiff-4-million-strips": partial(offsets, SHORT, 4_000_000, 1, 4_000_000),
    "broken-tiff-painted-10000-times": partial(painted_again, 10_000),
    "broken-tiff-a-million-deflated-strips": partial(
        compressed_rows, DEFLATE, zlib.compress(bytes(8)), 1_000_000
    ),
    "any-tiff-100000-jpeg-strips": partial(compressed_rows, JPEG, one_grey(8, 1), 100_000),
    "any-tiff-100000-lzma-strips": partial(compressed_rows, LZMA, lzma.compress(bytes(8)), 100_000),
    "bomb-tiff-tile-of-34000-x-34000": lambda: tiled(
        34_000, 34_000, DEFLATE, deflated(bytes(MEBIBYTE), 1103)
    ),
    "any-tiff-tile-of-2-gigapixels-across": partial(tiled, 2**31 - 16, 16),
    "any-tiff-tile-of-2-gigapixels-down": partial(tiled, 16, 2**31 - 16, DEFLATE),
    "any-tiff-tile-of-an-exapixel": partial(tiled, 2**30, 2**30, DEFLATE),
    "any-tiff-tile-of-nothing": partial(tiled, 0, 0),
    "any-tiff-tile-of-nothing-deflated": partial(tiled, 0, 0, DEFLATE),
    "any-tiff-tile-of-one-pixel": partial(tiled, 1, 1),
    "cut-tiff-strip-beyond-the-end": lambda: small({OFFSETS: long(2**31)}),
    "any-tiff-strip-in-the-header": lambda: small({OFFSETS: long(0)}),
    "any-tiff-strip-of-4-gigabytes": lambda: small({LENGTHS: long(2**32 - 1)}),
    "any-tiff-strip-of-no-bytes": lambda: small({LENGTHS: long(0)}),
    "any-tiff-strips-of-no-rows": lambda: small({ROWS: long(0)}),
    "fine-tiff-strip-of-4-billion-rows": lambda: small({ROWS: long(2**32 - 1)}),
    "any-tiff-no-strips": lambda: small({OFFSETS: None, LENGTHS: None}),
    # compressed strips
    "fine-tiff-a-gigabyte-behind-the-pixels": lambda: one_strip(
        64, 64, DEFLATE, deflated(bytes(MEBIBYTE), 1024)
    ),
    "any-tiff-zstd-of-16-million-pixels": lambda: one_strip(4000, 4000, ZSTD, zstd(16_000_000)),
    "any-tiff-lzma-dictionary-of-4-gigabytes": lambda: one_strip(
        64, 64, LZMA, lzma_with_dictionary(4096)
    ),
    "any-tiff-jpeg-of-90-scans": lambda: jpeg_strip(8000, progressive(8000, 8000, 90, 3, 0), 3),
    "any-tiff-jpeg-of-80000-scans": lambda: jpeg_strip(800, progressive(800, 800, 80_000)),
    "any-tiff-jpeg-of-another-size": lambda: jpeg_strip(2000, one_grey(16, 16)),
    "any-tiff-jpeg-that-is-larger": lambda: jpeg_strip(2000, one_grey(65_500, 65_500)[:9000]),
    "any-tiff-old-jpeg": lambda: jpeg_strip(2000, one_grey(2000, 2000), 1, OLD_JPEG),
    "any-tiff-webp": lambda: one_strip(96, 64, WEBP, quartered("WEBP")),
    "any-tiff-packed-bits-of-nonsense": lambda: one_strip(64, 64, PACKBITS, b"\x80" * 4096),
    **{
        f"any-tiff-nonsense-compressed-by-{number}": partial(
            one_strip, 64, 64, number, bytes(range(256)) * 16
        )
        for number in (2, 3, 4, 5, 7, 8, 32946, 34676, 34887, 34925, 50000, 50001, 50002, 65535)
    },
}
