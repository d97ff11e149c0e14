"""The encoder against face_recognition: speed, memory, and that both say the same."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from benchmarks.looking import DEFAULT_LIMITS, look_at_all, looker
from benchmarks.pairs import changed_decisions
from benchmarks.pictures import Group, Reference, group, sample
from benchmarks.pod import Pod, pod
from benchmarks.processes import memory_of, on_cores
from benchmarks.report import Measure, Report
from benchmarks.turns import in_turns
from facematch.faces import DEFAULT_THRESHOLD
from facematch.progress import on
from facematch.startup import usable_cores
from facematch.store import State
from worker.decode import decode
from worker.dlib_encoder import DlibEncoder
from worker.dlib_weights import model_file
from worker.looking import DirectLooker, PictureLimits
from worker.network import BATCH
from worker.onnx_encoder import OnnxEncoder

_BASELINE = "face_recognition"
_PARITY = 1e-4
_MEBI = 1 << 20
_SLOTS = 2
#: Pictures between two looks at the memory.
_PORTION = 100
#: Everything as it comes: face_recognition looks at every pixel.
_UNLIMITED = PictureLimits(max_pixels=10**9, max_side=0, max_faces=10**6)


def run(reference: Reference, rounds: int, short: bool) -> Report:
    """Measure everything. `short`: few pictures, and only parity counts."""
    report = Report("encode", {"pictures": reference.exists, "rounds": rounds, "short": short})
    pictures = sample(reference, 8 if short else 40, seed=1)
    _chips(report, pictures, rounds)
    small, large = "250×250 picture", "12-megapixel picture with a face of 200 pixels"
    _pictures(report, small, pictures[:8], max(1, rounds // 4), (3, 4))
    picture = group(reference, [200], 3, 4000, 3000)
    _found(report, picture)
    _pictures(report, large, [picture.data], max(1, rounds // 8), (5, 10))
    with tempfile.TemporaryDirectory() as folder, pod(Path(folder)) as service:
        _cold_start(report, service, pictures[0], 1 if short else 5)
        _memory(report, service, sample(reference, 50, seed=4), 100 if short else 10_000)
    _cores(report, sample(reference, 20 if short else 400, seed=2), 1 if short else 3)
    if short:
        report.checks.clear()
    if reference.exists:
        _parity(report, reference, range(0, len(reference.files), 200 if short else 1))
    else:
        print("No reference encodings, so parity is not checked: --data")
    return report


def _chips(report: Report, pictures: Sequence[bytes], rounds: int) -> None:
    import dlib

    ours = OnnxEncoder()
    crops = [ours.find(decode(data, 10**8).pixels, 1).crops for data in pictures]
    chips = np.concatenate(crops * BATCH)[:BATCH]
    theirs = dlib.face_recognition_model_v1(str(model_file()))
    taken = in_turns(
        {
            "one": lambda: ours.encode(chips[:1]),
            "batch": lambda: ours.encode(chips),
            "theirs": lambda: theirs.compute_face_descriptor(chips[0]),
        },
        rounds,
    )
    baseline = taken["theirs"] * 1000
    name = "face chip to encoding, one thread"
    report.at_least(Measure(name, taken["one"] * 1000, "ms", _BASELINE, baseline), 10, 16)
    each = taken["batch"] * 1000 / BATCH
    report.measures.append(Measure(f"{name}, batch of {BATCH}", each, "ms", _BASELINE, baseline))


def _pictures(
    report: Report, what: str, pictures: Sequence[bytes], rounds: int, goals: tuple[float, float]
) -> None:
    ours = DirectLooker(OnnxEncoder(max_side=DEFAULT_LIMITS.max_side), DEFAULT_LIMITS)
    theirs = DirectLooker(DlibEncoder(), _UNLIMITED)
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
    looker = DirectLooker(OnnxEncoder(max_side=DEFAULT_LIMITS.max_side), DEFAULT_LIMITS)
    rows = picture.found_in(looker.look(picture.data).faces)
    name = "the face of 200 pixels in 12 megapixels is found"
    report.require(name, rows == [0], f"{len(rows)} of 1")


def _cold_start(report: Report, service: Pod, picture: bytes, starts: int) -> None:
    """From nothing to the first job done, models in the cache."""
    seconds = []
    for number in range(starts):
        jobs = service.submit([_variant(picture, number)])
        start = time.perf_counter()
        with service.worker(slots=str(_SLOTS)):
            service.wait(jobs)
            seconds.append(time.perf_counter() - start)
    name = "cold start of a worker to its first job done"
    report.at_most(Measure(name, float(np.median(seconds)), "s"), 2.5)


def _memory(report: Report, service: Pod, pictures: Sequence[bytes], count: int) -> None:
    """Of a worker after the first tenth of so many pictures, and after all."""
    used, failed = [], 0
    with service.worker(slots=str(_SLOTS)) as pid, closing(on(sys.stderr, "pictures")) as shown:
        for done in range(0, count, _PORTION):
            portion = [
                _variant(pictures[number % len(pictures)], 1000 + number)
                for number in range(done, done + _PORTION)
            ]
            jobs = service.wait(service.submit(portion))
            failed += sum(job.state is not State.DONE for job in jobs)
            used.append(memory_of(pid) / _MEBI)
            shown.update(done + _PORTION, count)
    report.require("every picture is done", not failed, f"{failed} of {count:,} failed")
    # One process of theirs looks at one picture at a time.
    theirs = _SLOTS * _memory_of_face_recognition(pictures[0]) / _MEBI
    measure = Measure(
        "memory of a worker with two slots", used[-1], "MiB", f"2 × {_BASELINE}", theirs
    )
    report.at_most(measure, 700, 450)
    early = used[(len(used) - 1) // 10]
    name = f"memory after {count:,} pictures, over that after a tenth"
    report.at_most(Measure(name, used[-1] / early, ""), 1.05)


def _variant(picture: bytes, number: int) -> bytes:
    """The same picture as another image: what follows the end of a JPEG is not looked at."""
    return picture + number.to_bytes(4, "little")


def _memory_of_face_recognition(picture: bytes) -> int:
    code = (
        "import sys\n"
        "from worker.dlib_encoder import DlibEncoder\n"
        "from worker.looking import DirectLooker, PictureLimits\n"
        "looker = DirectLooker(DlibEncoder(), PictureLimits(10**9, 0, 100))\n"
        "looker.look(sys.stdin.buffer.read())\n"
        "print(flush=True)\n"
        "sys.stdin.close()\n"
        "import time; time.sleep(60)\n"
    )
    root = Path(__file__).parents[1]
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=root,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(picture)
        process.stdin.close()
        process.stdout.readline()
        used = memory_of(process.pid)
        process.kill()
    return used


def _cores(report: Report, pictures: Sequence[bytes], rounds: int) -> None:
    if usable_cores() < _SLOTS:
        print("One core, so two are not compared with it")
        return
    rates: dict[int, list[float]] = {1: [], _SLOTS: []}
    for _ in range(rounds):
        for cores, found in rates.items():
            found.append(_rate(pictures, cores))
    one, two = (float(np.median(rates[cores])) for cores in (1, _SLOTS))
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
