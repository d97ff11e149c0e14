"""The encoder against face_recognition: speed, memory, and that both say the same."""

import subprocess
import sys
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.footprint import measure_footprint
from benchmarks.looking import UNLIMITED, direct, look_at_all, looker
from benchmarks.pairs import changed_decisions
from benchmarks.pictures import Group, Reference, group, sample
from benchmarks.pod import ROOT
from benchmarks.processes import on_cores
from benchmarks.report import Measure, Report
from benchmarks.turns import in_turns
from facematch.faces import DEFAULT_THRESHOLD
from facematch.startup import usable_cores
from worker.decode import decode
from worker.dlib_encoder import DlibEncoder
from worker.dlib_weights import model_file
from worker.looking import DirectLooker
from worker.onnx_encoder import OnnxEncoder

_BASELINE = "face_recognition"
_PARITY = 1e-4
_TWO = 2


def run(reference: Reference, rounds: int, short: bool) -> Report:
    """Measure everything. `short`: few pictures, and only parity counts."""
    report = Report("encode", {"pictures": reference.exists, "rounds": rounds, "short": short})
    pictures = sample(reference, 2 if short else 40, seed=1)
    _compile(report)
    # While this process has loaded nothing that a worker has: it would share the memory.
    measure_footprint(report, pictures[0], sample(reference, 5 if short else 50, seed=4), short)
    _chips(report, pictures, rounds)
    small, large = "250×250 picture", "12-megapixel picture with a face of 200 pixels"
    _pictures(report, small, pictures[:8], max(1, rounds // 4), (3, 4))
    picture = group(reference, [200], 3, 4000, 3000)
    _found(report, picture)
    _pictures(report, large, [picture.data], max(1, rounds // 8), (5, 10))
    _cores(report, sample(reference, 4 if short else 400, seed=2), 1 if short else 3)
    if short:
        report.checks.clear()
    if reference.exists:
        _parity(report, reference, range(0, len(reference.files), 200 if short else 1))
    else:
        print("No reference encodings, so parity is not checked: --data")
    return report


def _compile(report: Report) -> None:
    """Otherwise a machine's first run begins with dlib's own detector, and beside a compiler."""
    done = subprocess.run([sys.executable, "-P", "-m", "worker.hog"], cwd=ROOT, check=False)
    report.require("the face detector is compiled", done.returncode == 0, f"{done.returncode}")


def _chips(report: Report, pictures: Sequence[bytes], rounds: int) -> None:
    import dlib

    from worker.network import BATCH

    ours = OnnxEncoder()
    crops = [ours.find(decode(data, 10**8).pixels, 1).crops for data in pictures]
    chips = np.concatenate(crops * BATCH)[:BATCH]
    theirs = dlib.face_recognition_model_v1(str(model_file()))
    taken = in_turns(
        {
            "one": lambda: ours.encode(chips[:1]),
            "batch": lambda: ours.encode(chips),
            "theirs": lambda: theirs.compute_face_descriptor(chips[0]),
            "their batch": lambda: theirs.compute_face_descriptor(list(chips)),
        },
        rounds,
    )
    baseline = taken["theirs"] * 1000
    name = "face chip to encoding, one thread"
    report.at_least(Measure(name, taken["one"] * 1000, "ms", _BASELINE, baseline), 10, 16)
    each, theirs_each = (taken[who] * 1000 / BATCH for who in ("batch", "their batch"))
    report.measures.append(Measure(f"{name}, batch of {BATCH}", each, "ms", _BASELINE, theirs_each))


def _pictures(
    report: Report, what: str, pictures: Sequence[bytes], rounds: int, goals: tuple[float, float]
) -> None:
    ours, theirs = direct(), DirectLooker(DlibEncoder(), UNLIMITED)
    taken = in_turns(
        {
            "ours": lambda: [ours.look(data) for data in pictures],
            "theirs": lambda: [theirs.look(data) for data in pictures],
        },
        rounds,
    )
    one, other = (taken[who] / len(pictures) * 1000 for who in ("ours", "theirs"))
    name = f"{what} to encodings, one core"
    report.at_least(Measure(name, one, "ms", _BASELINE, other), *goals)


def _found(report: Report, picture: Group) -> None:
    rows = picture.found_in(direct().look(picture.data).faces)
    name = "the face of 200 pixels in 12 megapixels is found"
    report.require(name, list(rows) == [0], f"{len(rows)} of 1")


def _cores(report: Report, pictures: Sequence[bytes], rounds: int) -> None:
    if usable_cores() < _TWO:
        print("One core, so two are not compared with it")
        return
    rates: dict[int, list[float]] = {1: [], _TWO: []}
    for _ in range(rounds):
        for cores, found in rates.items():
            found.append(_rate(pictures, cores))
    one, two = (float(np.median(rates[cores])) for cores in (1, _TWO))
    name = "pictures per second, two cores"
    measure = Measure(name, two, "1/s", "one core", one, more_is_better=True)
    report.at_least(measure, 1.8)


def _rate(pictures: Sequence[bytes], cores: int) -> float:
    with on_cores(cores), looker(cores) as eyes:
        eyes.look(pictures[0])
        start = time.perf_counter()
        look_at_all(eyes, cores, pictures)
        return len(pictures) / (time.perf_counter() - start)


def _parity(report: Report, reference: Reference, rows: range) -> None:
    """Everything that the reference has, looked at as a worker does."""
    slots = usable_cores()
    with looker(slots) as eyes:
        found = look_at_all(eyes, slots, [reference.path(row) for row in rows])
    wanted = np.isin(reference.images, list(rows))
    boxes = [
        (row, box.top, box.right, box.bottom, box.left)
        for row, seen in zip(rows, found, strict=True)
        for box in (face.box for face in seen.faces)
    ]
    stored = np.column_stack([reference.images, reference.boxes])[wanted].tolist()
    same = [list(box) for box in boxes] == stored
    detail = f"{len(boxes):,} found, {len(stored):,} in the reference"
    report.require("parity: the same boxes in the same order", same, detail)
    if not same:
        return
    ours = np.stack([face.encoding for seen in found for face in seen.faces])
    theirs = reference.encodings[wanted]
    apart = float(np.abs(ours - theirs).max())
    report.measures.append(Measure("largest difference of one number", apart, ""))
    detail = f"{apart:.2g} over {len(ours):,} faces, must {_PARITY:g}"
    report.require("parity: every number", apart <= _PARITY, detail)
    pairs, changed, far = changed_decisions(ours, theirs, DEFAULT_THRESHOLD, _PARITY)
    detail = f"{far} of {pairs:,} pairs changed ({changed} within {_PARITY:g} of the threshold)"
    report.require("parity: every decision", far == 0, detail)
