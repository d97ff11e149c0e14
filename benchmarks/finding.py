"""What each setting of detector and size finds, and what it costs: for `benchmarks.quality`."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from benchmarks.looking import DEFAULT_LIMITS, direct
from benchmarks.pictures import Group, Reference, group, jpeg, sample
from benchmarks.report import Measure, Report
from facematch.faces import Box, Face, distances
from worker.dlib_encoder import DlibEncoder
from worker.looking import DirectLooker, Looked

Faces = Mapping[int, Face]

#: Heights of the faces in a group picture of twelve megapixels.
_SIDES = (50, 70, 100, 140, 180, 220)
_OF_EACH = 5
#: Looked at before anything is timed, so that the models are loaded.
_SMALL = jpeg(Image.new("RGB", (80, 80)))
#: dlib's own network takes a second and a half even for a portrait.
_BASELINE = "face_recognition"
_SIZES = (0, 3200, 2400, 1600, 1200, 800)
#: The network takes seconds for two megapixels, so it sees the fewest pictures.
_CNN_SIZES = (1600, 800)


def measure_finding(report: Report, reference: Reference, short: bool) -> None:
    """Add to the report what each setting finds in portraits and in large group pictures."""
    sides = [side for side in _SIDES for _ in range(_OF_EACH)]
    groups = [group(reference, sides, seed, 4000, 3000) for seed in range(1 if short else 4)]
    portraits = sample(reference, 20 if short else 200, seed=5)
    _portraits(report, portraits, [] if short else reference.without_face(), 2 if short else 20)
    full: Sequence[Faces] = []
    for max_side in _SIZES[:1] + _SIZES[3:4] if short else _SIZES:
        full = _groups(report, groups, "hog", max_side, full)
    for max_side in () if short else _CNN_SIZES:
        _groups(report, groups[:1], "cnn", max_side, full)


def _portraits(
    report: Report, portraits: Sequence[bytes], missed: Sequence[bytes], few: int
) -> None:
    """In 250×250 no size is made smaller, so only the detectors differ. `missed`: portraits in
    which dlib's HOG detector finds nobody."""
    theirs, slow = _timed(DirectLooker(DlibEncoder("cnn"), DEFAULT_LIMITS), portraits[:few])
    for detector, baseline in (("hog", None), ("cnn", slow * 1000)):
        looker = direct(detector)
        found, seconds = _timed(looker, portraits)
        name = f"{detector}: one portrait of 250×250 pixels"
        against = _BASELINE if baseline else ""
        report.measures.append(Measure(name, seconds * 1000, "ms", against, baseline))
        if missed:
            name = f"{detector}: portraits in which hog finds nobody, with a face"
            report.measures.append(Measure(name, _with_face(looker, missed), ""))
    same = [_boxes(one) == _boxes(other) for one, other in zip(found, theirs, strict=False)]
    report.measures.append(Measure("cnn: portraits with dlib's boxes", float(np.mean(same)), ""))


def _with_face(looker: DirectLooker, pictures: Sequence[bytes]) -> float:
    return float(np.mean([bool(looker.look(data).faces) for data in pictures]))


def _boxes(seen: Looked) -> list[Box]:
    return [face.box for face in seen.faces]


def _groups(
    report: Report, groups: Sequence[Group], detector: str, max_side: int, full: Sequence[Faces]
) -> Sequence[Faces]:
    """What this setting makes of the groups: the planted faces that it finds, by their rows.
    `full`: those that are found at full size."""
    looker = direct(detector, replace(DEFAULT_LIMITS, max_side=max_side))
    found, seconds = _timed(looker, [one.data for one in groups])
    setting = f"{detector}, {max_side or 'full size'}"
    rows = [one.found_in(seen.faces) for one, seen in zip(groups, found, strict=True)]
    for number, side in enumerate(_SIDES):
        planted = range(number * _OF_EACH, (number + 1) * _OF_EACH)
        rate = float(np.mean([sum(row in planted for row in seen) / _OF_EACH for seen in rows]))
        report.measures.append(Measure(f"{setting}: faces of {side} pixels found", rate, ""))
    false = sum(len(seen.faces) - len(row) for seen, row in zip(found, rows, strict=True))
    report.measures.append(Measure(f"{setting}: other places taken for faces", false, ""))
    report.measures.append(Measure(f"{setting}: one picture", seconds * 1000, "ms"))
    if full:
        name = f"{setting}: median distance of an encoding to that at full size"
        report.measures.append(Measure(name, _apart(rows, full), ""))
    return full or rows


def _timed(looker: DirectLooker, pictures: Sequence[bytes]) -> tuple[list[Looked], float]:
    """What is seen, and the seconds for each picture; the models are loaded before."""
    looker.look(_SMALL)
    start = time.perf_counter()
    found = [looker.look(data) for data in pictures]
    return found, (time.perf_counter() - start) / len(pictures)


def _apart(found: Sequence[Faces], full: Sequence[Faces]) -> float:
    """Of the encodings of a face that both have found: the median of their distances."""
    apart = [
        distances(seen[row].encoding[None], whole[row].encoding[None]).item()
        for seen, whole in zip(found, full, strict=False)
        for row in seen.keys() & whole.keys()
    ]
    return float(np.median(apart)) if apart else float("nan")
