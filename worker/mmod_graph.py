"""Builds dlib's face detection network as an ONNX model. Used by `worker.mmod`, once.

The layers are those of dlib's published example (examples/dnn_mmod_face_detection_ex.cpp,
`net_type`). The means are not folded into the first convolution, because between the pictures of
a pyramid there is 0, and no colour.
"""

from collections.abc import Sequence

from worker.dlib_layers import Layer
from worker.onnx_graph import FLOAT, GraphBuilder

INPUT, OUTPUT = "plane", "scores"

#: Filters, side of a filter, stride and padding of the convolutions before the last one.
_CONVOLUTIONS = (
    *((16, 5, 2, 0), (32, 5, 2, 0), (32, 5, 2, 0)),  # downsampler
    *((45, 5, 1, 2), (45, 5, 1, 2), (45, 5, 1, 2)),  # rcon5
)
_LAST = (1, 9, 1, 4)


def build_graph(layers: Sequence[Layer]) -> bytes:
    """An ONNX model: `plane` (1, 3, h, w), float32, to `scores` (1, 1, r, c), float32.

    Raises ValueError when the layers are not those of the example.
    """
    builder = GraphBuilder(layers, INPUT, channels=3)
    for expected in _CONVOLUTIONS:
        _convolve(builder, expected)
        builder.rectify()
    _convolve(builder, _LAST)
    return builder.build((INPUT, FLOAT, [1, 3, "h", "w"]), (OUTPUT, FLOAT, [1, 1, "r", "c"]))


def _convolve(builder: GraphBuilder, expected: tuple[int, int, int, int]) -> None:
    last = expected == _LAST
    layer = builder.convolve(affine=not last, name=OUTPUT if last else "")
    filters, _, side, _ = layer.filters.shape
    if (filters, side, layer.stride, layer.padding) != expected:
        raise ValueError("a convolution that is not the example's")
