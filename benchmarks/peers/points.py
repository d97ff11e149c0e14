"""What was measured of a peer, as measures and as the rows of a table. The one place that knows
how these measures are called, so that plots can be made of kept results."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.report import Measure, Table
from benchmarks.truth import Score

_QUERY = re.compile(r"(one query|recall), ([\d.]+), ([\d,]+) faces")
#: The share that counts as nearly all.
_ENOUGH = 0.99


@dataclass(frozen=True)
class Point:
    """One query, with so many faces, within the radius: by the peer, and by ours in the same run,
    which misses none. `label`: the peer and its setting."""

    label: str
    faces: int
    radius: float
    recall: float
    milliseconds: float
    ours: float

    @property
    def name(self) -> str:
        """The peer alone."""
        return self.label.partition(",")[0]

    def measures(self) -> Iterator[Measure]:
        """Time and recall."""
        about = f"{self.radius:g}, {self.faces:,} faces"
        yield Measure(f"one query, {about}", self.ours, "ms", self.label, self.milliseconds)
        yield Measure(f"recall, {about}", 1.0, "", self.label, self.recall, more_is_better=True)


@dataclass(frozen=True)
class Holding:
    """What it takes a peer, and ours, to hold so many faces."""

    name: str
    faces: int
    seconds: float
    bytes: float
    our_seconds: float
    our_bytes: float

    def measures(self) -> Iterator[Measure]:
        """Time and memory."""
        about = f"{self.faces:,} faces"
        yield Measure(f"{about} taken in", self.our_seconds, "s", self.name, self.seconds)
        name = f"memory of a face, {about}"
        yield Measure(name, self.our_bytes, "bytes", self.name, self.bytes)


def points_in(measures: Iterable[Mapping[str, Any]]) -> list[Point]:
    """The points of a kept result; one whose recall is not there was exact."""
    times: dict[tuple[str, int, float], tuple[float, float]] = {}
    recalls: dict[tuple[str, int, float], float] = {}
    for measure in measures:
        named = _QUERY.fullmatch(measure["name"])
        if named is None or measure["baseline_value"] is None:
            continue
        key = measure["baseline"], int(named[3].replace(",", "")), float(named[2])
        if named[1] == "recall":
            recalls[key] = measure["baseline_value"]
        else:
            times[key] = measure["baseline_value"], measure["value"]
    return [Point(*key, recalls.get(key, 1.0), *both) for key, both in times.items()]


def table(points: Sequence[Point], holdings: Sequence[Holding]) -> Table:
    """A row for every peer and number of faces, ours first: within each radius the fastest setting
    that finds nearly all, or else the one that finds most."""
    radii = sorted({point.radius for point in points})
    header = ["faces", ""]
    for radius in radii:
        header += [f"within {radius:g}", "found", "ms", "ratio"]
    rows = []
    for faces in sorted({point.faces for point in points}, reverse=True):
        here = [point for point in points if point.faces == faces]
        held = {holding.name: holding for holding in holdings if holding.faces == faces}
        rows.append(_ours(here, radii, held))
        for name in dict.fromkeys(point.name for point in here):
            row = [f"{faces:,}", name]
            for radius in radii:
                own = [point for point in here if (point.name, point.radius) == (name, radius)]
                row += _cells(own)
            rows.append([*row, *_held(held.get(name))])
    return Table([*header, "taken in", "bytes/face"], rows)


def _ours(here: Sequence[Point], radii: Sequence[float], held: Mapping[str, Holding]) -> list[str]:
    row = [f"{here[0].faces:,}", "facematch"]
    for radius in radii:
        times = [point.ours for point in here if point.radius == radius]
        row += ["", "100.00%", f"{median(times):.3g}", ""] if times else [""] * 4
    some = next(iter(held.values()), None)
    return [*row, f"{some.our_seconds:.3g} s", f"{some.our_bytes:.0f}"] if some else [*row, "", ""]


def _cells(own: Sequence[Point]) -> list[str]:
    if not own:
        return [""] * 4
    enough = [point for point in own if point.recall >= _ENOUGH]
    chosen = (
        min(enough, key=lambda point: point.milliseconds)
        if enough
        else max(own, key=lambda point: point.recall)
    )
    setting = chosen.label.partition(", ")[2]
    ratio = f"{chosen.milliseconds / chosen.ours:.2f} ×"
    return [setting, f"{chosen.recall:.2%}", f"{chosen.milliseconds:.3g}", ratio]


def _held(holding: Holding | None) -> list[str]:
    return [f"{holding.seconds:.3g} s", f"{holding.bytes:.0f}"] if holding else ["", ""]


def verdict(exact: bool, score: Score) -> tuple[bool, str]:
    """Whether a peer's answers are what it claims, and what to say of them. All must be near
    enough; those of an exact one must be complete."""
    missing = score.wanted - score.found
    farther = f"{score.wrong} farther than the radius"
    if not exact:
        return score.wrong == 0, f"approximate, {farther}"
    return score.wrong == missing == 0, f"{missing:,} of {score.wanted:,} missing, {farther}"
