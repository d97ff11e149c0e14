"""A friendly face drawn by code, which shows no person; `worker.golden` checks encoders with it.

Nothing here comes from a picture of anybody: the drawing is a list of ellipses with soft edges,
each laid over the ones before it, the far ones first. It is the same picture, byte for byte,
wherever it is drawn: the arithmetic is float64 with + - * / alone, one operation at a time, which
IEEE 754 rounds the same way everywhere, and nothing is left to a graphics library.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facematch.faces import Pixels

SIZE = 180
CENTRE = (91.0, 93.0)

Colour = tuple[int, int, int]


class Shape(NamedTuple):
    """An ellipse with a soft edge. Its place is counted from CENTRE, in pixels."""

    x: float
    y: float
    rx: float
    ry: float
    soft: float  # 1 fades from the very middle, near 0 is a sharp edge
    colour: Colour
    opacity: float = 1.0
    slope: float = 0.0  # how far it drops per pixel outwards
    bend: float = 0.0  # how far its ends drop, per square pixel; below 0 they rise
    pair: bool = False  # drawn on the left too, mirrored


HAIR: Colour = (74, 50, 40)
SKIN: Colour = (232, 184, 155)
LIGHT: Colour = (252, 220, 196)
SHADE: Colour = (120, 72, 54)
INK: Colour = (60, 36, 30)
BLUE: Colour = (70, 110, 150)

TOP = (200.0, 216.0, 224.0)  # the background, at the top of the picture
FADE = 0.2  # how much darker it gets per row

SHAPES: tuple[Shape, ...] = (
    # Behind the face: hair, shoulders, neck, collar, ears.
    Shape(0, -12, 55, 58, 0.08, HAIR),
    Shape(0, 96, 66, 34, 0.1, BLUE),
    Shape(0, 64, 19, 24, 0.15, (186, 140, 114)),
    Shape(46, 4, 7, 12, 0.3, (206, 156, 128), pair=True),
    # The face: its darker rim, its lit middle, the fringe, the cheeks.
    Shape(0, 4, 46, 57, 0.08, (190, 142, 116)),
    Shape(0, 5, 46, 57, 0.8, SKIN),
    Shape(0, -32, 30, 16, 1.0, LIGHT, 0.4),
    Shape(-6, -53, 44, 15, 0.2, HAIR, 1.0, -0.1, 0.009),
    Shape(25, 20, 14, 11, 1.0, (232, 120, 110), 0.4, pair=True),
    # The shadows and lights round eyes, nose and chin.
    Shape(20, -12, 16, 11, 1.0, SHADE, 0.45, pair=True),
    Shape(7, 2, 5, 18, 1.0, SHADE, 0.3, pair=True),
    Shape(0, 2, 5, 22, 1.0, LIGHT, 0.4),
    Shape(0, 19, 14, 6, 1.0, SHADE, 0.35),
    Shape(0, 13, 7, 7, 1.0, LIGHT, 0.5),
    Shape(0, 45, 12, 5, 1.0, SHADE, 0.35),
    # The nostrils; the eyes: white, iris, pupil, lid, glint; the brows.
    Shape(5.5, 17, 4, 2.2, 0.8, INK, 0.8, pair=True),
    Shape(20, -10, 9.5, 5, 0.3, (246, 242, 238), pair=True),
    Shape(20, -10, 4.6, 4.6, 0.3, (62, 90, 104), pair=True),
    Shape(20, -10, 2.4, 2.4, 0.4, (16, 16, 18), pair=True),
    Shape(20, -14.5, 10.5, 2, 0.7, INK, 0.85, 0.0, 0.025, pair=True),
    Shape(18.5, -11.5, 1.5, 1.5, 0.6, (254, 254, 254)),
    Shape(-21.5, -11.5, 1.5, 1.5, 0.6, (254, 254, 254)),
    Shape(21, -24, 13, 2.6, 0.6, HAIR, 0.9, 0.12, 0.02, pair=True),
    # The mouth: upper lip, lower lip, and the line that smiles.
    Shape(0, 33, 18, 3.6, 0.6, (186, 84, 82), 0.9, 0.0, -0.016),
    Shape(0, 37, 14.5, 4.6, 0.6, (210, 106, 100), 0.9, 0.0, -0.016),
    Shape(0, 35, 20, 1.4, 0.8, (96, 34, 36), 0.9, 0.0, -0.016),
)


def canvas() -> NDArray[np.float64]:
    """The picture before rounding: rows, columns, and red, green, blue of 0 to 255."""
    x = (np.arange(SIZE, dtype=np.float64) + 0.5 - CENTRE[0])[None, :]
    y = (np.arange(SIZE, dtype=np.float64) + 0.5 - CENTRE[1])[:, None]
    picture = np.empty((SIZE, SIZE, 3), dtype=np.float64)
    picture[:] = np.array(TOP) - FADE * np.arange(SIZE, dtype=np.float64)[:, None, None]
    for shape in SHAPES:
        for side in (1.0, -1.0) if shape.pair else (1.0,):
            across = x * side - shape.x
            down = y - shape.y - shape.slope * across - shape.bend * (across * across)
            across, down = across / shape.rx, down / shape.ry
            edge = np.clip((1.0 - (across * across + down * down)) / shape.soft, 0.0, 1.0)
            cover = (shape.opacity * (edge * edge * (3.0 - 2.0 * edge)))[:, :, None]
            picture += cover * (np.array(shape.colour, dtype=np.float64) - picture)
    return picture


def golden_picture() -> Pixels:
    """The picture, (180, 180, 3), uint8, RGB."""
    rounded: Pixels = np.floor(canvas() + 0.5).astype(np.uint8)
    return rounded
