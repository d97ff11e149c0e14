"""Finding faces with dlib, and cutting them out aligned: the only module that imports it.

The steps are those of face_recognition (api.py: face_locations, face_encodings), up to the
chip that it gives to the network.
"""

from collections.abc import Callable, Sequence
from typing import Any

import dlib
import numpy as np

from facematch.faces import Box, Pixels
from worker.encoder import Found, largest
from worker.hog.standby import Standby
from worker.model_files import LANDMARKS, known_file
from worker.working_size import locate

#: Rows and columns of a chip, and the margin around the face, as parts of its size.
SIDE = 150
_PADDING = 0.25
#: How often the picture is doubled before faces are looked for: they need 40 pixels then, not 80.
_UPSAMPLE = 1


class DlibFinder:
    """Not for several threads at once: dlib is not made for it."""

    def __init__(self, detector: str, max_side: int) -> None:
        """`detector`: `hog`, which finds upright frontal faces, or `cnn`, which also finds those
        that are turned, misses more small ones and takes much longer. `max_side`: see
        worker.working_size."""
        self._max_side = max_side
        self._landmarks: Any = dlib.shape_predictor(str(known_file(LANDMARKS)))
        self._detect: Callable[[Pixels], Sequence[Box]]
        if detector == "cnn":
            # Imported here because only this detector needs ONNX Runtime.
            from worker.mmod import MmodDetector

            self._detect = MmodDetector().find
        else:
            self._detect = Standby(frontal_boxes)

    def find(self, pixels: Pixels, max_faces: int) -> Found:
        """See worker.encoder.Encoder. `crops` are chips (n, 150, 150, 3), uint8, RGB."""
        seen = locate(pixels, self._max_side, self._boxes)
        boxes = largest(seen, max_faces)
        chips = np.empty((len(boxes), SIDE, SIDE, 3), dtype=np.uint8)
        for row, box in enumerate(boxes):
            rectangle = dlib.rectangle(box.left, box.top, box.right, box.bottom)
            shape = self._landmarks(pixels, rectangle)
            chips[row] = dlib.get_face_chip(pixels, shape, SIDE, _PADDING)
        return Found(boxes, len(seen), chips)

    def preparation(self) -> str | None:
        """See worker.encoder.Preparable."""
        compiling = isinstance(self._detect, Standby) and self._detect.to_compile
        return "worker.hog" if compiling else None

    def _boxes(self, pixels: Pixels) -> list[Box]:
        height, width = pixels.shape[:2]
        return [_inside(box, height, width) for box in self._detect(pixels)]


def frontal_state() -> bytes:
    """The weights of dlib's frontal face detector, as `worker.hog.weights` reads them."""
    state: bytes = dlib.get_frontal_face_detector().__getstate__()[0]
    return state


def frontal_boxes() -> Callable[[Pixels], list[Box]]:
    """dlib's frontal face detector; its boxes may reach over the edges of a picture."""
    detector: Any = dlib.get_frontal_face_detector()
    return lambda pixels: [_box(rectangle) for rectangle in detector(pixels, _UPSAMPLE)]


def _box(rectangle: Any) -> Box:
    return Box(rectangle.top(), rectangle.right(), rectangle.bottom(), rectangle.left())


def _inside(box: Box, height: int, width: int) -> Box:
    """The part of a box that is inside the picture."""
    return Box(
        top=max(box.top, 0),
        right=min(box.right, width),
        bottom=min(box.bottom, height),
        left=max(box.left, 0),
    )
