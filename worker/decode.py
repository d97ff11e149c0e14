"""From the bytes of a picture to upright RGB pixels. Used by the pipeline.

The bytes alone decide what a picture is; every way in which they can be wrong ends in a
Rejected with its own code.
"""

import io
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pillow_heif
from PIL import Image, ImageFile, TiffImagePlugin

from facematch.errors import Rejected
from facematch.faces import Box, Pixels
from worker.costly import Room, check_room, refuse_costly, refuse_repainted
from worker.pixels import SIDEWAYS, pixels_of, turn_of, turned

#: What is looked at, by Pillow's names; MPO, which phones write, is opened as the JPEG it is.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")

_PREFIX = 16
#: The EXIF of an AVIF or HEIF. Other formats' EXIF is not looked at before it is needed.
_EXIF_ITEM = re.compile(rb"(infe(?:\x02.{7}|\x03.{9}))Exif", re.DOTALL)
_TIFF_PIXELS = (
    (TiffImagePlugin.STRIPOFFSETS, TiffImagePlugin.STRIPBYTECOUNTS),
    (TiffImagePlugin.TILEOFFSETS, TiffImagePlugin.TILEBYTECOUNTS),
)
_FACTORS = (8, 4, 2)
_pillow = threading.Lock()


@dataclass(frozen=True, eq=False)
class Picture:
    """An upright picture: pixels of shape (h, w, 3), uint8, RGB, read-only.

    `width` and `height` are those of the full picture; the pixels may be fewer.
    """

    pixels: Pixels
    width: int
    height: int

    def in_full(self, box: Box) -> Box:
        """Where a box in `pixels` is in the full picture."""
        rows, columns = self.pixels.shape[:2]
        return box.scaled(self.height / rows, self.width / columns)


def decode(data: bytes, max_pixels: int, enough: int = 0, room: Room | None = None) -> Picture:
    """The first frame of a picture, rotated as its EXIF says, transparent parts on white.

    Made smaller, by 2, 4 or 8, where its longer side still has `enough` pixels then (0: never):
    that takes less memory, and for a JPEG less time.
    Raises Rejected: empty, not_an_image, truncated_image, too_many_pixels, bad_image. Raises
    MemoryError, with nothing loaded, for a picture that may take more than the `room` there is
    now, and for one that seems to be broken then: libraries that find no memory often say so.
    """
    if not data:
        raise Rejected("empty")
    with _strict(max_pixels):
        formats = _claimed(data[:_PREFIX])
        if not formats:
            raise Rejected("not_an_image")
        reader, image, enough_room = _Reader(data), None, True
        try:
            refuse_costly(data, formats[0], max_pixels, room)
            image = _opened(reader, formats)
            _check(image, max_pixels)
            full = image.size
            factor = _factor(full, enough)
            image.draft(None, (max(1, full[0] // factor), max(1, full[1] // factor)))
            enough_room = check_room(image, full, room)
            image.load()
            drafted = image.size != full
            turn = turn_of(image)
            pixels = turned(pixels_of(image, 1 if drafted else factor), turn)
            if turn in SIDEWAYS:
                full = full[1], full[0]
        except (MemoryError, Rejected):
            raise
        except Image.DecompressionBombError as error:
            raise Rejected("too_many_pixels", f"more than {max_pixels} pixels") from error
        except Exception as error:
            if _ends_early(reader, image, error):
                raise Rejected("truncated_image", f"the {formats[0]} ends too early") from error
            if not enough_room:
                raise MemoryError from error
            raise Rejected("bad_image", f"the {formats[0]} is broken") from error
    return Picture(pixels, *full)


@contextmanager
def _strict(max_pixels: int) -> Iterator[None]:
    # These are variables of the whole process: importing face_recognition makes Pillow fill up
    # truncated pictures with grey, and Pillow's guard against bombs has a limit of its own.
    # Pillow refuses at twice its MAX_IMAGE_PIXELS, for WebP before it allocates anything.
    with _pillow, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS
        ImageFile.LOAD_TRUNCATED_IMAGES = False
        Image.MAX_IMAGE_PIXELS = (max_pixels + 1) // 2
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = before


def _claimed(prefix: bytes) -> list[str]:
    """The formats whose signature this is: AVIF and HEIF share one."""
    if "HEIF" not in Image.OPEN:
        pillow_heif.register_heif_opener()
    Image.init()
    accepts = ((name, Image.OPEN[name][1]) for name in FORMATS)
    return [name for name, accept in accepts if accept and accept(prefix)]


class _Reader(io.BytesIO):
    """Remembers whether, up to the end of the header, more was asked of it than there is."""

    fell_short = False
    in_header = True

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if self.in_header and size is not None and len(data) < size:
            self.fell_short = True
        return data


def _opened(reader: _Reader, formats: list[str]) -> ImageFile.ImageFile:
    data = reader.getvalue()
    try:
        image = Image.open(reader, formats=formats)
    except (MemoryError, Image.DecompressionBombError):
        raise
    except Exception:
        hidden = _EXIF_ITEM.sub(rb"\1free", data)
        if hidden == data:
            raise
        image = Image.open(io.BytesIO(hidden), formats=formats)
    reader.in_header = False
    return image


def _check(image: ImageFile.ImageFile, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise Rejected("too_many_pixels", f"{width} × {height} pixels, the limit is {max_pixels}")
    refuse_repainted(image, max_pixels)


def _ends_early(reader: _Reader, image: ImageFile.ImageFile | None, error: Exception) -> bool:
    told = str(error).lower()
    if reader.fell_short or "truncated" in told or "end of file" in told:
        return True
    data = reader.getvalue()
    return _container_ends_early(data) or _strips_end_early(data, image)


def _container_ends_early(data: bytes) -> bool:
    """Whether a WebP, AVIF or HEIF says that it is longer than it is."""
    if data.startswith(b"RIFF"):
        return 8 + int.from_bytes(data[4:8], "little") > len(data)
    if data[4:8] != b"ftyp":
        return False
    position = 0
    while position + 8 <= len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        if size == 1:
            size = int.from_bytes(data[position + 8 : position + 16], "big")
        if size < 8:  # 0: this box goes on to the end
            return False
        position += size
    return position != len(data)


def _strips_end_early(data: bytes, image: ImageFile.ImageFile | None) -> bool:
    """Whether a TIFF's pixels should lie where there is nothing."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return False
    tags = image.tag_v2
    try:
        return any(
            offset + length > len(data)
            for starts, lengths in _TIFF_PIXELS
            for offset, length in zip(tags.get(starts, ()), tags.get(lengths, ()), strict=False)
        )
    except Exception:  # noqa: BLE001  tags are decoded only now, and may be nonsense
        return False


def _factor(size: tuple[int, int], enough: int) -> int:
    longer = max(size)
    return next((by for by in _FACTORS if enough and longer // by >= enough), 1)
