"""Pictures of drawn people, nobody's, that carry encodings; and the encoder that reads them.

For what looks at pictures: the web page. In the first rows of such a PNG are, for each face, its
box and its encoding; see `planted` for pictures that nobody looks at. Set FACEMATCH_ENCODER to
CARTOONS, with tests/ on the path.
"""

import colorsys
import io
import struct
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from facematch.encoding_model import encoding_model
from facematch.faces import Box, Encodings, Pixels, pack_encodings, unpack_encodings
from worker.encoder import Found

CARTOONS = "cartoons:CartoonEncoder"
SIDE = 320
_MARK = b"face"
_BOX = struct.Struct("<4H")
_BYTES = len(_MARK) + _BOX.size + 512
#: How much pictures of one person differ, of what they do: so that all of them match.
_SPREAD = 1.1
_SKINS = ("#f6d3b3", "#e8b48a", "#c98d5f", "#9a6640", "#6e452b")
_HAIRS = ("#2c2320", "#5b3a24", "#a3622d", "#d9b35c", "#8c8c94", "#b4473a")


def drawn_people(count: int, pictures: int, seed: int = 5) -> Encodings:
    """Encodings of pictures of people, spread as dlib's are: shape (count, pictures, 128)."""
    rng = np.random.default_rng(seed)
    model = encoding_model()
    spread = _SPREAD * np.linalg.cholesky(model.within)
    own = rng.standard_normal((count, pictures, len(spread))) @ spread.T @ model.basis.T
    return (model.draw(count, rng)[:, None] + own).astype(np.float32)


def cartoon(people: Sequence[int], encodings: Encodings, seed: int) -> bytes:
    """A PNG of one or more people, by their numbers, with an encoding (128) of each."""
    rng = np.random.default_rng(seed)
    width = SIDE * len(people) * 3 // 4 if len(people) > 1 else SIDE
    image = Image.new("RGB", (width, SIDE), _colour(rng.random(), 0.25, 0.85))
    draw = ImageDraw.Draw(image)
    for _ in range(5):
        x, y, r = rng.integers(0, width), rng.integers(0, SIDE), rng.integers(30, 90)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=_colour(rng.random(), 0.25, 0.8))
    step = width / len(people)
    boxes = [_person(draw, rng, who, step * (at + 0.5), step) for at, who in enumerate(people)]
    pixels = np.array(image)
    for row, (box, encoding) in enumerate(zip(boxes, encodings, strict=True)):
        told = _MARK + _BOX.pack(box.top, box.right, box.bottom, box.left)
        told += pack_encodings(encoding[None])
        pixels[row].reshape(-1)[:_BYTES] = np.frombuffer(told, dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _colour(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return int(255 * red), int(255 * green), int(255 * blue)


def _person(
    draw: ImageDraw.ImageDraw, rng: np.random.Generator, who: int, middle: float, step: float
) -> Box:
    """Draw one person as they always look, a little elsewhere; where the face is."""
    own = np.random.default_rng(who)
    skin, hair = own.choice(_SKINS), own.choice(_HAIRS)
    wide, high = own.integers(50, 62), own.integers(64, 78)
    eyes, mouth, long = own.integers(15, 24), own.integers(14, 26), own.random() < 0.5
    glasses, shirt = own.random() < 0.35, _colour(own.random(), 0.6, 0.7)
    x = middle + rng.integers(-10, 11) * step / SIDE
    y = 150 + rng.integers(-14, 15)
    draw.ellipse((x - 105, y + 85, x + 105, y + 330), fill=shirt)
    draw.rectangle((x - 20, y + 50, x + 20, y + 105), fill=skin)
    if long:
        draw.rounded_rectangle((x - wide - 16, y - 60, x + wide + 16, y + 95), 40, fill=hair)
    draw.ellipse((x - wide - 10, y - high - 18, x + wide + 10, y + 40), fill=hair)
    draw.ellipse((x - wide, y - high, x + wide, y + high), fill=skin)
    draw.chord((x - wide - 4, y - high - 14, x + wide + 4, y + 14), 195, 345, fill=hair)
    for side in (-eyes - 4, eyes + 4):
        draw.ellipse((x + side - 8, y - 14, x + side + 8, y), fill="#fff")
        draw.ellipse((x + side - 4, y - 11, x + side + 4, y - 3), fill="#26222a")
        draw.line((x + side - 11, y - 24, x + side + 11, y - 25), fill=hair, width=4)
        if glasses:
            draw.ellipse((x + side - 16, y - 22, x + side + 16, y + 9), outline="#222", width=3)
    draw.line((x, y - 4, x - 5, y + 18, x + 4, y + 20), fill="#7a4a36", width=3)
    smile = 20 + int(rng.integers(0, 40))
    draw.arc((x - mouth, y + 18, x + mouth, y + 46), smile, 180 - smile, fill="#8f2f35", width=5)
    return Box(int(y - high + 14), int(x + wide), int(y + high), int(x - wide))


class CartoonEncoder:
    """Reads what the first rows of a cartoon say; see worker.encoder.Encoder."""

    model = "cartoons"
    calibration = "dlib-1"

    def find(self, pixels: Pixels, max_faces: int) -> Found:
        """The faces of a cartoon; other pictures have none."""
        boxes, encodings = [], []
        for row in pixels:
            told = np.ascontiguousarray(row).tobytes()[:_BYTES]
            if not told.startswith(_MARK):
                break
            boxes.append(Box(*_BOX.unpack_from(told, len(_MARK))))
            encodings.append(unpack_encodings(told[len(_MARK) + _BOX.size :])[0])
        found = np.stack(encodings) if encodings else np.empty((0, 128), dtype=np.float32)
        return Found(boxes[:max_faces], len(boxes), found[:max_faces])

    def encode(self, crops: Encodings) -> Encodings:
        """They are encodings already."""
        return crops
