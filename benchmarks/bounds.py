"""What bounds of match sets do in collections of several sizes: for `benchmarks.quality`.

What `facematch quality` says of the pictures of the reference, without looking at them again.
"""

import numpy as np

from benchmarks.pictures import Reference
from benchmarks.rates import central
from benchmarks.report import Measure, Report, Table
from facematch.calibration import calibration
from facematch.faces import DEFAULT_THRESHOLD
from facematch.labelled import Setting, advise, by_false_matches, by_threshold, judge

_SIZES = (1_000, 100_000, 10_000_000)
_THRESHOLDS, _MOST = (0.6, 0.55, 0.5, 0.45, 0.4), (100.0, 10.0, 1.0, 0.1)


def measure_bounds(report: Report, reference: Reference, short: bool) -> None:
    """Add it to the report; `short`: by every fourth person."""
    encodings, people = central(reference)
    if short:
        encodings, people = encodings[people % 4 == 0], people[people % 4 == 0]
    labelled = judge(encodings, people, calibration("dlib-1"), DEFAULT_THRESHOLD)
    report.details += [
        Measure("faces", len(people), ""),
        Measure("people", len(np.unique(people)), ""),
        Measure("pairs of one person", labelled.same.count, ""),
        Measure("pairs of two people", labelled.different.count, ""),
    ]
    rows = []
    for size in _SIZES:
        alone = [by_threshold(labelled, threshold, size) for threshold in _THRESHOLDS]
        bounded = [by_false_matches(labelled, most, size) for most in _MOST]
        advised = advise(labelled, size, 1.0)
        rows += [_row(report, "", each) for each in (*alone, *bounded)]
        rows.append(_row(report, "advised, ", advised.setting))
        if advised.plain is not None:
            rows.append(_row(report, "as few, ", advised.plain))
    report.tables.append(Table(("faces", "bound", "found", "false matches of a face"), rows))


def _row(report: Report, why: str, setting: Setting) -> tuple[str, str, str, str]:
    most = setting.max_false_matches
    bound = f"threshold {setting.threshold:g}" if most is None else f"max_false_matches {most:g}"
    name = f"{why}{bound}, {setting.size:,} faces"
    report.details.append(Measure(f"{name}: found", setting.found, "", more_is_better=True))
    false = setting.false_matches
    if false is not None:
        report.details.append(Measure(f"{name}: false matches of a face", false, ""))
    shown = "too rare to be seen" if false is None else f"{false:.3g}"
    return f"{setting.size:,}", f"{why}{bound}", f"{setting.found:.1%}", shown
