"""Nasty AVIFs and HEIFs."""

import struct
from collections.abc import Callable
from functools import partial

from drawn import encoded, quarters
from nasty_boxes import (
    FORMS,
    Item,
    coded,
    container,
    derived,
    described,
    full,
    grid,
    in_extents,
    ispe,
    overlay,
    single,
    translucent,
)
from nasty_parts import MEBIBYTE, Builders, box, one_colour, quartered


def resized(form: str, kind: bytes, size: int) -> bytes:
    data = quartered(form)
    at = data.index(kind)
    return data[: at - 4] + struct.pack(">I", size) + data[at:]


def zeroed(form: str, kind: bytes) -> bytes:
    """Everything in a box is 0."""
    data = quartered(form)
    at = data.index(kind)
    end = at - 4 + int.from_bytes(data[at - 4 : at], "big")
    return data[: at + 4] + bytes(end - at - 4) + data[end:]


def nested(form: str, kind: bytes, depth: int) -> bytes:
    """Boxes in boxes in boxes, where the properties should be."""
    inner = b"".join(struct.pack(">I", 8 * (depth - level)) + kind for level in range(depth))
    data = quartered(form)
    size = int.from_bytes(data[:4], "big")
    handler = full(b"hdlr", bytes(4) + b"pict" + bytes(13))
    return data[:size] + full(b"meta", handler + box(b"iprp", inner))


def animation() -> bytes:
    """Not at any time, so that it is always the same."""
    image = quarters()
    data = encoded(image, "AVIF", save_all=True, append_images=[image.rotate(9)], speed=10)
    for kind in (b"mvhd", b"tkhd", b"mdhd"):
        head, rest = data.split(kind, 1)
        data = head + kind + rest[:4] + bytes(16) + rest[20:]
    return data


def many_brands(form: str) -> bytes:
    data = quartered(form)
    size = int.from_bytes(data[:4], "big")
    return box(b"ftyp", data[8:size] + b"nice" * MEBIBYTE) + data[size:]


def many_boxes(form: str, count: int) -> bytes:
    return quartered(form) + box(b"free", b"") * count


