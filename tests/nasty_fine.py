"""Pictures that are as they should be, and awkward: for decoders, for detectors, in memory."""

from functools import partial

import numpy as np
from drawn import FORMATS, encoded
from nasty_parts import Builders, one_colour
from PIL import Image


def pixels(array: np.ndarray, form: str = "PNG", **options: object) -> bytes:
    return encoded(Image.fromarray(array.astype(np.uint8)), form, **options)


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def checkerboard(side: int, size: int) -> np.ndarray:
    rows = np.arange(size) // side
    return (rows[:, None] + rows) % 2 * 255


def gradient(steps: float) -> np.ndarray:
    return np.linspace(0, 255 * steps, 600)[None, :].repeat(400, 0) % 256


def rings() -> np.ndarray:
    """Circles that become finer outwards, beyond what the pixels can show."""
    across = np.arange(-400, 400)
    return 127.5 + 127.5 * np.sin((across[:, None] ** 2 + across**2) / 200)


def panorama(width: int, height: int) -> bytes:
    across = 127.5 + 127.5 * np.sin(np.linspace(0, 99, max(width, height)))
    strip = across[None, :] if width > height else across[:, None]
    return pixels(np.broadcast_to(strip, (height, width)), "JPEG")


def translucent() -> np.ndarray:
    """Black pixels, each more opaque than its neighbour."""
    alpha = np.arange(256, dtype=np.uint8)[None, :].repeat(64, 0)
    return np.dstack([*[np.zeros_like(alpha)] * 3, alpha])


def sixteen_bits(lowest: int, highest: int) -> bytes:
    ramp = np.linspace(lowest, highest, 64 * 64).reshape(64, 64).astype(np.uint16)
    return encoded(Image.fromarray(ramp), "PNG")


BUILDERS: Builders = {
    **{f"fine-{form.lower()}-1-x-1-pixel": partial(one_colour, form, 1, 1) for form in FORMATS},
    "fine-all-black": lambda: pixels(np.zeros((600, 800, 3)), "JPEG"),
    "fine-all-white": lambda: pixels(np.full((600, 800, 3), 255), "JPEG"),
    "fine-all-transparent": lambda: pixels(np.zeros((64, 64, 4))),
    "fine-ever-more-opaque": lambda: pixels(translucent()),
    "fine-noise-in-colour": lambda: pixels(noise(1, 600, 800, 3), "JPEG", quality=95),
    "fine-noise-in-grey": lambda: pixels(noise(2, 600, 800)),
    "fine-noise-in-alpha": lambda: pixels(noise(3, 200, 300, 4)),
    "fine-noise-as-webp": lambda: pixels(noise(4, 200, 300, 3), "WEBP", lossless=True),
    "fine-noise-of-9-megabytes": lambda: pixels(noise(5, 1500, 2000, 3), compress_level=0),
    "fine-checkerboard-of-1-pixel": lambda: pixels(checkerboard(1, 1000)),
    "fine-checkerboard-of-1-pixel-as-jpeg": lambda: pixels(checkerboard(1, 1000), "JPEG"),
    "fine-checkerboard-of-8-pixels": lambda: pixels(checkerboard(8, 1000)),
    "fine-checkerboard-of-2-pixels-as-webp": lambda: pixels(checkerboard(2, 500), "WEBP"),
    "fine-gradient": lambda: pixels(gradient(1)),
    "fine-gradient-that-wraps-200-times": lambda: pixels(gradient(200)),
    "fine-gradient-down-as-jpeg": lambda: pixels(gradient(1).T, "JPEG", quality=1),
    "fine-stripes-of-1-pixel": lambda: pixels(np.indices((500, 500))[0] % 2 * 255),
    "fine-half-black-half-white": lambda: pixels(np.indices((500, 500))[1] // 250 * 255),
    "fine-one-white-pixel": lambda: pixels(np.pad([[255]], 500)),
    "fine-rings": lambda: pixels(rings()),
    "fine-panorama-20000-x-200": partial(panorama, 20_000, 200),
    "fine-panorama-200-x-20000": partial(panorama, 200, 20_000),
    "fine-panorama-60000-x-20": partial(panorama, 60_000, 20),
    "fine-16-bits-nearly-black": partial(sixteen_bits, 0, 9),
    "fine-16-bits-nearly-white": partial(sixteen_bits, 65_526, 65_535),
    "fine-palette-of-two-colours-alike": lambda: encoded(
        Image.fromarray(noise(6, 64, 64) % 2).convert("P"), "PNG"
    ),
}
