"""Nasty GIFs."""

import struct
from collections.abc import Iterable
from functools import partial

from drawn import encoded, quarters
from nasty_parts import MEBIBYTE, Builders, one_colour, quartered

PIXEL = b"\x02\x44\x01"
TRANSPARENT = b"!\xf9\x04\x01\x00\x00\x00\x00"


def gif(width: int, height: int, frames: bytes, head: bytes = b"", end: bytes = b";") -> bytes:
    screen = struct.pack("<HHBBB", width, height, 0x80, 0, 0)
    return b"GIF89a" + screen + b"\x00\x00\x00\xff\xff\xff" + head + frames + end


def image(
    width: int,
    height: int,
    data: bytes = PIXEL,
    place: tuple[int, int] = (0, 0),
    bits: int = 2,
    flags: int = 0,
) -> bytes:
    """A frame; its data is in blocks already."""
    head = struct.pack("<HHHHB", *place, width, height, flags)
    return b"," + head + bytes((bits,)) + data + b"\x00"


def in_blocks(data: bytes, size: int = 255) -> bytes:
    pieces = (data[at : at + size] for at in range(0, len(data), size))
    return b"".join(bytes((len(piece),)) + piece for piece in pieces)


def packed(codes: Iterable[tuple[int, int]]) -> bytes:
    """Codes and their sizes in bits, as GIF writes them."""
    bits = filled = 0
    data = bytearray()
    for code, size in codes:
        bits |= code << filled
        filled += size
        while filled >= 8:
            data.append(bits & 255)
            bits >>= 8
            filled -= 8
    data.append(bits & 255)
    return bytes(data)


def growing(pixels: int) -> Iterable[tuple[int, int]]:
    """Each code one pixel longer than the one before: 64 million pixels in 30 kB."""
    size, following = 3, 6
    yield 4, size
    yield 0, size
    done = length = 1
    while done < pixels:
        length += following < 4096
        yield min(following, 4095), size
        done += length
        if following < 4096:
            following += 1
            size += following == 1 << size and size < 12
    yield 5, size


def stream(*codes: tuple[int, int], bits: int = 2) -> bytes:
    """8 × 8 pixels from these codes."""
    return gif(8, 8, image(8, 8, in_blocks(packed(codes)), bits=bits))


def large() -> bytes:
    data = in_blocks(packed(growing(64_000_000)))
    return gif(8000, 8000, image(8000, 8000, data, flags=0x40), TRANSPARENT)


def extension(kind: int, blocks: bytes) -> bytes:
    return gif(1, 1, image(1, 1), b"!" + bytes((kind,)) + blocks + b"\x00")


BUILDERS: Builders = {
    # sizes
    "bomb-gif-65535-x-65535": lambda: gif(65535, 65535, image(8, 8)),
    "bomb-gif-frame-larger-than-the-screen": lambda: gif(8, 8, image(60_000, 60_000)),
    "bomb-gif-frame-far-outside": lambda: gif(8, 8, image(1, 1, place=(65_000, 65_000))),
    "fine-gif-8000-x-8000-interlaced-and-transparent": large,
    "fine-gif-8000-x-8000-of-one-pixel": lambda: gif(8000, 8000, image(1, 1)),
    "fine-gif-1-x-65535": lambda: one_colour("GIF", 1, 65_535),
    "fine-gif-65535-x-1": lambda: one_colour("GIF", 65_535, 1),
    "broken-gif-0-x-0": lambda: gif(0, 0, image(0, 0)),
    "any-gif-frame-of-0-x-0": lambda: gif(8, 8, image(0, 0)),
    "any-gif-frame-of-0-x-8": lambda: gif(8, 8, image(0, 8)),
    "any-gif-screen-of-0-x-0": lambda: gif(0, 0, image(1, 1)),
    # frames and blocks
    "fine-gif-300000-frames": lambda: gif(1, 1, image(1, 1) * 300_000),
    "fine-gif-61-frames-as-saved": lambda: encoded(
        quarters(), "GIF", save_all=True, append_images=[quarters().rotate(n) for n in range(60)]
    ),
    "broken-gif-without-a-frame": lambda: gif(8, 8, b""),
    "fine-gif-megabytes-of-nothing-before-the-frame": lambda: gif(
        1, 1, image(1, 1), bytes(2 * MEBIBYTE)
    ),
    "fine-gif-extension-in-a-million-blocks": lambda: extension(255, b"\x01x" * MEBIBYTE),
    "fine-gif-comment-in-a-million-blocks": lambda: extension(254, b"\x02xx" * MEBIBYTE),
    "fine-gif-500000-comments": lambda: gif(1, 1, image(1, 1), b"!\xfe\x01x\x00" * 500_000),
    "any-gif-control-of-no-bytes": partial(extension, 249, b""),
    "any-gif-control-of-one-byte": partial(extension, 249, b"\x01\x01"),
    "any-gif-unknown-extension": partial(extension, 0, b"\x03abc"),
    "any-gif-loop-that-is-cut": partial(extension, 255, b"\x0bNETSCAPE2.0\x01\x01"),
    "any-gif-a-million-blocks-of-one-byte": lambda: gif(
        800, 800, image(800, 800, b"\x01\x84" * MEBIBYTE)
    ),
    "fine-gif-without-an-end": lambda: gif(1, 1, image(1, 1), end=b""),
    "any-gif-nonsense-between-frames": lambda: gif(1, 1, b"\x99\x98" + image(1, 1)),
    "any-gif-local-palette-that-is-cut": lambda: gif(8, 8, image(8, 8, flags=0x87)),
    "fine-gif-87a": lambda: b"GIF87a" + quartered("GIF")[6:],
    # codes
    "any-gif-code-size-0": lambda: gif(1, 1, image(1, 1, bits=0)),
    "any-gif-code-size-1": lambda: gif(1, 1, image(1, 1, bits=1)),
    "any-gif-code-size-12": lambda: gif(1, 1, image(1, 1, bits=12)),
    "any-gif-code-size-255": lambda: gif(1, 1, image(1, 1, bits=255)),
    "any-gif-code-not-yet-defined": lambda: stream((4, 3), (7, 3), (7, 3)),
    "any-gif-first-code-is-the-next": lambda: stream((4, 3), (6, 3), (6, 3), (6, 3)),
    "any-gif-nothing-but-clear-codes": lambda: stream(*[(4, 3)] * 1000),
    "any-gif-end-at-once": lambda: stream((4, 3), (5, 3)),
    "any-gif-no-clear-code": lambda: stream(*[(0, 3), (1, 3)] * 2, (6, 4)),
    "any-gif-more-pixels-than-told": lambda: gif(
        8, 8, image(8, 8, in_blocks(packed(growing(MEBIBYTE))))
    ),
    "cut-gif-fewer-pixels-than-told": lambda: gif(
        800, 800, image(800, 800, in_blocks(packed(growing(100)))[:-3]), end=b""
    ),
}
