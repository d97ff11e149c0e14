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

import numpy as np
import pillow_heif
from PIL import Image, ImageCms, ImageFile, ImageOps, TiffImagePlugin

from facematch.errors import Rejected
from facematch.faces import Box, Pixels

#: What is looked at, by Pillow's names; MPO, which phones write, is opened as the JPEG it is.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")

#: A JPEG may repaint the whole picture thousands of times; real ones need about ten scans.
MAX_JPEG_SCANS = 100

_PREFIX = 16
#: The EXIF of an AVIF or HEIF. Other formats' EXIF is not looked at before it is needed.
_EXIF_ITEM = re.compile(rb"(infe(?:\x02.{7}|\x03.{9}))Exif", re.DOTALL)
_JPEG_MARKER = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")
_SOI, _EOI, _SOS, _TEM = 0xD8, 0xD9, 0xDA, 0x01
_TIFF_PIXELS = (
    (TiffImagePlugin.STRIPOFFSETS, TiffImagePlugin.STRIPBYTECOUNTS),
    (TiffImagePlugin.TILEOFFSETS, TiffImagePlugin.TILEBYTECOUNTS),
)
_pillow = threading.Lock()


@dataclass(frozen=True, eq=False)
class Picture:
    """An upright picture: pixels of shape (h, w, 3), uint8, RGB, read-only.

    `width` and `height` are those of the full picture; a JPEG may have been decoded smaller.
    """

    pixels: Pixels
    width: int
    height: int

    def in_full(self, box: Box) -> Box:
        """Where a box in `pixels` is in the full picture."""
        rows, columns = self.pixels.shape[:2]
        return box.scaled(self.height / rows, self.width / columns)


def decode(data: bytes, max_pixels: int, enough: int = 0) -> Picture:
    """The first frame of a picture, rotated as its EXIF says, transparent parts on white.

    A JPEG is decoded at a half, a quarter or an eighth of its size where its longer side still has
    `enough` pixels then (0: never), which takes less time and memory.
    Raises Rejected: empty, not_an_image, truncated_image, too_many_pixels, bad_image.
    """
    if not data:
        raise Rejected("empty")
    with _strict(max_pixels):
        formats = _claimed(data[:_PREFIX])
        if not formats:
            raise Rejected("not_an_image")
        reader, image = _Reader(data), None
        try:
            image = _opened(reader, formats)
            _check(image, data, max_pixels)
            full = image.size
            if 0 < enough < max(full):
                least = tuple(max(1, side * enough // max(full)) for side in full)
                image.draft(None, (least[0], least[1]))
            decoded = image.size
            image.load()
            upright = _upright(image)
            if upright.size != decoded:
                full = full[1], full[0]
            pixels = _rgb(upright)
        except (MemoryError, Rejected):
            raise
        except Image.DecompressionBombError as error:
            raise Rejected("too_many_pixels", f"more than {max_pixels} pixels") from error
        except Exception as error:
            if _ends_early(reader, image, error):
                raise Rejected("truncated_image", f"the {formats[0]} ends too early") from error
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


def _check(image: ImageFile.ImageFile, data: bytes, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise Rejected("too_many_pixels", f"{width} × {height} pixels, the limit is {max_pixels}")
    if image.format in ("JPEG", "MPO") and _has_many_scans(data):
        raise Rejected("bad_image", f"the JPEG has more than {MAX_JPEG_SCANS} scans")


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


def _has_many_scans(data: bytes) -> bool:
    position, scans = 0, 0
    while scans <= MAX_JPEG_SCANS and (found := _JPEG_MARKER.search(data, position)):
        position = found.end()
        marker = found[1][0]
        if marker == _EOI:
            break
        if marker not in (_SOI, _TEM):
            position += max(2, int.from_bytes(data[position : position + 2], "big"))
        scans += marker == _SOS
    return scans > MAX_JPEG_SCANS


def _upright(image: Image.Image) -> Image.Image:
    try:
        # In place, the pixels are turned first and the EXIF rewritten afterwards.
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  Pillow's parser raises all kinds of them
        return image  # turned as far as its EXIF can be read
    return image


def _rgb(image: Image.Image) -> Pixels:
    """Pixels (h, w, 3) of a picture in any of Pillow's modes."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return np.repeat(_grey(image)[:, :, np.newaxis], 3, axis=2)
    if image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        image = _in_mode("RGBA", image)
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image)
        image = white
    elif image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        image = converted or image
    return np.asarray(_in_mode("RGB", image), dtype=np.uint8)


def _in_mode(mode: str, image: Image.Image) -> Image.Image:
    # Pillow copies a picture that is in the mode already: 256 MB of one at the limit.
    return image if image.mode == mode else image.convert(mode)


def _grey(image: Image.Image) -> Pixels:
    """Grey of more than 8 bits, brought down to 8: uint8, (h, w).

    16-bit grey has a known white. For 32 bits and fractions it is the smallest usual one that
    is not below the brightest pixel.
    """
    values = np.nan_to_num(np.asarray(image, dtype=np.float32))
    white = 65535.0
    if image.mode in ("I", "F"):
        brightest = float(values.max())
        usual = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
        white = next((value for value in usual if brightest <= value), brightest)
    grey: Pixels = np.clip(np.rint(values * (255 / white)), 0, 255).astype(np.uint8)
    return grey
