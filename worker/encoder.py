"""The port to encoders: finding the faces of a picture, and making encodings of them.

The two steps are apart because they happen in different processes: `find` sees pixels that a
stranger has sent, so it runs in a sandboxed child; `encode` sees crops of a fixed shape, so it
runs in the worker, over those of several pictures at once.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from facematch.calibration import NAMES
from facematch.errors import Misconfigured
from facematch.faces import Box, Encodings, Pixels


@dataclass(frozen=True, eq=False)
class Found:
    """The faces of a picture: boxes, and how many were seen, which is more if over a limit.

    `crops` has a row for each box: what the encoder's `encode` takes, of whatever shape, uint8 or
    float32.
    """

    boxes: Sequence[Box]
    total: int
    crops: NDArray[Any]


class Encoder(Protocol):
    """What a worker needs of an encoder. Making one is cheap; models are loaded when needed."""

    @property
    def model(self) -> str:
        """Fingerprint of the model; encodings of different models do not compare."""

    @property
    def calibration(self) -> str:
        """The calibration of its encodings, one of facematch.calibration.NAMES; "", or no such
        attribute: there is none, and so no false match rates."""

    def find(self, pixels: Pixels, max_faces: int) -> Found:
        """The `max_faces` largest faces of an upright RGB picture (h, w, 3), uint8.

        A picture without a face has none: that is a result, not an error.
        """

    def encode(self, crops: NDArray[Any]) -> Encodings:
        """Encodings (n, 128), float32, of the crops (n, …) that `find` gave, perhaps for several
        pictures. Safe to use from several threads."""


@runtime_checkable
class Preparable(Protocol):
    """An encoder that finds faces faster once a program has run on this machine."""

    def preparation(self) -> str | None:
        """The module that is this program, run with `python -m`; None when it need not run.
        `find` itself notices when it has."""


def calibration_of(encoder: Encoder) -> str:
    """That of its encodings, "" for none. Raises Misconfigured for one that there is not."""
    name: str = getattr(encoder, "calibration", "")
    if name and name not in NAMES:
        raise Misconfigured(f"the encoder has a calibration {name!r}, which there is not")
    return name


def largest(seen: Sequence[Box], count: int) -> list[Box]:
    """The `count` largest boxes, in the order in which they were seen."""
    chosen = sorted(range(len(seen)), key=lambda i: seen[i].area, reverse=True)[:count]
    return [seen[i] for i in sorted(chosen)]


def load_encoder(name: str, detector: str, max_side: int) -> Encoder:
    """The encoder that the settings of these names ask for. Raises Misconfigured."""
    if name == "onnx":
        from worker.onnx_encoder import OnnxEncoder

        return OnnxEncoder(detector, max_side)
    if name == "dlib":
        from worker.dlib_encoder import DlibEncoder

        return DlibEncoder(detector, max_side)
    module, _, attribute = name.partition(":")
    try:
        encoder: Encoder = getattr(importlib.import_module(module), attribute)()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise Misconfigured(f"no encoder {name!r}: {error}") from error
    return encoder
