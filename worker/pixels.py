"""From a loaded picture of Pillow's, in whatever mode, to upright RGB pixels. Used by `decode`."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

from facematch.faces import Pixels

#: Rows of what a band becomes.
_BAND = 64
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
#: Turns that exchange rows and columns.
SIDEWAYS = {_TURNS[number] for number in (5, 6, 7, 8)}


def turn_of(image: Image.Image) -> Image.Transpose | None:
    """How a picture must be turned to be upright, as far as its EXIF can be read."""
    try:
        return _TURNS.get(int(image.getexif().get(ExifTags.Base.Orientation, 1)))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  Pillow's parser raises all kinds of them
        return None


def turned(pixels: Pixels, turn: Image.Transpose | None) -> Pixels:
    """The pixels, turned so."""
    return pixels if turn is None else np.asarray(Image.fromarray(pixels).transpose(turn))


def pixels_of(image: Image.Image, factor: int) -> Pixels:
    """Pixels (h, w, 3) of a picture in any of Pillow's modes, made smaller by the factor.

    In bands, since a picture at the limit takes 256 MB, and each step towards RGB as much again.
    """
    white = _white(image)
    if factor == 1:
        return _rgb(image, white)
    bands = [
        np.asarray(Image.fromarray(_rgb(band, white)).reduce(factor))
        for band in _bands(image, _BAND * factor)
    ]
    return np.concatenate(bands)


def _bands(image: Image.Image, rows: int) -> Iterator[Image.Image]:
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(image.height, top + rows)))


def _rgb(image: Image.Image, white: float) -> Pixels:
    """Pixels (h, w, 3); `white` is what counts as such in grey of more than 8 bits."""
    if _is_deep(image):
        return np.repeat(_grey(image, white)[:, :, np.newaxis], 3, axis=2)
    if image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        image = _in_mode("RGBA", image)
        ground = Image.new("RGB", image.size, "white")
        ground.paste(image, mask=image)
        image = ground
    elif image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        image = converted or image
    return np.asarray(_in_mode("RGB", image), dtype=np.uint8)


def _in_mode(mode: str, image: Image.Image) -> Image.Image:
    # Pillow copies a picture that is in the mode already: 256 MB of one at the limit.
    return image if image.mode == mode else image.convert(mode)


def _is_deep(image: Image.Image) -> bool:
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def _grey(image: Image.Image, white: float) -> Pixels:
    """Grey of more than 8 bits, brought down to 8: uint8, (h, w)."""
    grey: Pixels = np.clip(np.rint(_values(image) * (255 / white)), 0, 255).astype(np.uint8)
    return grey


def _values(image: Image.Image) -> NDArray[np.float32]:
    return np.nan_to_num(np.asarray(image, dtype=np.float32))


def _white(image: Image.Image) -> float:
    """What counts as white in grey of more than 8 bits. 16-bit grey has a known white; for 32 bits
    and fractions it is the smallest usual one that is not below the brightest pixel."""
    if image.mode not in ("I", "F"):
        return 65535.0
    brightest = max(float(_values(band).max()) for band in _bands(image, _BAND))
    usual = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
    return next((value for value in usual if brightest <= value), brightest)
