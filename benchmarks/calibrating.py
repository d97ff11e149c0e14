"""Makes facematch/calibration-dlib-1.npz out of the distribution of encodings, without any person.

`python -m benchmarks.calibrating [FILE]`. The same on every machine, but for rounding. Drawn faces
tell how many pairs of different people reach a score. Real people whom the distribution was not
fitted to reach it more often, the rarer it is: by how much is measured on people left out of a fit
(`measured`, by `benchmarks.rates`), and put right by two numbers for each curve.
"""

import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.mixture import fitted
from facematch import encoding_model as module
from facematch.calibration import Calibration, Curve, Floats
from facematch.encoding_model import EncodingModel, encoding_model
from facematch.faces import Encodings, distances

_COHORT, _FACES, _SEED = 16_000, 20_000, 1
#: The curve has these rates of which there are enough drawn pairs; the tail goes on from there.
_LOG_RATES, _FEWEST = np.round(np.arange(-7.0, 0.01, 0.1), 6), 10
_BLOCK = 500
#: Rates at which drawn and real people are compared, where so many pairs of the latter are there.
_COMPARED, _ENOUGH = np.arange(-4.0, -1.99, 0.25), 50
#: Of a face it is the distance to strangers that counts, the same for all faces.
_DISTANCES = np.arange(0.45, 0.651, 0.025)
#: From here on down the difference grows evenly; above, it fades.
_BEND = -2.0


@dataclass(frozen=True)
class Correction:
    """Real pairs are `10^level` times as many as drawn ones at a rate of 1 %, and `10^slope` times
    that for each power of ten below."""

    level: float
    slope: float

    def __call__(self, log_rates: Floats) -> Floats:
        """Of drawn pairs to real ones, base 10."""
        below = np.maximum(_BEND - log_rates, 0)
        fading = np.minimum(log_rates / _BEND, 1)
        return np.asarray(log_rates + self.level * fading + self.slope * below)


NONE = Correction(0.0, 0.0)
#: Of pairs, and of single faces: what `python -m benchmarks quality --part rates` printed.
SHIPPED = (Correction(-0.043, 0.115), Correction(-0.16, 0.3))


def calibrated(
    model: EncodingModel,
    corrections: tuple[Correction, Correction] = SHIPPED,
    *,
    cohort: int = _COHORT,
    faces: int = _FACES,
) -> Calibration:
    """The calibration that faces drawn from this model give."""
    rng = np.random.default_rng(_SEED)
    nobody = _rounded(model, model.draw(cohort, rng))
    drawn = model.draw(faces, rng)
    nothing = Curve(np.zeros(1), np.zeros(1), 0.0)
    found = Calibration("", nobody, nothing, nothing)
    pairs, single = _scores(found, drawn, np.arange(faces))
    return replace(found, pairs=_curve(pairs, corrections[0]), face=_curve(single, corrections[1]))


def measured(
    encodings: Encodings, people: NDArray[np.int64], parts: int, **sizes: int
) -> tuple[Correction, Correction]:
    """The corrections that people left out of a fit ask for: `encodings` (n, 128), one a picture,
    of `people` (n,), who are divided into so many parts, each judged by a fit to all others."""
    # Not the seed that divides them into halves elsewhere.
    part = np.random.default_rng(_SEED + 1).permutation(people.max() + 1)[people] % parts
    reached, pairs = np.zeros(len(_COMPARED)), 0
    near, told = np.zeros(len(_DISTANCES)), []
    for left_out in range(parts):
        seen, judged = part != left_out, part == left_out
        model = fitted(encodings[seen], people[seen], _SEED)
        found = calibrated(model, (NONE, NONE), **sizes)
        scores = _scores(found, encodings[judged], people[judged])[0]
        logs = np.log10(found.pairs.rates(scores))
        reached += [(logs <= rate).sum() for rate in _COMPARED]
        pairs += len(scores)
        near += _strangers_near(encodings[judged], people[judged])
        chances = [found.within(far, found.norms(encodings[judged])) for far in _DISTANCES]
        others = judged.sum() - np.bincount(people[judged])[people[judged]]
        told.append((np.log10(chances), others))
    return _of_pairs(reached, pairs), _of_faces(near, told)


