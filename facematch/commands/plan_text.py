"""What `facematch plan` prints: tables for people, documents for scripts."""

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields

from facematch import sizing
from facematch.commands.text import Document
from facematch.sizing import Costs
from facematch.sizing_figures import Figures, Ingest
from facematch.sizing_plan import WITHIN, Agreement, Plan, Wanted
from facematch.terminal import digits, duration, size


def document(plan: Plan) -> Document:
    """For a script."""
    return asdict(plan)


def plan_lines(plan: Plan, wanted: Wanted) -> Iterator[str]:
    """One plan for people."""
    machine = f"{wanted.machine.cores} cores and {size(wanted.machine.memory)}"
    yield (
        f"{plan.images:,} images of {_faces(wanted)} each, {plan.per_day:,} more a"
        f" day; machines with {machine}"
    )
    yield ""
    sizes = "" if wanted.threshold is not None else " (advised)" if plan.advised else " (strictest)"
    yield f"  threshold       {plan.threshold:g}{sizes}"
    yield (
        f"  match set       {_number(plan.false_matches)} false matches an image,"
        f" {_number(plan.true_matches)} true ones: {plan.same_person:.1%} of one person's pairs"
    )
    busy = f"{plan.busy:.1%} busy at {wanted.headroom:g} times the daily load"
    yield f"  workers         {plan.workers:,} of {wanted.machine.cores} cores, {busy}"
    yield (
        f"  first ingest    {_hours(plan.first_hours)}: {plan.first_rate:,.1f} pictures a second at"
        f" first, {plan.last_rate:,.3g} in the end"
    )
    if plan.index == "sidecar":
        yield f"  index           {size(plan.index_bytes)} beside each worker"
        yield f"                  Milvus from {plan.milvus_from:,} images on"
    else:
        yield (
            f"  index           Milvus on {plan.milvus_machines:,} machines: from"
            f" {plan.milvus_from:,} images on a sidecar does not fit"
        )
    yield (
        f"  Redis           {size(plan.redis_bytes)}, at most {size(plan.redis_peak_bytes)};"
        f" {size(plan.reindex_bytes)} more during a reindex; {plan.redis_busy:.1%} busy"
    )
    shared = " (everything on one)" if plan.machines == 1 else ""
    yield f"  a month         {plan.machine_hours:,.0f} machine-hours: {plan.machines:,}{shared}"
    yield ""
    rows = [("threshold", "found", "false matches", "Redis", "first ingest")]
    rows += [
        (
            *(f"{each.threshold:g}", f"{each.same_person:.1%}", _number(each.false_matches)),
            *(size(each.redis_bytes), _hours(each.hours)),
        )
        for each in plan.settings
    ]
    yield from _aligned(rows)
    if plan.remarks:
        yield ""
    for remark in plan.remarks:
        yield f"! {remark}"


def table_lines(plans: Sequence[Plan], wanted: Wanted) -> Iterator[str]:
    """Several sizes for people, beside each other."""
    machine = f"{wanted.machine.cores} cores and {size(wanted.machine.memory)}"
    yield f"images of {_faces(wanted)} each; machines with {machine}"
    yield ""
    header = ("images", "a day", "threshold", "found", "workers", "first ingest", "index", "Redis")
    rows = [(*header, "machines", "machine-hours a month")]
    for plan in plans:
        held = size(plan.index_bytes) if plan.index == "sidecar" else "Milvus"
        rows.append(
            (
                *(_count(plan.images), f"{plan.per_day:,}", f"{plan.threshold:g}"),
                f"{plan.same_person:.0%}",
                *(f"{plan.workers:,}", _hours(plan.first_hours), held, size(plan.redis_bytes)),
                *(f"{plan.machines:,}", f"{plan.machine_hours:,.0f}"),
            )
        )
    yield from _aligned(rows)
    yield ""
    yield "found: the part of one person's pairs; false matches of an image, by threshold:"
    settings = plans[0].settings
    table: list[Sequence[str]] = [("images", *(f"{each.threshold:g}" for each in settings))]
    table += [
        (_count(plan.images), *(_number(each.false_matches) for each in plan.settings))
        for plan in plans
    ]
    yield from _aligned(table)
    yield ""
    for plan in plans:
        for remark in plan.remarks:
            yield f"! {_count(plan.images)}: {remark}"


