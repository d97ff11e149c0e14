"""What it would bring, and cost, to average the encoding of a face with that of its mirror image.

The plain encodings, and with them the distance, would stay what they are; the averaged ones would
be kept beside them, for false match rates alone. For `benchmarks.quality`; judged as in
`benchmarks.rates`.
"""

import sys
import time
from contextlib import closing

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.calibrating import NONE, calibrated
from benchmarks.mixture import fitted
from benchmarks.pictures import Reference
from benchmarks.rates import FOUND, found_at, halves_of, judged, person_numbers
from benchmarks.report import Measure, Report, Table
from facematch import progress
from facematch.faces import Encodings, Pixels
from worker.onnx_encoder import OnnxEncoder

_SEED, _FEW, _BATCH = 1, 4000, 16


def measure_mirrored(report: Report, reference: Reference, short: bool) -> None:
    """Add it to the report; `short`: of every fourth person's pictures."""
    chips, people = _chips(reference, short)
    encoder = OnnxEncoder()
    encoder.encode(chips[:_BATCH])
    start = time.process_time()
    plain = encoder.encode(chips)
    once = (time.process_time() - start) / len(chips) * 1000
    mirrored = encoder.encode(np.ascontiguousarray(chips[:, :, ::-1]))
    averaged = np.asarray((plain.astype(np.float64) + mirrored) / 2, dtype=np.float32)
    name = "mirrored: encoding a face a second time"
    report.measures.append(Measure(name, once, "ms of one core"))
    found = {"plain": _found(plain, people), "averaged": _found(averaged, people)}
    header = ("encoding", "scored", *(f"found at {rate:.0e}" for rate in FOUND))
    rows = [
        (name, f"half {half + 1}", *(f"{value:.3f}" for value in values))
        for name, halves in found.items()
        for half, values in enumerate(halves)
    ]
    report.tables.append(Table(header, rows))
    for number, rate in enumerate(FOUND):
        ours, theirs = (
            float(np.mean([half[number] for half in found[name]])) for name in ("averaged", "plain")
        )
        name = f"mirrored: found at false match rate {rate:.0e}"
        report.measures.append(Measure(name, ours, "", "plain encodings", theirs, True))


def _found(encodings: Encodings, people: NDArray[np.int64]) -> list[list[float]]:
    """Of each half of the people, judged by the other: the part found at each rate."""
    found = []
    for learnt, left_out in halves_of(people):
        model = fitted(encodings[learnt], people[learnt], _SEED)
        own = calibrated(model, (NONE, NONE), faces=_FEW)
        seen = judged(own, encodings[left_out], people[left_out])
        found.append([found_at(seen.near, seen.far, rate) for rate in FOUND])
    return found


def _chips(reference: Reference, short: bool) -> tuple[Pixels, NDArray[np.int64]]:
    """Of each picture with a face that nearest to the middle, cut out, and whose it is."""
    finder, chips, people = OnnxEncoder(), [], []
    numbers = person_numbers(reference)
    rows = [row for row in range(len(reference.files)) if not short or numbers[row] % 4 == 0]
    with closing(progress.on(sys.stderr, "pictures")) as shown:
        for done, row in enumerate(rows, 1):
            pixels = np.asarray(Image.open(reference.path(row)).convert("RGB"))
            seen = finder.find(pixels, 100)
            if len(seen.boxes):
                off = [
                    (box.left + box.right - pixels.shape[1]) ** 2
                    + (box.top + box.bottom - pixels.shape[0]) ** 2
                    for box in seen.boxes
                ]
                chips.append(seen.crops[int(np.argmin(off))])
                people.append(numbers[row])
            shown.update(done, len(rows))
    return np.stack(chips), np.array(people)
