"""Builds dlib's face recognition network as an ONNX model. Used by `worker.network`, once.

The layers are those of dlib's published example (examples/dnn_face_recognition_ex.cpp,
`anet_type`). Scaling the picture and what batch normalisation left behind are folded into the
convolutions, so results differ from dlib's by rounding only.
"""

from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from facematch.faces import DIMENSIONS
from worker.dlib_weights import Add, Affine, Convolution, Dense, Layer, Network, Pool, Relu

INPUT, OUTPUT = "chips", "encodings"

#: The residual blocks, in the order in which data flows, and whether each halves the picture.
_BLOCKS = [
    *(False, False, False),  # alevel4, 32 channels
    *(True, False, False, False),  # alevel3, 64
    *(True, False, False),  # alevel2, 128
    *(True, False, False),  # alevel1, 256
    True,  # alevel0, 256
]
_SCALE = 256.0
_OPSET, _IR = 17, 8

_Layer = TypeVar("_Layer")


def build_graph(network: Network) -> bytes:
    """An ONNX model: `chips` (n, 150, 150, 3), uint8, RGB, to `encodings` (n, 128), float32.

    Raises ValueError when the layers are not those of the example.
    """
    return _Builder(network).build()


class _Builder:
    """`flow` and `shape` are the name and the (channels, side) of what has been computed."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._layers: Iterator[Layer] = iter(network.layers)
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._flow = INPUT
        self._shape = (3, network.side)

    def build(self) -> bytes:
        side = self._network.side
        self._node("Cast", to=TensorProto.FLOAT)
        self._node("Transpose", perm=[0, 3, 1, 2])
        self._convolve(self._network.means)
        self._rectify()
        self._pool(maximum=True)
        for halving in _BLOCKS:
            self._block(halving)
        if self._next(Pool) != Pool(maximum=False, size=0, stride=1):
            raise ValueError("the network does not end with an average over the picture")
        self._node("GlobalAveragePool")
        self._node("Flatten")
        self._node("MatMul", self._constant(self._next(Dense).weights), name=OUTPUT)
        if next(self._layers, None) is not None:
            raise ValueError("the network has more layers than dlib's example")
        graph = helper.make_graph(
            self._nodes,
            "dlib",
            [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["n", side, side, 3])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", DIMENSIONS])],
            self._constants,
        )
        opset = helper.make_opsetid("", _OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=_IR)
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())

    def _block(self, halving: bool) -> None:
        entered, shape = self._flow, self._shape
        self._convolve()
        self._rectify()
        self._convolve()
        main, main_shape = self._flow, self._shape
        self._flow, self._shape = entered, shape
        if halving:
            self._pool(maximum=False)
        self._next(Add)
        channels, side = map(max, self._shape, main_shape)
        self._pad(channels, side)
        around = self._flow
        self._flow, self._shape = main, main_shape
        self._pad(channels, side)
        self._node("Add", around)
        self._rectify()

    def _convolve(self, means: tuple[float, ...] = ()) -> None:
        """The next convolution with its affine layer; the first one also scales the picture."""
        layer, affine = self._next(Convolution), self._next(Affine)
        filters = layer.filters.astype(np.float64) * affine.scale[:, None, None, None]
        biases = layer.biases.astype(np.float64) * affine.scale + affine.shift
        if means:
            filters /= _SCALE
            biases -= filters.sum(axis=(2, 3)) @ np.array(means)
        outputs, inputs, rows, _ = filters.shape
        if inputs != self._shape[0]:
            raise ValueError(f"a convolution of {inputs} channels where there are {self._shape[0]}")
        self._node(
            "Conv",
            self._constant(filters.astype(np.float32)),
            self._constant(biases.astype(np.float32)),
            kernel_shape=[rows, rows],
            strides=[layer.stride] * 2,
            pads=[layer.padding] * 4,
        )
        self._shape = outputs, (self._shape[1] + 2 * layer.padding - rows) // layer.stride + 1

    def _rectify(self) -> None:
        self._next(Relu)
        self._node("Relu")

    def _pool(self, maximum: bool) -> None:
        layer = self._next(Pool)
        if layer.maximum is not maximum:
            raise ValueError("a maximum where there should be an average, or the other way round")
        self._node(
            "MaxPool" if maximum else "AveragePool",
            kernel_shape=[layer.size] * 2,
            strides=[layer.stride] * 2,
        )
        self._shape = self._shape[0], (self._shape[1] - layer.size) // layer.stride + 1

    def _pad(self, channels: int, side: int) -> None:
        """Zeros behind, where dlib adds tensors of different sizes."""
        more = channels - self._shape[0], side - self._shape[1]
        if any(more):
            pads = np.array([0, 0, 0, 0, 0, more[0], more[1], more[1]], dtype=np.int64)
            self._node("Pad", self._constant(pads))
            self._shape = channels, side

    def _next(self, kind: type[_Layer]) -> _Layer:
        layer = next(self._layers, None)
        if not isinstance(layer, kind):
            raise ValueError(f"{type(layer).__name__} where there should be {kind.__name__}")  # noqa: TRY004
        return layer

    def _node(self, operation: str, *inputs: str, name: str = "", **attributes: Any) -> None:
        output = name or f"{operation}-{len(self._nodes)}"
        node = helper.make_node(operation, [self._flow, *inputs], [output], **attributes)
        self._nodes.append(node)
        self._flow = output

    def _constant(self, values: NDArray[Any]) -> str:
        name = f"constant-{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name