def comparison_lines(ingest: Ingest, found: Sequence[Agreement]) -> Iterator[str]:
    """What was measured beside what is planned, for people."""
    yield (
        f"{ingest.file.name}, {ingest.date:%Y-%m-%d}: {ingest.images:,} pictures,"
        f" {ingest.workers} {'worker' if ingest.workers == 1 else 'workers'} on"
        f" {ingest.machine.cores} cores"
    )
    rows = [("", "measured", "planned", "off")]
    for each in found:
        of = {"s": _time, "B": size}.get(each.unit, _number)
        rows.append((each.name, of(each.measured), of(each.planned), f"{each.off:+.1%}"))
    yield from _aligned(rows)
    for each in found:
        wanted = "not above that" if each.room else f"within {WITHIN:.0%}"
        yield f"{'ok    ' if each.agrees else 'FAILED'} {each.name}: {wanted}"


def comparison_document(ingest: Ingest, found: Sequence[Agreement]) -> Document:
    """The same for a script."""
    rows = [asdict(each) | {"off": each.off, "agrees": each.agrees} for each in found]
    return {
        "file": str(ingest.file),
        "pictures": ingest.images,
        "agrees": all(each.agrees for each in found),
        "compared": rows,
    }


def explanation(figures: Figures) -> Document:
    """The figures for a script."""
    return {
        "costs": {
            name: {"value": value, "measured": figures.sources[name]}
            for name, value in asdict(figures.costs).items()
        },
        "rates": [asdict(rate) for rate in figures.rates],
        "rates_measured": figures.rates_source,
    }


def explained(figures: Figures) -> Iterator[str]:
    """The model, and where each figure comes from."""
    yield from (sizing.__doc__ or "").strip().splitlines()
    yield ""
    yield from inspect.cleandoc(Costs.__doc__ or "").splitlines()
    yield ""
    rows = [("figure", "value", "measured")]
    for field in fields(Costs):
        value = getattr(figures.costs, field.name)
        shown = size(value) if field.name.endswith("_bytes") else _seconds(value)
        rows.append((field.name, shown, figures.sources[field.name]))
    yield from _aligned(rows, texts=(0, 2))
    yield ""
    table = [("threshold", "different people", "same person", "spread")]
    for rate in figures.rates:
        shown = f"{rate.different_people:.3g}"
        same, spread = f"{rate.same_person:.1%}", f"{rate.spread:.2f}"
        table.append((f"{rate.threshold:g}", shown, same, spread))
    yield from _aligned(table)
    yield figures.rates_source


def _faces(wanted: Wanted) -> str:
    faces = wanted.pictures.faces
    pixels = f"{wanted.pictures.megapixels:.2g} megapixels"
    return f"{pixels} with {faces:.3g} {'face' if faces == 1 else 'faces'}"


def _aligned(rows: Sequence[Sequence[str]], texts: Sequence[int] = (0,)) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.ljust(width) if column in texts else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield f"  {'  '.join(cells)}".rstrip()


def _seconds(value: float) -> str:
    for length, unit in ((1, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")):
        if value >= length:
            return f"{digits(value / length)} {unit}"
    return f"{value:.3g} s"


def _time(value: float) -> str:
    return duration(value) if value >= 1 else _seconds(value)


def _hours(value: float) -> str:
    if value < 48:
        return duration(value * 3600)
    days = value / 24
    if days < 1000:
        return f"{days:.1f} days" if days < 10 else f"{days:,.0f} days"
    return f"{days / 365:,.0f} years"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _count(value: int) -> str:
    for unit, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= unit and value % (unit // 1000 or 1) == 0:
            return f"{value / unit:g} {letter}"
    return f"{value:,}"
