"""Nasty WebPs."""

import struct
from functools import cache, partial

from drawn import encoded, quarters
from nasty_parts import MEBIBYTE, Builders, one_colour, quartered, riff, webp_chunks
from PIL import Image

ICC_FLAG, ALPHA_FLAG, EXIF_FLAG, XMP_FLAG, ANIMATION_FLAG = 0x20, 0x10, 0x08, 0x04, 0x02

Chunk = tuple[bytes, bytes]


def three(number: int) -> bytes:
    return number.to_bytes(3, "little")


def canvas(width: int, height: int, flags: int = 0) -> Chunk:
    return b"VP8X", bytes((flags, 0, 0, 0)) + three(width - 1) + three(height - 1)


@cache
def pixels() -> Chunk:
    """The chunk with the pixels of a picture of 96 × 64."""
    return webp_chunks(quartered("WEBP"))[0]


def in_canvas(width: int, height: int, *chunks: Chunk, flags: int = 0) -> bytes:
    return riff(canvas(width, height, flags), *chunks)


def alpha(data: bytes) -> bytes:
    return in_canvas(96, 64, (b"ALPH", data), pixels(), flags=ALPHA_FLAG)


def frame(width: int, height: int, x: int = 0, y: int = 0, *, chunk: Chunk | None = None) -> Chunk:
    name, data = pixels() if chunk is None else chunk
    place = (
        three(x // 2) + three(y // 2) + three(width - 1) + three(height - 1) + three(1) + b"\x00"
    )
    return b"ANMF", place + name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def animation(width: int, height: int, *frames: Chunk) -> bytes:
    return in_canvas(width, height, (b"ANIM", bytes(6)), *frames, flags=ANIMATION_FLAG)


def with_size(size: int) -> bytes:
    data = quartered("WEBP")
    return data[:4] + struct.pack("<I", size % 2**32) + data[8:]


def with_chunk_size(size: int) -> bytes:
    data = quartered("WEBP")
    return data[:16] + struct.pack("<I", size) + data[20:]


def lossy_claiming(width: int, height: int) -> bytes:
    name, data = pixels()
    return riff((name, data[:6] + struct.pack("<HH", width, height) + data[10:]))


def lossless_claiming(width: int, height: int) -> bytes:
    name, data = webp_chunks(quartered("WEBP", lossless=True))[0]
    bits = (width - 1) | (height - 1) << 14 | 1 << 28
    return riff((name, data[:1] + struct.pack("<I", bits) + data[5:]))


def with_metadata(name: bytes, flag: int, data: bytes) -> bytes:
    return in_canvas(96, 64, pixels(), (name, data), flags=flag)


def unknown_chunks(count: int) -> bytes:
    return in_canvas(96, 64, *[(b"abcd", b"")] * count, pixels())


def transparent() -> bytes:
    return encoded(Image.new("RGBA", (96, 64), (0, 0, 0, 0)), "WEBP")


BUILDERS: Builders = {
    # sizes
    "bomb-webp-canvas-of-16384-x-16384": lambda: in_canvas(16_384, 16_384, pixels()),
    "bomb-webp-canvas-of-16777216-x-16777216": lambda: in_canvas(2**24, 2**24, pixels()),
    "bomb-webp-lossy-16383-x-16383": partial(lossy_claiming, 16_383, 16_383),
    "bomb-webp-lossless-16384-x-16384": partial(lossless_claiming, 16_384, 16_384),
    "fine-webp-16383-x-3900": lambda: one_colour(
        "WEBP", 16_383, 3900, lossless=True, quality=0, method=0
    ),
    "fine-webp-1-x-16383": lambda: one_colour("WEBP", 1, 16_383),
    "fine-webp-16383-x-1": lambda: one_colour("WEBP", 16_383, 1, lossless=True),
    "any-webp-lossy-0-x-0": partial(lossy_claiming, 0, 0),
    "any-webp-lossy-scaled-up": partial(lossy_claiming, 96 | 3 << 14, 64 | 3 << 14),
    "any-webp-canvas-larger": lambda: in_canvas(960, 640, pixels()),
    "any-webp-canvas-smaller": lambda: in_canvas(8, 8, pixels()),
    # containers
    **{
        f"any-webp-says-it-is-{size}-bytes": partial(with_size, size)
        for size in (0, 1, 4, 13, -1, 2**31)
    },
    "any-webp-chunk-of-4-gigabytes": partial(with_chunk_size, 2**32 - 1),
    "any-webp-chunk-of-0-bytes": partial(with_chunk_size, 0),
    "any-webp-chunk-of-odd-size": partial(with_chunk_size, 99),
    "any-webp-nothing-inside": lambda: in_canvas(96, 64),
    "any-webp-canvas-in-canvas": lambda: in_canvas(96, 64, canvas(9, 9), pixels()),
    "any-webp-canvas-that-is-cut": lambda: riff((b"VP8X", bytes(3))),
    "any-webp-every-flag": lambda: in_canvas(96, 64, pixels(), flags=0xFF),
    "any-webp-two-pictures": lambda: in_canvas(96, 64, pixels(), pixels()),
    "any-webp-500000-unknown-chunks": partial(unknown_chunks, 500_000),
    # alpha
    "any-webp-alpha-of-nothing": lambda: alpha(b""),
    "any-webp-alpha-of-one-byte": lambda: alpha(b"\x00"),
    "any-webp-alpha-too-short": lambda: alpha(bytes(96 * 64 // 2)),
    "fine-webp-alpha-raw": lambda: alpha(bytes(1 + 96 * 64)),
    "any-webp-alpha-too-long": lambda: alpha(bytes(MEBIBYTE)),
    "any-webp-alpha-of-unknown-compression": lambda: alpha(b"\x03" + bytes(6144)),
    "any-webp-alpha-of-reserved-bits": lambda: alpha(b"\xfc" + bytes(6144)),
    "any-webp-alpha-of-nonsense": lambda: alpha(b"\x01" + bytes(range(256)) * 9),
    "any-webp-alpha-twice": lambda: in_canvas(
        96, 64, *[(b"ALPH", bytes(6145))] * 2, pixels(), flags=ALPHA_FLAG
    ),
    "any-webp-alpha-for-lossless": lambda: in_canvas(
        96,
        64,
        (b"ALPH", bytes(6145)),
        webp_chunks(quartered("WEBP", lossless=True))[0],
        flags=ALPHA_FLAG,
    ),
    "fine-webp-all-transparent": transparent,
    # animations
    "fine-webp-animation": lambda: encoded(
        quarters(), "WEBP", save_all=True, append_images=[quarters().rotate(9)]
    ),
    "fine-webp-20000-frames": lambda: animation(96, 64, *[frame(96, 64)] * 20_000),
    "fine-webp-animation-of-16383-x-1000": lambda: animation(16_383, 1000, frame(96, 64)),
    "any-webp-frame-outside": lambda: animation(96, 64, frame(96, 64, 9000, 9000)),
    "any-webp-frame-larger-than-its-pixels": lambda: animation(9600, 64, frame(9600, 64)),
    "any-webp-frame-smaller-than-its-pixels": lambda: animation(96, 64, frame(8, 8)),
    "any-webp-frame-of-nonsense": lambda: animation(
        96, 64, frame(96, 64, chunk=(b"VP8 ", bytes(range(200))))
    ),
    "any-webp-frame-in-frame": lambda: animation(96, 64, frame(96, 64, chunk=frame(96, 64))),
    "any-webp-no-frames": lambda: animation(96, 64),
    # metadata
    "fine-webp-exif-of-9-megabytes": lambda: with_metadata(b"EXIF", EXIF_FLAG, bytes(9 * MEBIBYTE)),
    "fine-webp-exif-that-loops": lambda: with_metadata(
        b"EXIF",
        EXIF_FLAG,
        b"II*\x00\x08\x00\x00\x00\x01\x00\x69\x87\x04\x00\x01\x00\x00\x00\x08\x00",
    ),
    "fine-webp-profile-of-nonsense": lambda: in_canvas(
        96, 64, (b"ICCP", b"\xa5" * 999), pixels(), flags=ICC_FLAG
    ),
    "fine-webp-xmp-of-orientations": lambda: with_metadata(
        b"XMP ", XMP_FLAG, b'tiff:Orientation="' * 300_000
    ),
}
