"""A folder of results as one HTML page that needs nothing else: `python -m benchmarks report`.

jinja2, which Flask brings, escapes all that comes from files. Plots are drawn by matplotlib where
it is installed; the page has every figure in tables, too, and does without.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from benchmarks.against import Change, Comparison, Verdict
from benchmarks.charts import Lines, available, chart, flat
from benchmarks.families import OURS, Family, families_in
from benchmarks.kept import Broken, Result
from benchmarks.report import Check, Measure, Series, number

_TEMPLATE = "page.html"
_MEASURES = [
    ("measure", False),
    ("facematch", True),
    ("unit", False),
    ("baseline", True),
    ("", False),
    ("ratio", True),
]
_CHECKS = [("check", False), ("", False), ("found", False)]
_CHANGES = [
    ("measure", False),
    ("benchmark", False),
    ("before", True),
    ("now", True),
    ("times as good", True),
    ("noise", True),
]


@dataclass(frozen=True)
class Row:
    """Cells as they are shown; `colour` is the class of the one with the number `coloured`."""

    cells: Sequence[str]
    colour: str = ""
    coloured: int = 0


def page(
    results: Sequence[Result],
    broken: Sequence[Broken],
    comparison: Comparison | None = None,
    against: str = "",
) -> str:
    """The page as text. `against`: the name of the folder that is compared with."""
    shown = [_result(result) for result in results]
    dates = sorted(f"{result.date:%Y-%m-%d}" for result in results)
    rendered: str = _template().render(
        results=shown,
        broken=broken,
        checks=sum(len(result.checks) for result in results),
        failed=sum(each["failed"] for each in shown),
        dates=" to ".join(dict.fromkeys((dates[0], dates[-1]))) if dates else "",
        comparison=_comparison(comparison, against) if comparison else None,
        measure_columns=_MEASURES,
        check_columns=_CHECKS,
        plots=available(),
    )
    return rendered


def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template(_TEMPLATE)


def _result(result: Result) -> dict[str, Any]:
    families, others = families_in(result.measures)
    return {
        "benchmark": result.benchmark,
        "file": result.file,
        "date": result.date,
        "machine": str(result.machine),
        "options": [(name, _option(value)) for name, value in result.options.items()],
        "versions": [(name, value) for name, value in result.machine.versions.items() if value],
        "failed": sum(not check.passed for check in result.checks),
        "checks": [_check(check) for check in sorted(result.checks, key=lambda c: c.passed)],
        "measures": [_measure(measure) for measure in others],
        "series": [
            *(_family(family) for family in families),
            *(_series(series) for series in result.series),
        ],
    }


def _check(check: Check) -> Row:
    mark, colour = ("✓ passed", "good mark") if check.passed else ("✗ failed", "bad mark")
    return Row((check.name, mark, check.detail), colour, coloured=1)


def _measure(measure: Measure) -> Row:
    baseline = "" if measure.baseline_value is None else number(measure.baseline_value)
    cells = measure.name, number(measure.value), measure.unit, baseline, measure.baseline
    return Row((*cells, _ratio(measure)), _colour(measure.ratio), coloured=len(cells))


def _series(series: Series) -> dict[str, Any]:
    rows = [Row((_at(at), number(value))) for at, value in series.points]
    columns = [(series.x, False), (series.unit or OURS, True)]
    lines = {OURS: series.points} if len(series.points) > 1 else {}
    return _drawn(series.name, series.x, series.unit, lines, columns, rows)


def _family(family: Family) -> dict[str, Any]:
    compared = any(point.measure.baseline_value is not None for point in family.points)
    rows = []
    for point in family.points:
        measure = point.measure
        cells = [_at(point.at), number(measure.value)]
        if compared:
            baseline = "" if measure.baseline_value is None else number(measure.baseline_value)
            cells += [baseline, measure.baseline, _ratio(measure)]
        colour = _colour(measure.ratio) if compared else ""
        rows.append(Row(cells, colour, coloured=len(cells) - 1))
    ours = f"facematch, {family.unit}" if family.unit else "facematch"
    columns = [(family.along, False), (ours, True)]
    if compared:
        columns += [("baseline", True), ("", False), ("ratio", True)]
    return _drawn(family.name, family.along, family.unit, family.lines, columns, rows)


def _drawn(
    name: str,
    x: str,
    unit: str,
    lines: Lines,
    columns: Sequence[tuple[str, bool]],
    rows: Sequence[Row],
) -> dict[str, Any]:
    # What matplotlib writes has every text escaped.
    svg = Markup(chart(name, x, unit, lines)) if not flat(lines) else ""
    return {"name": name, "svg": svg, "columns": columns, "rows": rows}


def _at(place: float) -> str:
    return f"{place:,.0f}" if float(place).is_integer() else number(place)


def _comparison(comparison: Comparison, folder: str) -> dict[str, Any]:
    groups = []
    for verdict, colour in (
        (Verdict.WORSE, "bad"),
        (Verdict.BETTER, "good"),
        (Verdict.OTHER, "warn"),
        (Verdict.SAME, ""),
    ):
        changes = comparison.of(verdict)
        if changes:
            rows = [_change(change, colour) for change in changes]
            caption = f"{verdict.capitalize()} ({len(rows)})"
            groups.append({"caption": caption, "rows": rows, "folded": verdict == Verdict.SAME})
    counts = [f"{len(comparison.of(verdict))} {verdict}" for verdict in Verdict]
    return {
        "folder": folder,
        "loud": bool(comparison.warnings or comparison.of(Verdict.WORSE)),
        "warnings": comparison.warnings,
        "summary": ", ".join(counts),
        "about": comparison.about,
        "columns": _CHANGES,
        "groups": groups,
        "alone": comparison.alone,
    }


def _change(change: Change, colour: str) -> Row:
    factor = "" if change.factor is None else f"{change.factor:.2f} ×"
    noise = "" if change.noise is None else f"{change.noise:.0%}"
    name = f"{change.name} ({change.why})" if change.why else change.name
    cells = name, change.benchmark, change.before, change.now, factor, noise
    return Row(cells, f"{colour} mark" if colour else "", coloured=4)


def _option(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _ratio(measure: Measure) -> str:
    ratio = measure.ratio
    return "" if ratio is None else f"{ratio:,.2f} ×"


def _colour(ratio: float | None) -> str:
    if ratio is None or ratio == 1:
        return ""
    return "good mark" if ratio > 1 else "warn mark"
