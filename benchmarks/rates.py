"""How many pairs of one person are found at a false match rate, and whether the rate that is told
is the one that is seen: for `benchmarks.quality`.

Judged by people who are behind no fitted number: the distribution of encodings, the calibration
made of it and its corrections are fitted to one half of the people, and the other half judges; then
the other way round. In each picture the face nearest to the middle counts. The baseline is the
plain distance. What comes with facematch was fitted to all of these people, so that its figures
here, which are printed as well, flatter it.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.calibrating import Correction, calibrated, measured
from benchmarks.mixture import fitted
from benchmarks.pictures import Reference
from benchmarks.report import Measure, Report, Series, Table
from facematch.calibration import Calibration, Floats, calibration
from facematch.faces import Encodings

#: Found at a true false match rate: what must be, and the aim.
FOUND = {1e-3: (0.95, 0.96), 1e-4: (0.86, 0.90), 1e-5: (0.69, 0.75)}
#: Told rates that are compared with what is seen, and by which factor they may be off.
_TOLD, _MUST_BE_WITHIN, _AIM_IS_WITHIN = (1e-2, 1e-3, 1e-4, 1e-5), 2.0, 1.3
_THRESHOLDS = (0.6, 0.55, 0.5)
#: Match sets that are compared: threshold, and at most so many false matches.
_BOUNDS = {
    "threshold 0.6": (0.6, None),
    "threshold 0.5": (0.5, None),
    "max_false_matches 1": (0.6, 1.0),
}
_CURVE = 10.0 ** np.arange(-6.0, -0.99, 0.25)
_SEED, _PARTS, _BLOCK = 1, 5, 500
#: Drawn faces: fewer than for what is shipped, of whose curve the tail below 1e-6 has use.
_FEW, _FACES = 4000, 10_000
_PLAIN = "plain distance"


@dataclass(frozen=True)
class Judged:
    """What some people say of a calibration: of pairs of one person and of two the rate that it
    tells, and their distances; and how many faces of others it expects within each threshold, and
    how many there are."""

    near: Floats
    far: Floats
    near_apart: Floats
    far_apart: Floats
    expected: Sequence[float]
    there: Sequence[float]
    faces: int

    def seen(self, told: float) -> float:
        """The part of pairs of two people that have at most this rate."""
        return float((self.far <= told).mean())

    def listed(self, threshold: float, max_false_matches: float | None) -> tuple[int, int]:
        """How many pairs of one person and of two the match sets of these faces would have, with
        this policy."""
        rate = 1.0 if max_false_matches is None else max_false_matches / self.faces
        near = (self.near <= rate) & (self.near_apart <= threshold)
        far = (self.far <= rate) & (self.far_apart <= threshold)
        return int(near.sum()), int(far.sum())


def found_at(near: Floats, far: Floats, rate: float) -> float:
    """The part of pairs of one person that lie below where this part of those of two people do."""
    place = int(rate * len(far))
    return float((near < np.partition(far, place)[place]).mean())


def measure_rates(report: Report, reference: Reference, short: bool, same: Path | None) -> None:
    """Add it to the report. `short`: on every fourth person, with nothing required. `same`: a file
    with two names of folders a line, which show one person; their pairs are left out."""
    encodings, people = central(reference)
    if short:
        encodings, people = encodings[people % 4 == 0], people[people % 4 == 0]
    names = sorted({name.split("/")[0] for name in reference.files})
    alike = _alike(same, names) if same else set()
    halves, fits = [], []
    for learnt, left_out in halves_of(people):
        fits.append(measured(encodings[learnt], people[learnt], _PARTS, faces=_FEW))
        model = fitted(encodings[learnt], people[learnt], _SEED)
        own = calibrated(model, fits[-1], faces=_FACES)
        halves.append(judged(own, encodings[left_out], people[left_out], alike))
    shipped = judged(calibration("dlib-1"), encodings, people, alike)
    report.tables.append(_fits(fits, measured(encodings, people, _PARTS, faces=_FEW)))
    _tell(report, halves, shipped, required=not short)


def halves_of(people: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Twice: which faces are of the people that something is fitted to, and which of those that
    judge it; `people` (n,)."""
    half = np.random.default_rng(_SEED).permutation(people.max() + 1)[people] % 2
    for judging in (0, 1):
        yield half != judging, half == judging


def central(reference: Reference) -> tuple[Encodings, NDArray[np.int64]]:
    """Of each picture with a face the encoding of that nearest to the middle, (n, 128), and the
    number of its person, (n,)."""
    across = reference.boxes[:, 1] + reference.boxes[:, 3] - 250
    down = reference.boxes[:, 0] + reference.boxes[:, 2] - 250
    order = np.lexsort((across**2 + down**2, reference.images))
    first = order[np.unique(reference.images[order], return_index=True)[1]]
    return reference.encodings[first], person_numbers(reference)[reference.images[first]]


def person_numbers(reference: Reference) -> NDArray[np.int64]:
    """Of each picture that of its person, in the order of their names."""
    folders = [name.split("/")[0] for name in reference.files]
    return np.unique(folders, return_inverse=True)[1].astype(np.int64)


def _alike(file: Path, names: Sequence[str]) -> set[tuple[int, int]]:
    numbers = {name: number for number, name in enumerate(names)}
    lines = [line.split() for line in file.read_text().splitlines() if line.strip()]
    pairs = [sorted(numbers.get(name, -1) for name in line) for line in lines]
    return {(pair[0], pair[1]) for pair in pairs}


