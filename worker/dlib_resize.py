"""dlib's bilinear resizing (resize_image of dlib/image_transforms/interpolation.h), to the bit.

dlib computes four columns at a time in float32, and those that are left over at the right with
parts in float64. Used by `worker.mmod_plane`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

#: Rows computed together: what is in use then stays in the processor's cache.
_ROWS = 32


def resize(
    source: NDArray[Any], values: Callable[[NDArray[Any]], Floats], out: NDArray[Any]
) -> None:
    """Fill `out` with `source`, both (3, h, w) and uint8 or float32, in another size.

    `values` makes of some rows of the source what is to be resized. What becomes uint8 is cut off,
    not rounded.
    """
    _, rows, columns = source.shape
    vertical = _places(rows, out.shape[1])
    top = np.floor(vertical).astype(np.int64)
    down = vertical - top
    left, right = _quadruples(columns, out.shape[2])
    done = len(left)
    rest = _rest(columns, out.shape[2], done)
    rest_left = np.floor(rest).astype(np.int64)
    rest_right = np.minimum(rest_left + 1, columns - 1)
    # dlib's float32 pictures have float32 parts here too, its colour pictures have not.
    exact = np.float64 if out.dtype == np.uint8 else np.float32
    rest_part = (rest - rest_left).astype(exact)
    for start in range(0, out.shape[1], _ROWS):
        chunk = slice(start, start + _ROWS)
        first = int(top[chunk][0])
        block = values(source[:, first : int(top[chunk][-1]) + 2])
        above = top[chunk] - first
        below = np.minimum(above + 1, block.shape[1] - 1)
        part = down[chunk, None]
        to_bottom, to_top = part.astype(np.float32), (1 - part).astype(np.float32)
        lefts, rights = block.take(left, axis=2), block.take(left + 1, axis=2)
        wanted = lefts.take(above, axis=1)
        wanted *= to_top * (1 - right)
        for pixels, weights in (
            (rights.take(above, axis=1), to_top * right),
            (lefts.take(below, axis=1), to_bottom * (1 - right)),
            (rights.take(below, axis=1), to_bottom * right),
        ):
            pixels *= weights
            wanted += pixels
        out[:, chunk, :done] = wanted
        blend = (1 - rest_part) * block[:, :, rest_left].astype(exact)
        blend += rest_part * block[:, :, rest_right].astype(exact)
        out[:, chunk, done:] = (1 - part) * blend[:, above] + part * blend[:, below]


def _places(size: int, wanted: int) -> NDArray[np.float64]:
    """Where the rows to be computed are among the rows there are, one added to the other."""
    step = (size - 1) / max(wanted - 1, 1)
    return np.add.accumulate(np.array([-step] + [step] * wanted))[1:]


def _quadruples(size: int, wanted: int) -> tuple[NDArray[np.int64], Floats]:
    """The column to the left, and how far on each column is, of those computed by fours."""
    step = (size - 1) / max(wanted - 1, 1)
    start = -4 * step
    steps = np.full((wanted // 4 + 2, 4), 4 * step, dtype=np.float32)
    steps[0] = [start, start + step, start + 2 * step, start + 3 * step]
    places = np.add.accumulate(steps, axis=0)[1:]
    inside = places[:, 3].astype(np.int64) + 1 < size
    places = places[: len(inside) if inside.all() else int(inside.argmin())].ravel()
    left = places.astype(np.int64)
    return left, places - left.astype(np.float32)


def _rest(size: int, wanted: int, done: int) -> NDArray[np.float64]:
    step = (size - 1) / max(wanted - 1, 1)
    return np.add.accumulate(np.array([-step + done * step] + [step] * (wanted - done)))[1:]