def claiming_inside(width: int, height: int) -> bytes:
    """An AVIF whose bits, not its boxes, begin with a sequence of another size."""
    config, bits = coded("AVIF", 64)
    size = bits[3]
    read = f"{int.from_bytes(bits[4 : 4 + size], 'big'):0{8 * size}b}"
    across, down = int(read[10:14], 2) + 1, int(read[14:18], 2) + 1
    changed = read[:10] + "1" * 8 + f"{width - 1:016b}{height - 1:016b}"
    changed += read[18 + across + down :]
    changed = changed.ljust(-(-len(changed) // 8) * 8, "0")
    header = int(changed, 2).to_bytes(len(changed) // 8, "big")
    data = bits[:3] + bytes((len(header),)) + header + bits[4 + size :]
    item = Item(b"av01", [(0, len(data))], (1, 0x82))
    return container("AVIF", [item], [ispe(64, 64), config], data)


#: For AVIF and for HEIF: FORM is in the place of the name.
EITHER: dict[str, Callable[[str], bytes]] = {
    # sizes
    "fine-FORM-of-our-making": partial(single, claimed=(64, 64)),
    "any-FORM-says-4000-x-4000": partial(single, claimed=(4000, 4000)),
    "bomb-FORM-says-16000-x-16000": partial(single, claimed=(16_000, 16_000)),
    "any-FORM-says-70000-x-70000": partial(single, claimed=(70_000, 70_000)),
    "any-FORM-says-4294967295-x-4294967295": partial(single, claimed=(2**32 - 1, 2**32 - 1)),
    "any-FORM-says-0-x-0": partial(single, claimed=(0, 0)),
    "any-FORM-says-64-x-64-and-is-2000-x-2000": partial(single, claimed=(64, 64), side=2000),
    # grids
    "fine-FORM-grid": partial(grid, side=256, rows=3, columns=3, size=(768, 768)),
    "fine-FORM-grid-of-4000-x-4000": partial(grid, side=2000, rows=2, columns=2, size=(4000, 4000)),
    "any-FORM-grid-of-256-x-256": partial(
        grid, side=64, rows=256, columns=256, size=(8000, 8000), tiles=900
    ),
    "any-FORM-grid-without-its-tiles": partial(
        grid, side=256, rows=31, columns=31, size=(7936, 7936), tiles=5
    ),
    "any-FORM-grid-of-no-tiles": partial(grid, side=64, rows=1, columns=1, size=(64, 64), tiles=0),
    "any-FORM-grid-that-says-2-gigapixels": partial(
        grid, side=64, rows=2, columns=2, size=(2**31, 2**31)
    ),
    "any-FORM-grid-that-says-0-x-0": partial(grid, side=64, rows=2, columns=2, size=(0, 0)),
    "any-FORM-grid-of-961-tiles-that-says-96-x-64": partial(
        grid, side=4000, rows=31, columns=31, size=(96, 64)
    ),
    "any-FORM-grid-of-3600-tiles-that-say-64-x-64": partial(
        grid, side=4000, rows=60, columns=60, size=(3840, 3840), tile_size=64
    ),
    "any-FORM-grid-of-itself": partial(
        derived, kind=b"grid", told=struct.pack(">BBBBHH", 0, 0, 0, 0, 64, 64), to=[1]
    ),
    "any-FORM-identity-of-itself": partial(derived, kind=b"iden", told=b"x", to=[1]),
    "any-FORM-identity-of-nothing": partial(derived, kind=b"iden", told=b"x", to=[99]),
    "any-FORM-overlay-of-30000-x-30000": partial(
        derived, kind=b"iovl", told=overlay(30_000, 30_000, 1), to=[2]
    ),
    "any-FORM-overlay-of-2-gigapixels": partial(
        derived, kind=b"iovl", told=overlay(2**31 - 1, 2**31 - 1, 1), to=[2]
    ),
    "any-FORM-overlay-of-900": partial(
        derived, kind=b"iovl", told=overlay(8000, 8000, 900), to=[2] * 900, size=(8000, 8000)
    ),
    # items
    "any-FORM-exif-for-500-pictures": partial(described, images=500, size=9 * MEBIBYTE),
    "any-FORM-exif-in-30-extents-for-5-pictures": partial(
        described, images=5, size=8 * MEBIBYTE, extents=30
    ),
    "any-FORM-exif-in-2000-extents": partial(described, images=1, size=2 * MEBIBYTE, extents=2000),
    "any-FORM-picture-in-30-extents": partial(in_extents, count=30, size=4 * MEBIBYTE),
    "any-FORM-picture-in-2000-extents": partial(in_extents, count=2000, size=2 * MEBIBYTE),
    "any-FORM-picture-in-no-extents": partial(in_extents, count=0, size=0),
    # properties
    "any-FORM-rotated-by-an-unknown-angle": partial(single, more=[box(b"irot", b"\xff")]),
    "any-FORM-rotated-100-times": partial(single, more=[box(b"irot", b"\x01")] * 100),
    "any-FORM-cropped-to-nothing": partial(
        single, more=[box(b"clap", struct.pack(">8I", 0, 1, 0, 1, 0, 1, 0, 1))]
    ),
    "any-FORM-cropped-by-zeroths": partial(single, more=[box(b"clap", bytes(32))]),
    "any-FORM-cropped-to-4-billion": partial(
        single, more=[box(b"clap", struct.pack(">8I", 2**32 - 1, 1, 2**32 - 1, 1, 0, 1, 0, 1))]
    ),
    "any-FORM-255-channels": partial(single, more=[full(b"pixi", b"\xff" + b"\x08" * 255)]),
    "any-FORM-profile-of-2-megabytes": partial(
        single, more=[box(b"colr", b"prof" + bytes(2 * MEBIBYTE))]
    ),
    "any-FORM-an-unknown-essential-property": partial(
        single, more=[box(b"nsty", bytes(9))], essential=0x80
    ),
    # broken boxes
    **{
        f"any-FORM-{kind.decode()}-of-size-{size}": partial(resized, kind=kind, size=size)
        for kind in (b"ftyp", b"meta", b"iloc", b"ipco", b"mdat")
        for size in (0, 1, 7, 2**31, 2**32 - 1)
    },
    **{
        f"any-FORM-{kind.decode()}-of-zeros": partial(zeroed, kind=kind)
        for kind in (b"meta", b"hdlr", b"pitm", b"iloc", b"iinf", b"iprp", b"ispe", b"mdat")
    },
    "any-FORM-100000-boxes-in-boxes": partial(nested, kind=b"ipco", depth=100_000),
    "any-FORM-100000-metas-in-metas": partial(nested, kind=b"meta", depth=100_000),
    "any-FORM-a-million-brands": many_brands,
    "any-FORM-200000-free-boxes": partial(many_boxes, count=200_000),
}

BUILDERS: Builders = {
    **{
        name.replace("FORM", form.lower()): partial(build, form)
        for name, build in EITHER.items()
        for form in FORMS
    },
    "fine-avif-8000-x-8000-translucent": partial(translucent, "AVIF", 4000, 2),
    "fine-heif-8000-x-8000-translucent": partial(translucent, "HEIF", 2000, 4),
    "any-avif-bits-that-say-65536-x-65536": partial(claiming_inside, 65_536, 65_536),
    "any-avif-bits-that-say-16384-x-16384": partial(claiming_inside, 16_384, 16_384),
    "fine-avif-64-x-16000": lambda: one_colour("AVIF", 64, 16_000, speed=10),
    "fine-avif-animation": animation,
    "fine-avif-grey": lambda: one_colour("AVIF", 64, 64, "L"),
    "fine-heif-two-pictures": lambda: encoded(
        quarters(), "HEIF", save_all=True, append_images=[quarters().rotate(9)]
    ),
    "any-heif-that-calls-itself-avif": lambda: quartered("HEIF").replace(b"heic", b"avif"),
    "any-avif-that-calls-itself-heif": lambda: quartered("AVIF").replace(b"avif", b"heic"),
    "any-heif-sequence": lambda: quartered("HEIF").replace(b"ftypheic", b"ftyphevc"),
    "any-avif-sequence-without-tracks": lambda: quartered("AVIF").replace(b"avif", b"avis"),
}
