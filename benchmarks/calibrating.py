"""Makes facematch/calibration-dlib-1.npz out of the distribution of encodings, without any person.

`python -m benchmarks.calibrating [FILE]`. The same on every machine, but for rounding.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facematch import encoding_model as module
from facematch.calibration import Calibration, Curve, Floats
from facematch.encoding_model import encoding_model
from facematch.faces import distances

_COHORT, _FACES, _SEED = 4000, 20_000, 1
_LOG_RATES = np.round(np.arange(-7.0, 0.01, 0.1), 6)
_BLOCK = 500


def make(path: Path) -> None:
    """Write the file."""
    model, rng = encoding_model(), np.random.default_rng(_SEED)
    cohort = model.draw(_COHORT, rng)
    faces = model.draw(_FACES, rng)
    nothing = Curve(np.zeros(1), np.zeros(1), 0.0)
    norms = np.asarray(Calibration("", cohort, nothing, nothing).norms(faces), dtype=np.float64)
    pair_scores, face_scores = [], []
    for start in range(0, len(faces), _BLOCK):
        own = norms[start : start + _BLOCK]
        apart = distances(faces[start : start + _BLOCK], faces)
        of_one = (apart - own[:, :1]) / own[:, 1:]
        of_both = (of_one + (apart - norms[:, 0]) / norms[:, 1]) / 2
        others = np.arange(len(faces)) != np.arange(start, start + len(own))[:, None]
        later = np.arange(len(faces)) > np.arange(start, start + len(own))[:, None]
        face_scores.append(of_one[others].astype(np.float32))
        pair_scores.append(of_both[later].astype(np.float32))
    arrays: dict[str, Any] = {"cohort": ((cohort - model.mean) @ model.basis).astype(np.float32)}
    for name, scores in (("pair", pair_scores), ("face", face_scores)):
        at, tail = _curve(np.concatenate(scores))
        arrays |= {f"{name}_scores": at, f"{name}_log_rates": _LOG_RATES, f"{name}_tail": tail}
    np.savez_compressed(path, **arrays)


def _curve(scores: NDArray[np.float32]) -> tuple[Floats, Floats]:
    """The score at each of _LOG_RATES, and the slope below the first."""
    scores.sort()
    ranks = np.clip(10.0**_LOG_RATES * len(scores) - 1, 0, len(scores) - 1).astype(np.int64)
    at = np.maximum.accumulate(scores[ranks].astype(np.float64))
    return at, np.asarray((_LOG_RATES[10] - _LOG_RATES[0]) / (at[10] - at[0]))


if __name__ == "__main__":
    here = Path(module.__file__).with_name("calibration-dlib-1.npz")
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else here)
