"""AVIFs and HEIFs made of boxes, for nasty_avif.py: they may say anything of what they hold."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from drawn import encoded
from nasty_parts import box
from PIL import Image

FORMS = ("AVIF", "HEIF")
BRANDS = {"AVIF": b"avif", "HEIF": b"heic"}
CODED = {"AVIF": (b"av01", b"av1C"), "HEIF": (b"hvc1", b"hvcC")}
OPTIONS: dict[tuple[str, str], dict[str, object]] = {
    ("AVIF", "RGB"): {"speed": 10, "quality": 1, "subsampling": "4:4:4"},
    ("AVIF", "L"): {"speed": 10, "quality": 1},
    ("HEIF", "RGB"): {"quality": 1, "enc_params": {"preset": "ultrafast"}},
    ("HEIF", "L"): {"quality": 1, "enc_params": {"preset": "ultrafast"}},
}
ALPHA = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\x00"

Link = tuple[bytes, int, Sequence[int]]


@dataclass(frozen=True)
class Item:
    """An item: its kind, where in the mdat its extents lie, and its properties, from 1."""

    kind: bytes
    extents: Sequence[tuple[int, int]]
    properties: Sequence[int] = ()


def full(kind: bytes, payload: bytes, version: int = 0) -> bytes:
    return box(kind, bytes((version, 0, 0, 0)) + payload)


def ispe(width: int, height: int) -> bytes:
    return full(b"ispe", struct.pack(">II", width, height))


@cache
def coded(form: str, side: int, mode: str = "RGB") -> tuple[bytes, bytes]:
    """The configuration and the bits of a square of one colour."""
    data = encoded(Image.new(mode, (side, side)), form, **OPTIONS[form, mode])
    at = data.index(CODED[form][1]) - 4
    config = data[at : at + int.from_bytes(data[at : at + 4], "big")]
    return config, data[data.index(b"mdat") + 4 :]


def container(
    form: str,
    items: Sequence[Item],
    properties: Sequence[bytes],
    mdat: bytes,
    links: Sequence[Link] = (),
    primary: int = 1,
) -> bytes:
    """A file of these items, numbered from 1, and links from an item to others."""
    brand = BRANDS[form]
    ftyp = box(b"ftyp", brand + bytes(4) + b"mif1miaf" + brand)
    entries = b"".join(
        full(b"infe", struct.pack(">HH4s", number, 0, item.kind) + b"\x00", 2)
        for number, item in enumerate(items, 1)
    )
    used = b"".join(
        struct.pack(">HB", number, len(item.properties)) + bytes(item.properties)
        for number, item in enumerate(items, 1)
    )
    linked = b"".join(
        box(kind, struct.pack(f">HH{len(to)}H", origin, len(to), *to)) for kind, origin, to in links
    )

    def meta(base: int) -> bytes:
        places = b"".join(
            struct.pack(">HHH", number, 0, len(item.extents))
            + b"".join(struct.pack(">II", base + at, size) for at, size in item.extents)
            for number, item in enumerate(items, 1)
        )
        associations = full(b"ipma", struct.pack(">I", len(items)) + used)
        return full(
            b"meta",
            full(b"hdlr", bytes(4) + b"pict" + bytes(13))
            + full(b"pitm", struct.pack(">H", primary))
            + full(b"iloc", struct.pack(">BBH", 0x44, 0, len(items)) + places)
            + full(b"iinf", struct.pack(">H", len(items)) + entries)
            + (full(b"iref", linked) if linked else b"")
            + box(b"iprp", box(b"ipco", b"".join(properties)) + associations),
        )

    return ftyp + meta(len(ftyp) + len(meta(0)) + 8) + box(b"mdat", mdat)


# -- what is said of a picture ------------------------------------------------------------------
def single(
    form: str,
    claimed: tuple[int, int] = (96, 64),
    side: int = 64,
    more: Sequence[bytes] = (),
    essential: int = 0,
) -> bytes:
    """One picture that says it has some size, and has any other properties."""
    config, bits = coded(form, side)
    others = (essential | number for number in range(3, 3 + len(more)))
    item = Item(CODED[form][0], [(0, len(bits))], (1, 0x82, *others))
    return container(form, [item], [ispe(*claimed), config, *more], bits)


def grid(
    form: str,
    side: int,
    rows: int,
    columns: int,
    size: tuple[int, int],
    *,
    tiles: int | None = None,
    tile_size: int | None = None,
) -> bytes:
    """A grid whose tiles are all the same bits, of a size that they need not have."""
    config, bits = coded(form, side)
    told = struct.pack(">BBBBII", 0, 1, rows - 1, columns - 1, *size)
    count = rows * columns if tiles is None else tiles
    said = side if tile_size is None else tile_size
    tile = Item(CODED[form][0], [(len(told), len(bits))], (1, 0x82))
    items = [Item(b"grid", [(0, len(told))], (3,)), *[tile] * count]
    properties = [ispe(said, said), config, ispe(*size)]
    return container(form, items, properties, told + bits, [(b"dimg", 1, range(2, 2 + count))])


def translucent(form: str, side: int, across: int) -> bytes:
    """A grid of tiles in colour, and one of their opacity."""
    (config, bits), (grey_config, grey_bits) = coded(form, side), coded(form, side, "L")
    size, count = across * side, across * across
    told = struct.pack(">BBBBII", 0, 1, across - 1, across - 1, size, size)
    start = len(told)
    tile = Item(CODED[form][0], [(start, len(bits))], (1, 0x82))
    veil = Item(CODED[form][0], [(start + len(bits), len(grey_bits))], (1, 0x83, 5))
    items = [Item(b"grid", [(0, start)], (4,)), Item(b"grid", [(0, start)], (4, 5))]
    colours, opacities = range(3, 3 + count), range(3 + count, 3 + 2 * count)
    return container(
        form,
        [*items, *[tile] * count, *[veil] * count],
        [ispe(side, side), config, grey_config, ispe(size, size), full(b"auxC", ALPHA)],
        told + bits + grey_bits,
        [(b"dimg", 1, colours), (b"dimg", 2, opacities), (b"auxl", 2, [1])],
    )


def derived(
    form: str, kind: bytes, told: bytes, to: Sequence[int], size: tuple[int, int] = (64, 64)
) -> bytes:
    """A picture made of others: itself, item 1, or the one with bits, item 2."""
    config, bits = coded(form, 64)
    items = [
        Item(kind, [(0, len(told))], (3,)),
        Item(CODED[form][0], [(len(told), len(bits))], (1, 0x82)),
    ]
    properties = [ispe(64, 64), config, ispe(*size)]
    return container(form, items, properties, told + bits, [(b"dimg", 1, to)])


def overlay(width: int, height: int, count: int) -> bytes:
    head = struct.pack(">BB4HII", 0, 1, 1, 2, 3, 4, width, height)
    return head + bytes(8) * count


def described(form: str, images: int, size: int, extents: int = 1) -> bytes:
    """One EXIF block that describes many pictures, and may lie in the same place many times."""
    config, bits = coded(form, 64)
    exif = bytes(4) + b"II*\x00\x08\x00\x00\x00" + bytes(size - 12)
    picture = Item(CODED[form][0], [(0, len(bits))], (1, 0x82))
    items = [*[picture] * images, Item(b"Exif", [(len(bits), size)] * extents)]
    links = [(b"cdsc", images + 1, range(1, images + 1))]
    return container(form, items, [ispe(64, 64), config], bits + exif, links)


def in_extents(form: str, count: int, size: int) -> bytes:
    """A picture whose data is the same megabytes over and over."""
    config, bits = coded(form, 64)
    item = Item(CODED[form][0], [(0, len(bits) + size)] * count, (1, 0x82))
    return container(form, [item], [ispe(64, 64), config], bits + bytes(size))
