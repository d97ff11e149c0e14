"""Pictures with the drawn face of worker.golden_drawing, which dlib finds: large, small, many."""

import numpy as np
from PIL import Image

from facematch.faces import Pixels
from worker.golden_drawing import golden_picture


def face(width: int, height: int = 0) -> Pixels:
    """The drawn face in this size, square if only the width is given."""
    return np.asarray(Image.fromarray(golden_picture()).resize((width, height or width)))


def noisy(pixels: Pixels, amount: int, seed: int) -> Pixels:
    """Each number changed by up to `amount`."""
    noise = np.random.default_rng(seed).integers(-amount, amount + 1, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def sheet(seed: int, rows: int = 10, columns: int = 10) -> Pixels:
    """Faces that are nearly the same, so that their scores are near each other."""
    return noisy(np.tile(face(60), (rows, columns, 1)), 1, seed)


def scattered(height: int, width: int, count: int, seed: int) -> Pixels:
    """Faces of many sizes, some of them over others, on noise or one colour."""
    rng = np.random.default_rng(seed)
    canvas = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    if seed % 2:
        canvas[:] = rng.integers(0, 256, 3)
    for _ in range(count):
        side = int(rng.integers(45, 160))
        top, left = rng.integers(0, height - side), rng.integers(0, width - side)
        canvas[top : top + side, left : left + side] = face(side)
    return canvas
