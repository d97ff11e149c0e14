"""The models of dlib that are read by dlib itself, known by the SHA-256 of their files.

Those that we read ourselves are in `worker.dlib_weights` and `worker.mmod_weights`. Whoever could
change such a file would decide who looks like whom.
"""

from pathlib import Path

from worker import dlib_weights, mmod_weights
from worker.dlib_weights import model_file, read_known

LANDMARKS = "shape_predictor_5_face_landmarks.dat"
#: All that face_recognition loads, whether it uses them or not.
KNOWN = {
    LANDMARKS: "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
    "shape_predictor_68_face_landmarks.dat": (
        "fbdc2cb80eb9aa7a758672cbfdda32ba6300efe9b6e6c7a299ff7e736b11b92f"
    ),
    dlib_weights.FILE: dlib_weights.SHA256,
    mmod_weights.FILE: mmod_weights.SHA256,
}


def known_file(name: str) -> Path:
    """The path of one of these. Raises Misconfigured when it is not the file we know."""
    path = model_file(name)
    read_known(path, KNOWN[name])
    return path


def check_all() -> None:
    """Raise Misconfigured unless all are the files we know."""
    for name in KNOWN:
        known_file(name)