def judged(
    own: Calibration,
    encodings: Encodings,
    people: NDArray[np.int64],
    alike: Collection[tuple[int, int]] = (),
) -> Judged:
    """Let these faces (n, 128) of `people` (n,) judge; pairs of people in `alike` (the lower number
    first) are left out."""
    norms, every = own.norms(encodings), np.arange(len(people))
    wide = encodings.astype(np.float64)
    squares = np.square(wide).sum(axis=1)
    as_well = np.array([low << 32 | high for low, high in alike], dtype=np.int64)
    parts = []
    for start in range(0, len(people), _BLOCK):
        rows = slice(start, start + _BLOCK)
        square = squares[rows, None] + squares - 2 * wide[rows] @ wide.T
        apart = np.sqrt(np.maximum(square, 0))
        rates = own.rates(apart, norms[rows, None], norms[None])
        later, one = every > every[rows, None], people[rows, None] == people
        pairs = np.minimum(people[rows, None], people) << 32 | np.maximum(
            people[rows, None], people
        )
        near, far = later & one, later & ~one & ~np.isin(pairs, as_well)
        parts.append((rates[near], rates[far], apart[near], apart[far]))
    near, far, near_apart, far_apart = map(np.concatenate, zip(*parts, strict=True))
    others = len(people) - np.bincount(people)[people]
    expected = [float((own.within(threshold, norms) * others).sum()) for threshold in _THRESHOLDS]
    there = [2.0 * float((far_apart <= threshold).sum()) for threshold in _THRESHOLDS]
    return Judged(near, far, near_apart, far_apart, expected, there, len(people))


def _precision(one: Judged, bound: tuple[float, float | None]) -> float:
    near, far = one.listed(*bound)
    return near / max(1, near + far)


def _recall(one: Judged, bound: tuple[float, float | None]) -> float:
    return one.listed(*bound)[0] / len(one.near)


def _tell(report: Report, halves: Sequence[Judged], shipped: Judged, *, required: bool) -> None:
    rows = []
    for rate, (must, aim) in FOUND.items():
        ours = [found_at(half.near, half.far, rate) for half in halves]
        plain = [found_at(half.near_apart, half.far_apart, rate) for half in halves]
        name = f"same-person pairs found at false match rate {rate:.0e}"
        mean, baseline = float(np.mean(ours)), float(np.mean(plain))
        report.measures.append(Measure(name, mean, "", _PLAIN, baseline, True))
        if required:
            met = "met" if mean >= aim else "missed"
            detail = f"{mean:.4f}, must {must:g}, aim {aim:g}: {met}; plain distance {baseline:.4f}"
            report.require(name, mean >= must, detail)
        all_ours = found_at(shipped.near, shipped.far, rate)
        all_plain = found_at(shipped.near_apart, shipped.far_apart, rate)
        rows.append(
            (
                f"found at {rate:.0e}",
                _three(plain),
                _three(ours),
                f"{all_plain:.3f}",
                f"{all_ours:.3f}",
            )
        )
    for told in _TOLD:
        ratios = [half.seen(told) / told for half in halves]
        ratio = float(np.mean(ratios))
        name = f"seen over told false match rate at {told:.0e}"
        report.measures.append(Measure(name, ratio, "×"))
        if required:
            _within(report, name, ratio)
        rows.append(
            (
                f"seen / told at {told:.0e}",
                "",
                _three(ratios),
                "",
                f"{shipped.seen(told) / told:.3f}",
            )
        )
    for number, threshold in enumerate(_THRESHOLDS):
        ratios = [half.there[number] / half.expected[number] for half in halves]
        name = f"seen over expected false matches at {threshold:g}"
        report.measures.append(Measure(name, float(np.mean(ratios)), "×"))
        if required:
            _within(report, name, float(np.mean(ratios)))
        shown = f"{shipped.there[number] / shipped.expected[number]:.3f}"
        rows.append((f"seen / expected within {threshold:g}", "", _three(ratios), "", shown))
    for name, bound in _BOUNDS.items():
        for what, part in (("precision", _precision), ("recall", _recall)):
            of_halves = _three([part(half, bound) for half in halves])
            rows.append((f"{what}, {name}", "", of_halves, "", _three([part(shipped, bound)])))
    header = ("two halves of the people", "plain", "score", "all, plain", "all, as shipped")
    report.tables.append(Table(header, rows))
    for name, one in (("half 1", halves[0]), ("half 2", halves[1]), ("as shipped", shipped)):
        points = [(float(told), one.seen(told)) for told in _CURVE if one.seen(told)]
        report.series.append(Series(f"seen false match rate, {name}", "", "told", points))
        for what, near, far in (
            ("score", one.near, one.far),
            (_PLAIN, one.near_apart, one.far_apart),
        ):
            curve = [(float(rate), found_at(near, far, rate)) for rate in _CURVE]
            report.series.append(Series(f"found by {what}, {name}", "", "false match rate", curve))


def _within(report: Report, name: str, ratio: float) -> None:
    off = max(ratio, 1 / ratio) if ratio else float("inf")
    met = "met" if off <= _AIM_IS_WITHIN else "missed"
    detail = f"{ratio:.2f} ×, must be within {_MUST_BE_WITHIN:g} ×, aim {_AIM_IS_WITHIN:g} ×: {met}"
    report.require(name, off <= _MUST_BE_WITHIN, detail)


def _three(values: Sequence[float]) -> str:
    return " / ".join(f"{value:.3f}" for value in values)


def _fits(
    fits: Sequence[tuple[Correction, Correction]], every: tuple[Correction, Correction]
) -> Table:
    named = [*zip(("half 2", "half 1"), fits, strict=True), ("all", every)]
    rows = [
        (people, kind, f"{correction.level:.3f}", f"{correction.slope:.3f}")
        for people, both in named
        for kind, correction in zip(("pairs", "faces"), both, strict=True)
    ]
    return Table(("corrections fitted to", "of", "level", "slope"), rows)
