"""What `facematch quality` prints: tables for people, documents for scripts, and a picture."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from facematch.commands.quality import Told
from facematch.commands.text import Document
from facematch.errors import CODES
from facematch.labelled import Advice, Setting
from facematch.roc import roc

_RARE = "too rare to be seen here"


def document(told: Told, picture: Path) -> Document:
    """For a script."""
    return {
        "people": len(np.unique(told.shown.people)),
        "faces": len(told.shown.people),
        "failed": {code or "no_face": count for code, count in told.shown.failed.items()},
        "pairs": {"same": told.labelled.same.count, "different": told.labelled.different.count},
        "thresholds": [_setting(each) for each in told.thresholds],
        "max_false_matches": [_setting(each) for each in told.false_matches],
        "advice": [
            {
                "size": each.size,
                "false_matches": each.most,
                "seen_over_told": each.factor,
                "setting": _setting(each.setting),
                "threshold_alone": None if each.plain is None else _setting(each.plain),
            }
            for each in told.advice
        ],
        "roc": str(picture),
    }


def _setting(setting: Setting) -> Document:
    alone = setting.max_false_matches is None
    shown = asdict(setting) | {"false_matches": setting.false_matches}
    return {key: value for key, value in shown.items() if not alone or key in _ALONE}


_ALONE = ("threshold", "found", "false")


def lines(told: Told, picture: Path) -> Iterator[str]:
    """For people."""
    labelled = told.labelled
    people = len(np.unique(told.shown.people))
    yield (
        f"{len(told.shown.people):,} faces of {people:,} people:"
        f" {labelled.same.count:,} pairs of one person, {labelled.different.count:,} of two"
    )
    for code, count in sorted(told.shown.failed.items()):
        why = CODES[code] if code else "no face was found"
        yield f"left out: {count:,} ({why})"
    yield ""
    sizes = [f"among {size:,}" for size in told.sizes]
    rows: list[Sequence[str]] = [("threshold alone", "found", "false", *sizes)]
    for each in told.thresholds:
        among = [_number(None if each.false is None else each.false * n) for n in told.sizes]
        rows.append((f"{each.threshold:g}", f"{each.found:.1%}", _rate(each.false), *among))
    yield from _aligned(rows)
    yield ""
    rows = [("faces", "max false matches", "rate", "found", "false", "of a face")]
    for each in told.false_matches:
        rows.append(
            (
                *(f"{each.size:,}", f"{each.max_false_matches:g}", f"{each.rate:.0e}"),
                *(f"{each.found:.1%}", _rate(each.false), _number(each.false_matches)),
            )
        )
    yield from _aligned(rows)
    yield ""
    yield "found: of the pairs of one person; false: of those of two; among …, of a face: how many"
    yield f"false matches a face has; - where fewer than ten pairs were seen: {_RARE}"
    yield ""
    for advice in told.advice:
        yield from _advised(advice)
    yield f"ROC: {picture}"


def _advised(advice: Advice) -> Iterator[str]:
    setting, plain = advice.setting, advice.plain
    yield (
        f"{advice.size:,} faces, false matches of each {advice.most:g} at most:"
        f" max_false_matches {setting.max_false_matches:g}"
        f" with threshold {setting.threshold:g} finds {setting.found:.1%}"
    )
    if advice.factor > 1.05:
        yield f"  (there are {advice.factor:.2g} times as many false ones here as is told)"
    if plain is None:
        yield f"  a threshold alone that does the same: {_RARE}"
    else:
        yield f"  threshold {plain.threshold:g} alone does the same and finds {plain.found:.1%}"


def drawn(told: Told) -> bytes:
    """The ROC, by false match rate and by distance alone: a PNG."""
    same, different = told.labelled.same, told.labelled.different
    by_rate = zip(different.by_code, same.by_code, strict=True)
    by_distance = zip(different.by_distance, same.by_distance, strict=True)
    title = f"{len(told.shown.people):,} faces of {len(np.unique(told.shown.people)):,} people"
    return roc(
        title,
        {
            "by false match rate": [(different.part(x), same.part(y)) for x, y in by_rate],
            "by distance": [(different.part(x), same.part(y)) for x, y in by_distance],
        },
    )


def _rate(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.1e}"


def _number(number: float | None) -> str:
    if number is None:
        return "-"
    return f"{number:,.0f}" if number >= 100 else f"{number:.2g}"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        yield "  " + "  ".join(cells)
