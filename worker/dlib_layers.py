"""Reads the layers of a network from a file that dlib wrote.

The format is that of dlib's `serialize` (dlib/serialize.h, dlib/dnn/core.h, dlib/dnn/layers.h,
dlib/cuda/tensor_tools.cpp): first the versions of the nested layers, then each layer's own record,
innermost first, which is the order in which data flows. Used by `worker.dlib_weights` and
`worker.mmod_weights`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from worker.dlib_numbers import NumberReader

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


class LayerReader(NumberReader):
    """See NumberReader."""

    what = "network"

    def __init__(self, data: bytes, start: bytes) -> None:
        """Begins behind the first place where `start` is."""
        super().__init__(data, data.find(start) + len(start))
        if self._at < len(start):
            raise ValueError("no network with a picture as its input")

    def layers(self) -> tuple[Layer, ...]:
        """All that follow: a network ends where its file ends."""
        layers: list[Layer] = []
        while self._at < len(self._data):
            layers.append(self._layer())
            self._end_of_layer()
            if len(layers) == 1:
                self.integer()  # pictures of one sample, which only the innermost layer tells
        if self._at > len(self._data):
            raise ValueError("the last layer is cut off")
        return tuple(layers)

    def _layer(self) -> Layer:
        name = self._string()
        read: dict[str, Callable[[], Layer]] = {
            "con_4": self._convolution,
            "affine_": self._affine,
            "bn_con2": self._normalisation,
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
            self.real()
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
        self.integer()  # its mode
        scale, shift = np.split(values, 2)
        return Affine(scale, shift)

    def _normalisation(self) -> Affine:
        """What dlib makes of batch normalisation where nothing is learnt any more."""
        values = self._tensor()
        self._shape()
        self._shape()
        self._tensor()
        self._tensor()
        means, variances = self._tensor(), self._tensor()
        self._integers(2)  # how many means went into these
        for _ in range(4):
            self.real()
        scale, shift = np.split(values, 2)
        scale = scale / np.sqrt(variances + np.float32(self.real()))
        return Affine(scale, shift - scale * means)

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
        self.integer()  # whether it has a bias: its parameters have to fit
        for _ in range(4):
            self.real()
        return Dense(weights.reshape(inputs, outputs))

    def _end_of_layer(self) -> None:
        """What every layer's record ends with: state of the training."""
        self._at += 3  # three truth values
        for _ in range(3):
            self._tensor()

    def _integers(self, count: int) -> list[int]:
        return [self.integer() for _ in range(count)]

    def _string(self) -> str:
        length = self.integer()
        self._at += length
        return self._data[self._at - length : self._at].decode("ascii", "replace")

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
