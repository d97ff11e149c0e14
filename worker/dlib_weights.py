"""Reads dlib's face recognition network from the file that face_recognition_models carries.

Used once by `worker.network`, which keeps what it makes of it. The format is that of dlib's
`serialize` (dlib/serialize.h, dlib/dnn/core.h, dlib/dnn/layers.h, dlib/cuda/tensor_tools.cpp):
first the versions of the nested layers, then each layer's own record, innermost first, which is
the order in which data flows.
"""

import hashlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from facematch.errors import Misconfigured

FILE = "dlib_face_recognition_resnet_model_v1.dat"
SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
#: What makes encodings comparable: the weights, and nothing of how the arithmetic is done.
MODEL = f"dlib-resnet-v1-{SHA256[:16]}"

Floats: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Convolution:
    """`filters` (outputs, inputs, rows, columns), `biases` (outputs,); square in every respect."""

    filters: Floats
    biases: Floats
    stride: int
    padding: int


@dataclass(frozen=True, eq=False)
class Affine:
    """Scale and shift of each channel, (channels,): what training left of batch normalisation."""

    scale: Floats
    shift: Floats


@dataclass(frozen=True)
class Pool:
    """`size` 0 means the whole picture."""

    maximum: bool
    size: int
    stride: int


@dataclass(frozen=True)
class Relu:
    """Negative values become 0."""


@dataclass(frozen=True)
class Add:
    """Adds what entered the residual block; the smaller of the two counts as padded with zeros."""


@dataclass(frozen=True, eq=False)
class Dense:
    """`weights` (inputs, outputs), no bias."""

    weights: Floats


Layer: TypeAlias = Convolution | Affine | Pool | Relu | Add | Dense


@dataclass(frozen=True)
class Network:
    """`means` of red, green and blue are taken off a picture, which is then divided by 256."""

    means: tuple[float, float, float]
    side: int
    layers: tuple[Layer, ...]


def model_file(name: str = FILE) -> Path:
    """The path of a model file in face_recognition_models. Raises Misconfigured."""
    # Looked for and not imported: importing it needs pkg_resources, and takes its time.
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or not spec.submodule_search_locations:
        raise Misconfigured("face_recognition_models is not installed")
    return Path(spec.submodule_search_locations[0]) / "models" / name


def load_weights(path: Path) -> Network:
    """The network in the file. Raises Misconfigured when it is not the file we know."""
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise Misconfigured(f"{path} is not the face recognition network of dlib that we know")
    return read_network(data)


def read_network(data: bytes) -> Network:
    """The network in the bytes of such a file. Raises ValueError for anything else."""
    try:
        return _Reader(data).network()
    except (IndexError, UnicodeDecodeError) as error:
        raise ValueError("not a network that dlib wrote") from error


_INPUT = b"\x01\x15input_rgb_image_sized"


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def network(self) -> Network:
        start = self._data.find(_INPUT)
        if start < 0:
            raise ValueError("no network with a picture as its input")
        self._at = start + len(_INPUT)
        means = (self._float(), self._float(), self._float())
        rows, columns = self._integer(), self._integer()
        if rows != columns:
            raise ValueError("the network's input is not square")
        layers: list[Layer] = []
        while not layers or not isinstance(layers[-1], Dense):
            layers.append(self._layer())
            self._end_of_layer()
            if len(layers) == 1:
                self._integer()  # pictures of one sample, which only the innermost layer tells
        return Network(means, rows, tuple(layers))

    def _layer(self) -> Layer:
        name = self._string()
        read: dict[str, Callable[[], Layer]] = {
            "con_4": self._convolution,
            "affine_": self._affine,
            "max_pool_2": lambda: self._pool(maximum=True),
            "avg_pool_2": lambda: self._pool(maximum=False),
            "relu_": Relu,
            "add_prev_": Add,
            "fc_2": self._dense,
        }
        if name not in read:
            raise ValueError(f"an unknown layer {name!r}")
        return read[name]()

    def _convolution(self) -> Convolution:
        values = self._tensor()
        _, rows, columns, stride, stride_x, padding, padding_x = self._integers(7)
        filters, biases = self._shape(), self._shape()
        for _ in range(4):  # how fast it was to learn
            self._float()
        if (rows, stride, padding) != (columns, stride_x, padding_x):
            raise ValueError("a convolution that is not square")
        split = int(np.prod(filters))
        if values.size != split + int(np.prod(biases)):
            raise ValueError("a convolution with too few or too many parameters")
        return Convolution(values[:split].reshape(filters), values[split:], stride, padding)

    def _affine(self) -> Affine:
        values = self._tensor()
        self._shape()
        self._shape()
        self._integer()  # its mode
        scale, shift = np.split(values, 2)
        return Affine(scale, shift)

    def _pool(self, maximum: bool) -> Pool:
        rows, columns, stride, stride_x, padding, padding_x = self._integers(6)
        if (rows, stride, 0, 0) != (columns, stride_x, padding, padding_x):
            raise ValueError("a pooling that is not square, or padded")
        return Pool(maximum, rows, stride)

    def _dense(self) -> Dense:
        outputs, inputs = self._integers(2)
        weights = self._tensor()
        self._shape()
        self._shape()
        self._integer()  # whether it has a bias: its parameters have to fit
        for _ in range(4):
            self._float()
        return Dense(weights.reshape(inputs, outputs))

    def _end_of_layer(self) -> None:
        """What every layer's record ends with: state of the training."""
        self._at += 3  # three truth values
        for _ in range(3):
            self._tensor()

    def _integer(self) -> int:
        """One byte with the number of bytes and the sign, then the bytes, little-endian."""
        head = self._data[self._at]
        start, end = self._at + 1, self._at + 1 + (head & 0x7F)
        value = int.from_bytes(self._data[start:end], "little")
        self._at = end
        return -value if head & 0x80 else value

    def _integers(self, count: int) -> list[int]:
        return [self._integer() for _ in range(count)]

    def _float(self) -> float:
        mantissa, exponent = self._integers(2)
        return float(mantissa) * 2.0**exponent

    def _string(self) -> str:
        length = self._integer()
        self._at += length
        return self._data[self._at - length : self._at].decode("ascii")

    def _shape(self) -> tuple[int, ...]:
        version, *shape = self._integers(5)
        if version != 1:
            raise ValueError(f"a shape of version {version}")
        return tuple(shape)

    def _tensor(self) -> Floats:
        version, *shape = self._integers(5)
        if version != 2:
            raise ValueError(f"a tensor of version {version}")
        count = int(np.prod(shape))
        values = np.frombuffer(self._data, "<f4", count, self._at)
        self._at += values.nbytes
        return values
