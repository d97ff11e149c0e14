"""Pictures that cost a decoder far more than they show, told by their structure. Used by `decode`.

Each limit is far beyond what cameras and programs write. What gets past them is stopped by the
limits of the child in which a picture is decoded, after it has cost that much.
"""

import math
import re
import struct
from dataclasses import dataclass

from PIL import ImageFile, TiffImagePlugin

from facematch.errors import Rejected

#: A JPEG may repaint the whole picture thousands of times; real ones need about ten scans.
MAX_JPEG_SCANS = 100
#: Pillow joins what belongs together segment by segment. A profile may have 255 of them.
MAX_JPEG_SEGMENTS = 1_000
#: A PNG has one profile; Pillow unpacks as many as there are, a mebibyte each.
MAX_PNG_PROFILES = 8
#: Pillow keeps 340 bytes for each; 64 megapixels in tiles of 64 × 64 have 15,625.
MAX_TIFF_STRIPS = 100_000
#: Bytes for each pixel in the worst cases that were measured: a JPEG as it was drafted, and what a
#: progressive one keeps for each pixel of the full picture; a translucent AVIF.
_JPEG_BYTES, _PROGRESSIVE_BYTES, _OTHER_BYTES = 8, 8, 20
#: What Pillow takes for a WebP, half of it to open one: two canvases, a copy and the picture.
_WEBP_BYTES = 16
#: What libavif and Pillow take for an AVIF at least, and for a translucent one.
_AVIF_BYTES, _TRANSLUCENT_AVIF_BYTES = 9, 14
#: Pixels that are painted for each that is seen: four planes one after the other are four.
MAX_PAINTED = 8

_JPEG_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
#: Where a decoder expects a restart it passes over lower ones, whatever length follows them.
_FIRST_WITH_LENGTH = 0xC0
#: By the number that follows the byte order: how a TIFF's directory and its entries are laid out.
_TIFF_LAYOUTS = {42: ("I", "H", "HHI4x"), 43: ("4xQ", "Q", "HHQ8x")}
_TIFF_COUNTED = (TiffImagePlugin.STRIPOFFSETS, TiffImagePlugin.TILEOFFSETS)


@dataclass(frozen=True)
class Room:
    """How many bytes there are for a picture; `more`: whether there can be, at another time."""

    size: int
    more: bool


def refuse_costly(data: bytes, form: str, max_pixels: int, room: Room | None) -> None:
    """Before a picture is opened. `form`: what its signature says, by Pillow's name.

    Raises Rejected: bad_image, too_many_pixels, and MemoryError when there is no room for it now.
    """
    match form:
        case "JPEG":
            _refuse_many_segments(data)
        case "PNG":
            if data.count(b"iCCP") > MAX_PNG_PROFILES:
                raise Rejected("bad_image", f"the PNG has more than {MAX_PNG_PROFILES} profiles")
        case "TIFF":
            if _tiff_strips(data) > MAX_TIFF_STRIPS:
                raise Rejected("bad_image", f"the TIFF has more than {MAX_TIFF_STRIPS} strips")
        case "WEBP":
            pixels = _webp_pixels(data)
            if pixels <= max_pixels:  # else Pillow refuses it before it takes anything
                _require(room, form, pixels, _WEBP_BYTES)


def refuse_repainted(image: ImageFile.ImageFile, max_pixels: int) -> None:
    """Before an opened picture is loaded. Raises Rejected: bad_image, too_many_pixels."""
    painted = sum(_area(tile.extents) for tile in image.tile)
    if painted > MAX_PAINTED * image.width * image.height:
        raise Rejected("bad_image", "the same pixels are painted again and again")
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        width = image.tag_v2.get(TiffImagePlugin.TILEWIDTH, 0)
        if width * image.tag_v2.get(TiffImagePlugin.TILELENGTH, 0) > max_pixels:
            raise Rejected("too_many_pixels", "one tile of the TIFF has more than a picture may")


def check_room(image: ImageFile.ImageFile, full: tuple[int, int], room: Room | None) -> bool:
    """Whether there is room for an opened picture, whatever it needs to be loaded and made RGB.

    `full`: its size before it was drafted. Raises MemoryError when there is not but can be at
    another time, Rejected("too_many_pixels") when it will not find what it needs.
    """
    pixels = full[0] * full[1]
    if image.format in ("JPEG", "MPO"):
        kept = _PROGRESSIVE_BYTES * pixels if "progressive" in image.info else 0
        most = _JPEG_BYTES * image.width * image.height + kept
    else:
        most = _OTHER_BYTES * pixels
    enough = room is None or most <= room.size
    if room and room.more and not enough:
        raise MemoryError
    if image.format == "AVIF":
        each = _TRANSLUCENT_AVIF_BYTES if image.mode == "RGBA" else _AVIF_BYTES
        _require(room, image.format, pixels, each)
    return enough


def _require(room: Room | None, form: str, pixels: int, each: int) -> None:
    """For a picture that cannot do with less than `each` bytes a pixel."""
    if room is None or each * pixels <= room.size:
        return
    if room.more:
        raise MemoryError
    raise Rejected("too_many_pixels", f"for {form}, which takes {each} bytes for each")


def _refuse_many_segments(data: bytes) -> None:
    position = segments = scans = 0
    while found := _JPEG_MARKER.search(data, position):
        position = found.end()
        marker = found[1][0]
        if marker == _EOI:
            return
        if marker == _SOI or marker < _FIRST_WITH_LENGTH:
            continue
        position += max(2, int.from_bytes(data[position : position + 2], "big"))
        segments += 1
        scans += marker == _SOS
        if scans > MAX_JPEG_SCANS:
            raise Rejected("bad_image", f"the JPEG has more than {MAX_JPEG_SCANS} scans")
        if segments > MAX_JPEG_SEGMENTS:
            raise Rejected("bad_image", f"the JPEG has more than {MAX_JPEG_SEGMENTS} segments")


def _tiff_strips(data: bytes) -> int:
    """How many strips or tiles the first directory names; 0 where there is none to be read."""
    order = "<" if data.startswith(b"II") else ">"
    try:
        (version,) = struct.unpack_from(order + "H", data, 2)
        start, count, entry = (order + part for part in _TIFF_LAYOUTS[version])
        (directory,) = struct.unpack_from(start, data, 4)
        (entries,) = struct.unpack_from(count, data, directory)
        end = directory + struct.calcsize(count) + entries * struct.calcsize(entry)
        table = data[directory + struct.calcsize(count) : end]
        whole = len(table) - len(table) % struct.calcsize(entry)
        named = [
            values
            for tag, _, values in struct.iter_unpack(entry, table[:whole])
            if tag in _TIFF_COUNTED
        ]
    except (struct.error, KeyError):
        return 0
    return max(named, default=0)


def _webp_pixels(data: bytes) -> int:
    """Pixels of the canvas; see RFC 9649, section 2.5 to 2.7."""
    match data[12:16]:
        case b"VP8X":
            size = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
        case b"VP8L":
            bits = int.from_bytes(data[21:25], "little")
            size = (1 + (bits >> shift & 0x3FFF) for shift in (0, 14))
        case _:
            size = (int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    return math.prod(size)


def _area(box: tuple[int, int, int, int] | None) -> int:
    left, top, right, bottom = box or (0, 0, 0, 0)
    return max(0, right - left) * max(0, bottom - top)
