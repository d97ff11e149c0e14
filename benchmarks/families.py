"""Measures that are one figure at several sizes or times: `<name>, <n> images`, or faces,
pictures, or seconds; and what else may be said behind it."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.report import Measure

#: What is compared with baselines.
OURS = "facematch"
_SIZED = re.compile(
    r"(.+?), (?:after )?(\d[\d,]*(?:\.\d+)?) (images|faces|pictures|s|seconds)( stored|, .+)?"
)


@dataclass(frozen=True)
class Point:
    """The measure at one size."""

    at: float
    measure: Measure


@dataclass(frozen=True)
class Family:
    """A figure at several sizes `along` images, faces, pictures or seconds: ascending."""

    name: str
    unit: str
    along: str
    points: Sequence[Point]

    @property
    def lines(self) -> Mapping[str, Sequence[tuple[float, float]]]:
        """By size, ours and each baseline's, where it has several: of more than one the median."""
        found: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
        for point in self.points:
            measure = point.measure
            found[OURS][point.at].append(measure.value)
            if measure.baseline_value is not None:
                found[measure.baseline or "baseline"][point.at].append(measure.baseline_value)
        return {
            name: [(at, median(each)) for at, each in sorted(values.items())]
            for name, values in found.items()
            if len(values) > 1
        }


def families_in(measures: Iterable[Measure]) -> tuple[list[Family], list[Measure]]:
    """What has several sizes, and all other measures, in their order."""
    families: dict[tuple[str, str, str], list[Point]] = defaultdict(list)
    every = list(measures)
    for measure in every:
        named = _SIZED.fullmatch(measure.name)
        if named is not None:
            at = float(named[2].replace(",", ""))
            name = named[1] + (named[4] or "")
            families[name, measure.unit, named[3]].append(Point(at, measure))
    found = [
        Family(*about, sorted(points, key=lambda point: point.at))
        for about, points in families.items()
        if len({point.at for point in points}) > 1
    ]
    taken = {id(point.measure) for each in found for point in each.points}
    return found, [measure for measure in every if id(measure) not in taken]
