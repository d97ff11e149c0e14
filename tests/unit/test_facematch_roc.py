"""The picture that `facematch quality` draws."""

import io

import numpy as np
from PIL import Image

from facematch.roc import roc

BLUE, ORANGE = (0, 0x72, 0xB2), (0xD5, 0x5E, 0)


def looked(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    assert image.format == "PNG"
    return image.convert("RGB")


def rows_of(image: Image.Image, colour: tuple[int, int, int]) -> list[int]:
    """The rows that have this colour left of the key."""
    left = np.asarray(image, dtype=int)[:, 90:500]
    return [int(row) for row in np.flatnonzero((abs(left - colour).sum(axis=2) < 30).any(axis=1))]


def test_a_curve_that_finds_more_is_higher() -> None:
    image = looked(
        roc("3 faces", {"ours": [(1e-4, 0.9), (1, 0.9)], "theirs": [(1e-4, 0.2), (1, 0.2)]})
    )
    ours, theirs = rows_of(image, BLUE), rows_of(image, ORANGE)
    assert ours
    assert theirs
    assert max(ours) < min(theirs)


def test_without_a_false_pair_there_are_axes_and_no_curve() -> None:
    image = looked(roc("nothing", {"ours": [(0.0, 0.5), (0.0, 1.0)]}))
    assert rows_of(image, BLUE) == []
