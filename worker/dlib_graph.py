"""Builds dlib's face recognition network as an ONNX model. Used by `worker.network`, once.

The layers are those of dlib's published example (examples/dnn_face_recognition_ex.cpp,
`anet_type`). Scaling the picture is folded into the first convolution.
"""

import numpy as np

from facematch.faces import DIMENSIONS
from worker.dlib_layers import Add, Dense, Pool
from worker.dlib_weights import Network
from worker.onnx_graph import FLOAT, UINT8, GraphBuilder

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


def build_graph(network: Network) -> bytes:
    """An ONNX model: `chips` (n, 150, 150, 3), uint8, RGB, to `encodings` (n, 128), float32.

    Raises ValueError when the layers are not those of the example.
    """
    return _Builder(network).network()


class _Builder(GraphBuilder):
    """`side` is that of what has been computed, which is square."""

    def __init__(self, network: Network) -> None:
        super().__init__(network.layers, INPUT, channels=3)
        self._network = network
        self._side = network.side

    def network(self) -> bytes:
        side = self._network.side
        self.node("Cast", to=FLOAT)
        self.node("Transpose", perm=[0, 3, 1, 2])
        self._convolve(self._network.means, _SCALE)
        self.rectify()
        self._pool(maximum=True)
        for halving in _BLOCKS:
            self._block(halving)
        if self.next(Pool) != Pool(maximum=False, size=0, stride=1):
            raise ValueError("the network does not end with an average over the picture")
        self.node("GlobalAveragePool")
        self.node("Flatten")
        self.node("MatMul", self.constant(self.next(Dense).weights), name=OUTPUT)
        return self.build((INPUT, UINT8, ["n", side, side, 3]), (OUTPUT, FLOAT, ["n", DIMENSIONS]))

    def _block(self, halving: bool) -> None:
        entered = self.flow, self.channels, self._side
        self._convolve()
        self.rectify()
        self._convolve()
        main = self.flow, self.channels, self._side
        self.flow, self.channels, self._side = entered
        if halving:
            self._pool(maximum=False)
        self.next(Add)
        channels, side = max(self.channels, main[1]), max(self._side, main[2])
        self._pad(channels, side)
        around = self.flow
        self.flow, self.channels, self._side = main
        self._pad(channels, side)
        self.node("Add", around)
        self.rectify()

    def _convolve(self, means: tuple[float, ...] = (), scale: float = 1.0) -> None:
        layer = self.convolve(means, scale)
        rows = layer.filters.shape[2]
        self._side = (self._side + 2 * layer.padding - rows) // layer.stride + 1

    def _pool(self, maximum: bool) -> None:
        layer = self.next(Pool)
        if layer.maximum is not maximum:
            raise ValueError("a maximum where there should be an average, or the other way round")
        self.node(
            "MaxPool" if maximum else "AveragePool",
            kernel_shape=[layer.size] * 2,
            strides=[layer.stride] * 2,
        )
        self._side = (self._side - layer.size) // layer.stride + 1

    def _pad(self, channels: int, side: int) -> None:
        """Zeros behind, where dlib adds tensors of different sizes."""
        more = channels - self.channels, side - self._side
        if any(more):
            pads = np.array([0, 0, 0, 0, 0, more[0], more[1], more[1]], dtype=np.int64)
            self.node("Pad", self.constant(pads))
            self.channels, self._side = channels, side