def _of_pairs(reached: Floats, pairs: int) -> Correction:
    """The line through how much more often each rate was reached."""
    enough = reached >= _ENOUGH
    if enough.sum() < 3:
        return NONE
    more = np.log10(reached[enough] / pairs) - _COMPARED[enough]
    slope, level = np.polyfit(_BEND - _COMPARED[enough], more, 1)
    return Correction(round(float(level), 3), round(float(slope), 3))


def _of_faces(near: Floats, told: Sequence[tuple[Floats, NDArray[np.int64]]]) -> Correction:
    """That by which there are as many strangers within each distance as is told: of the parts the
    chances (base 10, by distance and face) of one stranger, and how many there are of each."""
    enough = near >= _ENOUGH
    best, least = NONE, np.inf
    for level, slope in itertools.product(np.arange(-0.4, 0.41, 0.02), np.arange(-0.1, 0.51, 0.02)):
        tried = Correction(round(float(level), 3), round(float(slope), 3))
        expected = sum((10.0 ** tried(logs) * others).sum(axis=1) for logs, others in told)
        off = float(np.square(np.log(near[enough] / expected[enough])).sum())
        if off < least:
            best, least = tried, off
    return best


def _strangers_near(faces: Encodings, people: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many pairs of a face with a stranger's are within each distance, both ways."""
    counts = np.zeros(len(_DISTANCES), dtype=np.int64)
    for start in range(0, len(faces), _BLOCK):
        rows = slice(start, start + _BLOCK)
        apart = distances(faces[rows], faces)[people[rows, None] != people]
        counts += [(apart <= far).sum() for far in _DISTANCES]
    return counts


def write(path: Path) -> None:
    """Write the file of the calibration that comes with facematch."""
    model = encoding_model()
    found = calibrated(model)
    arrays: dict[str, Any] = {"cohort": _coordinates(model, found.cohort)}
    for name, curve in (("pair", found.pairs), ("face", found.face)):
        arrays |= {f"{name}_scores": curve.scores, f"{name}_log_rates": curve.log_rates}
        arrays |= {f"{name}_tail": np.asarray(curve.tail)}
    np.savez_compressed(path, **arrays)


def _coordinates(model: EncodingModel, faces: Encodings) -> NDArray[np.float16]:
    return ((faces - model.mean) @ model.basis).astype(np.float16)


def _rounded(model: EncodingModel, faces: Encodings) -> Encodings:
    """As the file keeps them: it is half as large, and they are nobody's."""
    kept = _coordinates(model, faces).astype(np.float64)
    return np.asarray((model.mean + kept @ model.basis.T).astype(np.float32))


def _scores(
    found: Calibration, faces: Encodings, people: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Of faces (n, 128) of `people` (n,): the scores of all pairs of two people, and of every
    fourth face with each that is somebody else's."""
    norms = np.asarray(found.norms(faces), dtype=np.float64)
    wide = faces.astype(np.float64)
    squares, every = np.square(wide).sum(axis=1), np.arange(len(faces))
    pairs, single = [], []
    for start in range(0, len(faces), _BLOCK):
        rows = slice(start, start + _BLOCK)
        own, other = norms[rows], people != people[rows, None]
        apart = squares[rows, None] + squares - 2 * wide[rows] @ wide.T
        apart = np.sqrt(np.maximum(apart, 0))
        of_one = (apart - own[:, :1]) / own[:, 1:]
        of_both = (of_one + (apart - norms[:, 0]) / norms[:, 1]) / 2
        pairs.append(of_both[other & (every > every[rows, None])].astype(np.float32))
        single.append(of_one[::4][other[::4]].astype(np.float32))
    return np.concatenate(pairs), np.concatenate(single)


def _curve(scores: NDArray[np.float32], correct: Correction) -> Curve:
    """The rate at each score, and how it goes on below the first."""
    scores.sort()
    known = correct(_LOG_RATES[np.log10(_FEWEST / len(scores)) <= _LOG_RATES])
    logs = _LOG_RATES[-len(known) :]
    ranks = np.minimum(10.0**logs * len(scores), len(scores)).astype(np.int64) - 1
    at = np.maximum.accumulate(scores[ranks].astype(np.float64))
    return Curve(at, known, float((known[10] - known[0]) / (at[10] - at[0])))


if __name__ == "__main__":
    here = Path(module.__file__).with_name("calibration-dlib-1.npz")
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else here)
