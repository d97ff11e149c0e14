"""How well faces are found with each setting, told apart by both encoders, and by the false match
rates of `benchmarks.rates`, and grouped into people.

For both encoders LFW's pairs protocol on the pictures given: all pairs of one person, and ten times
as many pairs of two people drawn with a fixed seed. Of a picture with several faces the one
nearest its middle counts, as LFW means it; pictures in which no face is found are left out, and
counted.
"""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.bounds import measure_bounds
from benchmarks.finding import measure_finding
from benchmarks.looking import look_at_all, looker
from benchmarks.mirrored import measure_mirrored
from benchmarks.pairs import different_people, pair_distances, same_person
from benchmarks.people import measure_people
from benchmarks.pictures import Reference
from benchmarks.rates import measure_rates
from benchmarks.report import Measure, Report
from benchmarks.served import measure_served
from facematch.faces import DEFAULT_THRESHOLD, Encodings, Face
from facematch.startup import usable_cores
from worker.looking import Looked

_SEED = 20
_DIFFERENT_PER_SAME = 10
_BASELINE = "face_recognition"
_DIGITS = 4


class Part(StrEnum):
    """What may be measured alone."""

    FINDING = "finding"
    PAIRS = "pairs"
    RATES = "rates"
    BOUNDS = "bounds"
    MIRRORED = "mirrored"
    PEOPLE = "people"
    SERVED = "served"


def run(
    reference: Reference, parts: Sequence[Part], short: bool, same: Path | None = None
) -> Report:
    """Measure these parts; both encoders on all pictures, `short`: on every twentieth person.
    `same`: see benchmarks.rates."""
    options = {"pictures": reference.exists, "parts": list(parts), "short": short, "seed": _SEED}
    report = Report("quality", options | {"same": same is not None})
    if Part.FINDING in parts:
        measure_finding(report, reference, short)
    if not reference.exists:
        print("No pictures of people, so no pairs are compared: --data")
        return report
    if Part.RATES in parts:
        measure_rates(report, reference, short, same)
    if Part.BOUNDS in parts:
        measure_bounds(report, reference, short)
    if Part.MIRRORED in parts:
        measure_mirrored(report, reference, short)
    if Part.PEOPLE in parts:
        measure_people(report, reference, short)
    if Part.SERVED in parts:
        measure_served(report, reference, short)
    if Part.PAIRS in parts:
        _measure_pairs(report, reference, short)
    return report


def _measure_pairs(report: Report, reference: Reference, short: bool) -> None:
    files = [reference.path(row) for row in range(len(reference.files))]
    people = np.unique([file.parent.name for file in files], return_inverse=True)[1]
    if short:
        chosen = np.flatnonzero(people % 20 == 0)
        files, people = [files[row] for row in chosen], people[chosen]
    found = {encoder: _encoded(files, encoder) for encoder in ("onnx", "dlib")}
    shown = {encoder: _shown(seen, people) for encoder, seen in found.items()}
    for name in shown["onnx"]:
        one, other = shown["onnx"][name], shown["dlib"][name]
        more = name.startswith(("accuracy", "one person"))
        report.measures.append(Measure(name, one, "", _BASELINE, other, more))
        if name.startswith("accuracy"):
            same = round(one, _DIGITS) == round(other, _DIGITS)
            detail = f"{one:.{_DIGITS + 2}f} and {other:.{_DIGITS + 2}f}"
            report.require(f"{name} to {_DIGITS} digits", same, detail)


def _encoded(files: Sequence[Path], encoder: str) -> list[Encodings | None]:
    """The encoding of each picture's person; None where no face is found."""
    slots = usable_cores()
    with looker(slots, encoder) as eyes:
        return [_person(seen) for seen in look_at_all(eyes, slots, files)]


def _person(seen: Looked) -> Encodings | None:
    def off_centre(face: Face) -> float:
        across = face.box.left + face.box.right - seen.width
        down = face.box.top + face.box.bottom - seen.height
        return float(across**2 + down**2)

    return min(seen.faces, key=off_centre).encoding if seen.faces else None


def _shown(seen: Sequence[Encodings | None], people: NDArray[np.int64]) -> dict[str, float]:
    with_face = [row for row, encoding in enumerate(seen) if encoding is not None]
    encodings = np.stack([encoding for encoding in seen if encoding is not None])
    people = people[with_face]
    same = same_person(people)
    different = different_people(people, _DIFFERENT_PER_SAME * len(same), _SEED)
    near, far = pair_distances(encodings, same), pair_distances(encodings, different)
    threshold, best = _best(near, far)
    return {
        "pictures with a face": len(with_face),
        "pairs of one person": len(near),
        "pairs of two people": len(far),
        f"accuracy at {DEFAULT_THRESHOLD:g}": _accuracy(near, far, DEFAULT_THRESHOLD),
        "accuracy at the best threshold": best,
        "the best threshold": threshold,
        f"one person matched at {DEFAULT_THRESHOLD:g}": float((near <= DEFAULT_THRESHOLD).mean()),
        f"two people matched at {DEFAULT_THRESHOLD:g}": float((far <= DEFAULT_THRESHOLD).mean()),
    }


def _accuracy(near: NDArray[np.float64], far: NDArray[np.float64], threshold: float) -> float:
    """The part of all pairs that is decided rightly."""
    right = (near <= threshold).sum() + (far > threshold).sum()
    return float(right / (len(near) + len(far)))


def _best(near: NDArray[np.float64], far: NDArray[np.float64]) -> tuple[float, float]:
    """The threshold, in steps of a thousandth, with the highest accuracy."""
    thresholds = np.arange(0.3, 0.8, 0.001)
    accuracies = [_accuracy(near, far, threshold) for threshold in thresholds]
    best = int(np.argmax(accuracies))
    return float(thresholds[best]), accuracies[best]
