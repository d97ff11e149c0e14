"""Builds ONNX models of dlib's layers: the only module that imports onnx.

Used by `worker.dlib_graph` and `worker.mmod_graph`. What batch normalisation left behind is folded
into the convolutions, so results differ from dlib's by rounding only.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from worker.dlib_layers import Affine, Convolution, Layer, Relu

FLOAT, UINT8 = TensorProto.FLOAT, TensorProto.UINT8

#: What an input or output is: its name, its type, its shape with names for what varies.
Value = tuple[str, int, Sequence[int | str]]

_OPSET, _IR = 17, 8

_Layer = TypeVar("_Layer")


class GraphBuilder:
    """Adds one operation after the other. Raises ValueError when the layers are other ones.

    `flow` and `channels` are the name and the channels of what has been computed.
    """

    def __init__(self, layers: Sequence[Layer], flow: str, channels: int) -> None:
        """`layers` are taken one by one; `flow`: the input's name."""
        self._layers: Iterator[Layer] = iter(layers)
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self.flow, self.channels = flow, channels

    def next(self, kind: type[_Layer]) -> _Layer:
        """The next layer, which has to be of this kind."""
        layer = next(self._layers, None)
        if not isinstance(layer, kind):
            raise ValueError(f"{type(layer).__name__} where there should be {kind.__name__}")  # noqa: TRY004
        return layer

    def convolve(
        self,
        means: tuple[float, ...] = (),
        scale: float = 1.0,
        affine: bool = True,
        name: str = "",
    ) -> Convolution:
        """The next convolution, with its affine layer if it has one. What it works on has `means`
        taken off its channels first, and is then divided by `scale`."""
        layer = self.next(Convolution)
        filters, biases = layer.filters.astype(np.float64), layer.biases.astype(np.float64)
        if affine:
            after = self.next(Affine)
            filters *= after.scale[:, None, None, None]
            biases = biases * after.scale + after.shift
        filters /= scale
        if means:
            biases -= filters.sum(axis=(2, 3)) @ np.array(means)
        outputs, inputs, rows, _ = filters.shape
        if inputs != self.channels:
            raise ValueError(f"a convolution of {inputs} channels where there are {self.channels}")
        self.node(
            "Conv",
            self.constant(filters.astype(np.float32)),
            self.constant(biases.astype(np.float32)),
            name=name,
            kernel_shape=[rows, rows],
            strides=[layer.stride] * 2,
            pads=[layer.padding] * 4,
        )
        self.channels = outputs
        return layer

    def rectify(self) -> None:
        """The next layer, which makes negative values 0."""
        self.next(Relu)
        self.node("Relu")

    def node(self, operation: str, *inputs: str, name: str = "", **attributes: Any) -> None:
        """An operation on the flow and other inputs; `name`: of its result."""
        output = name or f"{operation}-{len(self._nodes)}"
        node = helper.make_node(operation, [self.flow, *inputs], [output], **attributes)
        self._nodes.append(node)
        self.flow = output

    def constant(self, values: NDArray[Any]) -> str:
        """The name of an input that is always this."""
        name = f"constant-{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def build(self, given: Value, result: Value) -> bytes:
        """The model, once all layers are taken."""
        if next(self._layers, None) is not None:
            raise ValueError("the network has more layers than dlib's example")
        graph = helper.make_graph(
            self._nodes,
            "dlib",
            [helper.make_tensor_value_info(*given)],
            [helper.make_tensor_value_info(*result)],
            self._constants,
        )
        opset = helper.make_opsetid("", _OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=_IR)
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())
