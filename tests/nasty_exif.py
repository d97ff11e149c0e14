"""Nasty EXIF, in JPEGs and in what else carries it."""

from functools import partial

from drawn import chunk
from nasty_parts import (
    ASCII,
    LARGEST,
    LONG,
    MEBIBYTE,
    RATIONAL,
    SHORT,
    UNDEFINED,
    Builders,
    Tag,
    after_start,
    directory,
    jpeg_exif,
    longs,
    oriented,
    quartered,
    segment,
    tiff,
)

ORIENTATION, EXIF, GPS, INTEROPERABILITY, MAKER_NOTE = 0x0112, 0x8769, 0x8825, 0xA005, 0x927C
SIDEWAYS: dict[int, Tag] = {ORIENTATION: (SHORT, 1, 6)}
#: Neighbours in Fibonacci's sequence make the longest continued fraction.
FIBONACCI = longs(2971215073, 1836311903)


def in_tiny_pieces() -> bytes:
    """Who joins the pieces one by one copies each time what there is."""
    piece = segment(0xE1, b"Exif\x00\x00" + bytes(10))
    return after_start(piece * (LARGEST // len(piece) - 100))


def looping() -> bytes:
    """A directory that is its own EXIF, GPS and next directory."""
    return tiff({**SIDEWAYS, EXIF: (LONG, 1, 8), GPS: (LONG, 1, 8)}, following=8)


def one_value_for_all(megabytes: int) -> bytes:
    """Thousands of tags that have the same megabytes as their value."""
    size = megabytes * MEBIBYTE
    return tiff(
        {**SIDEWAYS, **dict.fromkeys(range(1000, 10000), (UNDEFINED, size, 8))}, bytes(size)
    )


def many_tags() -> bytes:
    return tiff({**dict.fromkeys(range(20_000), (SHORT, 1, 1)), **SIDEWAYS})


def fractions(tag: int, count: int) -> bytes:
    return tiff({**SIDEWAYS, tag: (RATIONAL, count, FIBONACCI * count)})


def fractions_four_times() -> bytes:
    """A million fractions that four directories share; to write them anew takes a minute."""
    count = 1_250_000
    shared: dict[int, Tag] = {0x9999: (RATIONAL, count, 8)}
    body = FIBONACCI * count
    inner = 8 + len(body)
    body += directory(shared, inner)
    for own in ({INTEROPERABILITY: (LONG, 1, inner)}, {}):
        middle = 8 + len(body)
        body += directory({**shared, **own}, middle)
    exif = inner + len(directory(shared, inner))
    return tiff({**SIDEWAYS, **shared, EXIF: (LONG, 1, exif), GPS: (LONG, 1, middle)}, body)


def maker_note(maker: bytes, note: bytes) -> bytes:
    inner = directory({MAKER_NOTE: (UNDEFINED, len(note), note)}, 8)
    tags: dict[int, Tag] = {0x010F: (ASCII, len(maker), maker), EXIF: (LONG, 1, 8)}
    return tiff({**SIDEWAYS, **tags}, inner)


def thumbnail() -> bytes:
    """A thumbnail that is a JPEG of 65,535 × 65,535, or so it says."""
    small = quartered("JPEG").replace(b"\x00\x40\x00\x60", b"\xff" * 4)
    at = 8 + len(small)
    following = directory({0x0201: (LONG, 1, 8), 0x0202: (LONG, 1, len(small))}, at)
    return tiff(SIDEWAYS, small + following, following=at)


def png_exif(block: bytes) -> bytes:
    data = quartered("PNG")
    return data[:33] + chunk(b"eXIf", block) + data[33:]


def png_raw_profile(text: bytes) -> bytes:
    data = quartered("PNG")
    return data[:33] + chunk(b"tEXt", b"Raw profile type exif\x00" + text) + data[33:]


def xmp(packet: bytes) -> bytes:
    return after_start(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + packet))


ORIENTATIONS = (*range(10), 255, 65535)

BUILDERS: Builders = {
    **{
        f"fine-exif-orientation-{number}": partial(
            lambda number: jpeg_exif(oriented(number)), number
        )
        for number in ORIENTATIONS
    },
    "fine-exif-orientation-as-300000-fractions": lambda: jpeg_exif(fractions(ORIENTATION, 300_000)),
    "fine-exif-100000-fractions": lambda: jpeg_exif(fractions(0x9999, 100_000)),
    "any-exif-a-million-fractions-four-times": lambda: jpeg_exif(fractions_four_times()),
    "broken-exif-in-tiny-pieces": in_tiny_pieces,
    "fine-exif-its-own-next-directory": lambda: jpeg_exif(looping()),
    "fine-exif-one-value-for-9000-tags": lambda: jpeg_exif(one_value_for_all(9)),
    "fine-exif-20000-tags": lambda: jpeg_exif(many_tags()),
    "fine-exif-nonsense": lambda: jpeg_exif(bytes(range(1, 200))),
    "fine-exif-nothing": lambda: jpeg_exif(b""),
    "fine-exif-2-megabytes-of-nothing": lambda: jpeg_exif(bytes(2 * MEBIBYTE)),
    "fine-exif-directory-beyond-the-end": lambda: jpeg_exif(b"II*\x00\xff\xff\xff\x7f"),
    "fine-exif-directory-without-end": lambda: jpeg_exif(b"II*\x00\x08\x00\x00\x00\xff\xff"),
    "fine-exif-maker-note": lambda: jpeg_exif(
        maker_note(b"FUJIFILM\x00", b"FUJIFILM" + b"\xff" * 40)
    ),
    "fine-exif-thumbnail-bomb": lambda: jpeg_exif(thumbnail()),
    "fine-exif-in-png-2-megabytes": lambda: png_exif(one_value_for_all(2)),
    "fine-exif-in-png-empty": lambda: png_exif(b""),
    "fine-exif-in-png-raw-profile": lambda: png_raw_profile(
        b"\nexif\n      26\n" + oriented(6).hex().encode()
    ),
    "fine-exif-in-png-raw-profile-of-nonsense": lambda: png_raw_profile(b"\nexif\n  9\nxyz"),
    "fine-exif-in-png-raw-profile-of-3-megabytes": lambda: png_raw_profile(
        b"\nexif\n  9\n" + b"00\n" * MEBIBYTE
    ),
    "fine-exif-orientation-in-xmp": lambda: xmp(b'tiff:Orientation="6"'),
    "fine-exif-orientation-9-in-xmp": lambda: xmp(b'tiff:Orientation="9"'),
    "fine-exif-xmp-of-orientations": lambda: xmp(b'tiff:Orientation="' * 3000),
}
