"""Nasty PNGs."""

import struct
import zlib
from functools import partial

from drawn import chunk, encoded, png, quarters
from nasty_parts import LARGEST, MEBIBYTE, Builders, deflated, one_colour, quartered
from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
END = chunk(b"IEND", b"")
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
SAMPLES = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
#: Adam7: where each pass starts, and its steps, in x and y.
PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)


def header(
    width: int, height: int, depth: int = 8, kind: int = GREY, rest: bytes = bytes(3)
) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBB", width, height, depth, kind) + rest)


def flat(width: int, height: int, depth: int, kind: int, head: bytes = b"") -> bytes:
    """One colour, and so small on disk however large the picture."""
    row = bytes(1 + (width * SAMPLES[kind] * depth + 7) // 8)
    data = chunk(b"IDAT", deflated(row * 10, height // 10))
    return SIGNATURE + header(width, height, depth, kind) + head + data + END


def interlaced(width: int, height: int) -> bytes:
    rows = ((1 + -(-(width - x) // step)) * -(-(height - y) // down) for x, y, step, down in PASSES)
    size = sum(rows)
    data = deflated(bytes(MEBIBYTE), size // MEBIBYTE + 1)
    return SIGNATURE + header(width, height, rest=b"\x00\x00\x01") + chunk(b"IDAT", data) + END


def small(
    *before: bytes,
    depth: int = 8,
    kind: int = GREY,
    rows: bytes = bytes(9 * 8),
    after: bytes = b"",
    rest: bytes = bytes(3),
) -> bytes:
    """8 × 8, with chunks before and after its pixels."""
    data = chunk(b"IDAT", zlib.compress(rows))
    return SIGNATURE + header(8, 8, depth, kind, rest) + b"".join(before) + data + after + END


def palette(colours: int, *more: bytes, rows: bytes = bytes(9 * 8)) -> bytes:
    return small(chunk(b"PLTE", b"\x10\x20\x30" * colours), *more, kind=PALETTE, rows=rows)


def packed(name: bytes, head: bytes, size: int) -> bytes:
    """A chunk whose compressed part is so many zeros."""
    return chunk(name, head + deflated(bytes(MEBIBYTE), size // MEBIBYTE))


def profiles() -> bytes:
    """As many as there is room for, each as large as Pillow lets a profile be."""
    profile = packed(b"iCCP", b"a\x00\x00", MEBIBYTE)
    return small(profile * ((LARGEST - 200) // len(profile)))


def in_pieces(count: int) -> bytes:
    """Pixels in chunks of one byte, among many that are empty."""
    data = zlib.compress(bytes(9 * 8), 0)
    pieces = b"".join(chunk(b"IDAT", data[at : at + 1]) for at in range(len(data)))
    return SIGNATURE + header(8, 8) + chunk(b"IDAT", b"") * count + pieces + END


def wrong_check(name: bytes) -> bytes:
    data = bytearray(quartered("PNG"))
    at = data.index(name)
    data[at + 4 + int.from_bytes(data[at - 4 : at], "big")] ^= 0x55
    return bytes(data)


def resized(name: bytes, size: int) -> bytes:
    data = quartered("PNG")
    at = data.index(name)
    return data[: at - 4] + struct.pack(">I", size) + data[at:]


def animated(frames: int, place: tuple[int, int, int, int] = (8, 8, 0, 0)) -> bytes:
    control = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, *place, 1, 1, 0, 0))
    return small(chunk(b"acTL", struct.pack(">II", frames, 0)), control)


def animation(count: int) -> bytes:
    image = quarters()
    frames = [image.rotate(angle) for angle in range(count)]
    return encoded(image, "PNG", save_all=True, append_images=frames)


IDAT = chunk(b"IDAT", zlib.compress(bytes(9 * 8)))
DICTIONARY = b"\x78\x20" + zlib.compress(bytes(9 * 8))[2:]

BUILDERS: Builders = {
    # sizes
    "bomb-png-100000-x-100000": lambda: png(100_000, 100_000, 8, RGB, b""),
    "bomb-png-2147483647-x-2147483647": lambda: png(2**31 - 1, 2**31 - 1, 16, RGBA, b""),
    "bomb-png-64000001-x-1": lambda: png(64_000_001, 1, 8, GREY, b""),
    "bomb-png-8000-x-8010-that-is-real": partial(flat, 8000, 8010, 8, RGB),
    "fine-png-8000-x-7900-one-colour": partial(flat, 8000, 7900, 8, RGB),
    "fine-png-8000-x-8000-rgba": partial(flat, 8000, 8000, 8, RGBA),
    "fine-png-8000-x-8000-16-bit-grey": partial(flat, 8000, 8000, 16, GREY),
    "fine-png-4000-x-3900-interlaced": partial(interlaced, 4000, 3900),
    "fine-png-1-x-65535": lambda: one_colour("PNG", 1, 65_535),
    "fine-png-65535-x-1": lambda: one_colour("PNG", 65_535, 1),
    "fine-png-64000000-x-1": lambda: png(64_000_000, 1, 1, GREY, bytes(8_000_001)),
    "any-png-1-x-4000000": lambda: png(1, 4_000_000, 1, GREY, bytes(8_000_000)),
    "broken-png-0-x-8": lambda: png(0, 8, 8, GREY, bytes(8)),
    "any-png-4294967295-x-1": lambda: png(2**32 - 1, 1, 8, GREY, b""),
    # compressed texts and profiles
    "any-png-text-of-a-gigabyte": lambda: small(packed(b"zTXt", b"a\x00\x00", 1 << 30)),
    "any-png-9000-texts-of-a-mebibyte": lambda: small(
        packed(b"zTXt", b"a\x00\x00", MEBIBYTE) * 9000
    ),
    "any-png-international-text-of-a-gigabyte": lambda: small(
        packed(b"iTXt", b"a\x00\x01\x00\x00\x00", 1 << 30)
    ),
    "any-png-profile-of-a-gigabyte": lambda: small(packed(b"iCCP", b"a\x00\x00", 1 << 30)),
    "broken-png-profiles-of-a-mebibyte": profiles,
    "fine-png-profile-of-nonsense": lambda: small(chunk(b"iCCP", b"a\x00\x00" + b"\xa5" * 99)),
    "any-png-profile-without-a-name": lambda: small(chunk(b"iCCP", b"")),
    "any-png-text-of-nothing": lambda: small(chunk(b"zTXt", b""), chunk(b"tEXt", b"")),
    "fine-png-100000-texts": lambda: small(
        *(chunk(b"tEXt", b"%d\x00text" % number) for number in range(100_000))
    ),
    # chunks
    "fine-png-150000-unknown-chunks": lambda: small(chunk(b"abCd", b"") * 150_000),
    "fine-png-150000-chunks-behind-the-pixels": lambda: small(after=chunk(b"abCd", b"") * 150_000),
    "fine-png-150000-empty-data-chunks": partial(in_pieces, 150_000),
    "fine-png-pixels-byte-by-byte": partial(in_pieces, 0),
    "broken-png-without-data": lambda: SIGNATURE + header(8, 8) + END,
    "broken-png-data-before-the-header": lambda: SIGNATURE + IDAT + header(8, 8) + END,
    "broken-png-end-first": lambda: SIGNATURE + END + header(8, 8) + IDAT,
    "any-png-two-headers": lambda: small(header(60_000, 60_000)),
    "any-png-header-of-12-bytes": lambda: SIGNATURE + chunk(b"IHDR", bytes(12)) + IDAT + END,
    "any-png-palette-behind-the-pixels": lambda: small(
        kind=PALETTE, after=chunk(b"PLTE", b"\x10" * 768)
    ),
    "broken-png-wrong-check-of-the-header": partial(wrong_check, b"IHDR"),
    "any-png-wrong-check-of-the-data": partial(wrong_check, b"IDAT"),
    "any-png-wrong-check-of-the-end": partial(wrong_check, b"IEND"),
    "any-png-chunk-of-4-gigabytes": partial(resized, b"IDAT", 2**32 - 1),
    "any-png-chunk-of-2-gigabytes": partial(resized, b"IDAT", 2**31),
    "any-png-header-chunk-of-4-gigabytes": partial(resized, b"IHDR", 2**32 - 1),
    "any-png-data-chunk-of-0-bytes": partial(resized, b"IDAT", 0),
    "any-png-chunk-named-nonsense": lambda: small(chunk(b"\xff\x00\x80\n", b"")),
    "any-png-chunk-named-like-a-method": lambda: small(chunk(b"IEND"[::-1], b"x")),
    # pixels
    "fine-png-100-megabytes-behind-the-pixels": lambda: (
        SIGNATURE + header(8, 8) + chunk(b"IDAT", deflated(bytes(MEBIBYTE), 100)) + END
    ),
    "any-png-too-few-rows": lambda: small(rows=bytes(9 * 4)),
    "broken-png-depth-of-7": lambda: png(8, 8, 7, RGB, b""),
    "broken-png-depth-of-16-with-palette": lambda: png(8, 8, 16, PALETTE, bytes(999)),
    "broken-png-colour-type-5": lambda: png(8, 8, 8, 5, bytes(999)),
    "broken-png-filter-9": lambda: png(8, 8, 8, GREY, b"\x09" * 72),
    "broken-png-another-filter-method": lambda: small(rest=b"\x00\x01\x00"),
    "any-png-another-compression": lambda: small(rest=b"\x63\x00\x00"),
    "any-png-another-interlacing": lambda: small(rest=b"\x00\x00\x63"),
    "any-png-preset-dictionary": lambda: (
        SIGNATURE + header(8, 8) + chunk(b"IDAT", DICTIONARY) + END
    ),
    "any-png-palette-missing": lambda: small(kind=PALETTE),
    "any-png-palette-empty": partial(palette, 0),
    "any-png-palette-index-out-of-range": partial(
        palette, 1, rows=b"\x00" + b"\xff" * 8 + bytes(63)
    ),
    "any-png-palette-of-20000-colours": partial(palette, 20_000),
    "any-png-palette-of-a-byte-too-many": lambda: small(chunk(b"PLTE", bytes(7)), kind=PALETTE),
    "any-png-palette-for-grey-with-alpha": lambda: small(
        chunk(b"PLTE", bytes(768)), kind=GREY_ALPHA, rows=bytes(17 * 8)
    ),
    "any-png-more-transparency-than-colours": partial(palette, 2, chunk(b"tRNS", bytes(60_000))),
    "fine-png-every-colour-transparent": partial(palette, 256, chunk(b"tRNS", bytes(256))),
    "any-png-transparency-of-nothing": partial(palette, 2, chunk(b"tRNS", b"")),
    "any-png-transparency-before-the-palette": lambda: small(
        chunk(b"tRNS", bytes(256)), chunk(b"PLTE", bytes(768)), kind=PALETTE
    ),
    "any-png-transparent-grey-of-one-byte": lambda: small(chunk(b"tRNS", b"\x00")),
    "fine-png-transparent-grey-of-16-bits": lambda: small(
        chunk(b"tRNS", b"\xff\xff"), depth=16, rows=bytes(17 * 8)
    ),
    "any-png-gamma-of-nothing": lambda: small(chunk(b"gAMA", b"")),
    "any-png-density-of-nothing": lambda: small(chunk(b"pHYs", b"")),
    "fine-png-gamma-of-zero": lambda: small(chunk(b"gAMA", bytes(4))),
    # animations
    "fine-png-animation": partial(animation, 20),
    "any-png-4-billion-frames": partial(animated, 2**32 - 1),
    "any-png-0-frames": partial(animated, 0),
    "any-png-frame-beyond-the-picture": partial(animated, 2, (8, 8, 4, 4)),
    "any-png-frame-of-4-billion": partial(animated, 2, (2**32 - 1, 2**32 - 1, 0, 0)),
    "any-png-first-frame-smaller": partial(animated, 2, (2, 2, 1, 1)),
    "any-png-frame-data-only": lambda: (
        SIGNATURE
        + header(8, 8)
        + chunk(b"acTL", bytes(7) + b"\x01")
        + chunk(b"fdAT", bytes(9))
        + END
    ),
    "fine-png-palette-image-of-one-colour": lambda: encoded(Image.new("P", (9, 9)), "PNG"),
}
