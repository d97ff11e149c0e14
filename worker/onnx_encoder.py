"""The encoder in use: dlib finds and aligns the faces, ONNX Runtime does dlib's arithmetic."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from facematch.faces import Encodings, Pixels
from worker.dlib_weights import MODEL
from worker.encoder import Found

if TYPE_CHECKING:
    from worker.finder import DlibFinder
    from worker.network import OnnxNetwork


class OnnxEncoder:
    """See worker.encoder.Encoder. Crops are aligned face chips (n, 150, 150, 3), uint8, RGB."""

    model = MODEL
    calibration = "dlib-1"

    def __init__(self, detector: str = "hog", max_side: int = 0) -> None:
        """See DlibFinder."""
        self._detector, self._max_side = detector, max_side

    def find(self, pixels: Pixels, max_faces: int) -> Found:
        """See Encoder."""
        return self._finder.find(pixels, max_faces)

    def encode(self, crops: NDArray[Any]) -> Encodings:
        """See Encoder."""
        return self._network.encode(crops)

    def preparation(self) -> str | None:
        """See worker.encoder.Preparable."""
        return self._finder.preparation()

    # Imported on first use: the process that finds faces needs no ONNX Runtime, and the one
    # that encodes them no dlib.
    @cached_property
    def _finder(self) -> "DlibFinder":
        from worker.finder import DlibFinder

        return DlibFinder(self._detector, self._max_side)

    @cached_property
    def _network(self) -> "OnnxNetwork":
        from worker.network import OnnxNetwork, encoder_graph

        return OnnxNetwork(encoder_graph())
