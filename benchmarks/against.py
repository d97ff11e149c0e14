"""Two folders of results compared: what got better or worse by more than noise.

Ratios are compared where there is a baseline, because machines are noisy and both had the same
noise; values otherwise, if both are of one machine. Runs with the same options are of one kind.
Where there are several, a measure's noise is how far apart the farthest of them are, and 3 % at
least; where each folder has one, it is a share that is stated. What is no time, rate, size or ratio
is neither better nor worse, only another.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median

from benchmarks.kept import Machine, Result
from benchmarks.report import Measure, number

#: By which part a single run may be better or worse by chance: three runs of one commit differed
#: by 18 %.
NOISE = 0.2
#: And by which several may, however close to each other they are: a few say little.
_LEAST_NOISE = 0.03
#: Of a rate more is better, whatever the measure says.
_RATE_UNITS = ("1/s", "/s", "per second")
_SIZES = ("bytes", "B", "KiB", "MiB", "GiB")
_TIMES = ("s", "ms", "µs", "ns")


class Verdict(StrEnum):
    """What became of a measure or a check."""

    WORSE = "worse"
    BETTER = "better"
    SAME = "same"
    #: It differs, and nobody can say for the better or worse.
    OTHER = "other"


@dataclass(frozen=True)
class Change:
    """A measure or check of both. `factor`: how many times as good it is now; None where that
    cannot be said. `before` and `now` as they are shown."""

    benchmark: str
    name: str
    before: str
    now: str
    verdict: Verdict
    factor: float | None = None
    noise: float | None = None
    why: str = ""


@dataclass
class Comparison:
    """Everything that there is to say."""

    changes: list[Change] = field(default_factory=list)
    #: Measures and runs that only one folder has: (which folder, what).
    alone: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    #: Of what was measured once in each folder.
    noise: float = NOISE

    @property
    def about(self) -> str:
        """How to read it."""
        return (
            "Ratios are compared where there is a baseline, values otherwise. Noise: how far apart"
            f" repeated runs are, {_LEAST_NOISE:.0%} at least; of what was measured once in each"
            f" folder, taken to be {self.noise:.0%}."
        )

    def of(self, verdict: Verdict) -> list[Change]:
        """The changes of one kind, the largest first."""
        some = [change for change in self.changes if change.verdict is verdict]
        return sorted(some, key=lambda change: change.factor or 0, reverse=verdict != Verdict.WORSE)

    def lines(self) -> Iterator[str]:
        """For a terminal."""
        for warning in self.warnings:
            yield f"!! {warning}"
        for verdict in (Verdict.WORSE, Verdict.BETTER, Verdict.OTHER):
            for change in self.of(verdict):
                yield f"{verdict.upper():<6} {change.benchmark}: {change.name}: {_told(change)}"
        for folder, what in self.alone:
            yield f"only {folder}: {what}"
        counts = {verdict: len(self.of(verdict)) for verdict in Verdict}
        yield ", ".join(f"{count} {verdict}" for verdict, count in counts.items())


def compare(now: Sequence[Result], before: Sequence[Result], noise: float = NOISE) -> Comparison:
    """What is other now than it was before. `noise`: of what was measured once."""
    comparison = Comparison(noise=noise)
    new, old = _by_key(now), _by_key(before)
    for key in sorted(new.keys() | old.keys()):
        if key not in new or key not in old:
            folder, runs = ("now", new[key]) if key in new else ("before", old[key])
            files = ", ".join(run.file for run in runs)
            comparison.alone.append((folder, f"{runs[0].benchmark} with these options: {files}"))
            continue
        _compare(comparison, new[key], old[key], noise)
    if not comparison.changes:
        comparison.warnings.append("NOTHING TO COMPARE: no benchmark with the same options in both")
    return comparison


def _by_key(results: Iterable[Result]) -> dict[str, list[Result]]:
    found: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        found[result.key].append(result)
    return found


def _compare(
    comparison: Comparison, now: Sequence[Result], before: Sequence[Result], noise: float
) -> None:
    benchmark = f"{now[0].benchmark} ({now[0].file})"
    other_machines = _machines(comparison, benchmark, now, before)
    new, old = _measures(now), _measures(before)
    for key in sorted(new.keys() | old.keys()):
        if key not in new or key not in old:
            where = "now" if key in new else "before"
            comparison.alone.append((where, f"{benchmark}: {_name(key)}"))
    for key, measures in new.items():
        if key in old:
            comparison.changes.append(_change(benchmark, measures, old[key], noise, other_machines))
    _checks(comparison, benchmark, now, before)


def _machines(
    comparison: Comparison, benchmark: str, now: Sequence[Result], before: Sequence[Result]
) -> bool:
    """Whether not all are of one; then it is said."""
    kinds: dict[tuple[str, int, int, str], Machine] = {
        run.machine.kind: run.machine for run in (*before, *now)
    }
    if len(kinds) > 1:
        comparison.warnings.append(
            f"DIFFERENT MACHINES, {benchmark}: {'; '.join(map(str, kinds.values()))}."
            " Only ratios and sizes are compared."
        )
    return len(kinds) > 1


_Key = tuple[str, str, str, int]


def _measures(runs: Sequence[Result]) -> dict[_Key, list[Measure]]:
    """By name, unit and baseline, and the number among those that have these alike in one run."""
    found: dict[_Key, list[Measure]] = defaultdict(list)
    for run in runs:
        seen: dict[tuple[str, str, str], int] = defaultdict(int)
        for measure in run.measures:
            about = measure.name, measure.unit, measure.baseline
            found[*about, seen[about]].append(measure)
            seen[about] += 1
    return found


def _name(key: _Key) -> str:
    name, unit, baseline, _ = key
    return f"{name}{f' ({unit})' if unit else ''}{f', against {baseline}' if baseline else ''}"


def _change(
    benchmark: str,
    now: Sequence[Measure],
    before: Sequence[Measure],
    noise: float,
    other_machines: bool,
) -> Change:
    one = now[0]
    name = f"{one.name}, against {one.baseline}" if one.baseline else one.name
    new, old = _ratios(now), _ratios(before)
    if new and old:
        factor = median(new) / median(old)
        shown = f"{median(old):.3g} ×", f"{median(new):.3g} ×"
        if _repeated(now, before):
            noise = max(_spread(new), _spread(old), _LEAST_NOISE)
        return _judged(benchmark, name, shown, factor, noise)
    value, other = median(m.value for m in now), median(m.value for m in before)
    shown = f"{number(other)} {one.unit}".rstrip(), f"{number(value)} {one.unit}".rstrip()
    if value == other:
        return Change(benchmark, name, *shown, Verdict.SAME, 1.0)
    better = _direction(one)
    if better == 0:
        return Change(benchmark, name, *shown, Verdict.OTHER, why="no time, rate or size")
    if other_machines and _plain(one.unit) not in _SIZES:
        return Change(benchmark, name, *shown, Verdict.OTHER, why="different machines")
    if value <= 0 or other <= 0:
        worse = (value - other) * better < 0
        return Change(benchmark, name, *shown, Verdict.WORSE if worse else Verdict.BETTER)
    factor = value / other if better > 0 else other / value
    if _repeated(now, before):
        spreads = (_spread([m.value for m in some]) for some in (now, before))
        noise = max(*spreads, _LEAST_NOISE)
    return _judged(benchmark, name, shown, factor, noise)


def _judged(
    benchmark: str, name: str, shown: tuple[str, str], factor: float, noise: float
) -> Change:
    if factor < 1 / (1 + noise):
        verdict = Verdict.WORSE
    else:
        verdict = Verdict.BETTER if factor > 1 + noise else Verdict.SAME
    return Change(benchmark, name, *shown, verdict, factor, noise)


def _checks(
    comparison: Comparison, benchmark: str, now: Sequence[Result], before: Sequence[Result]
) -> None:
    new, old = _passed(now), _passed(before)
    for name in sorted(new.keys() | old.keys()):
        if name not in new or name not in old:
            where = "now" if name in new else "before"
            comparison.alone.append((where, f"{benchmark}: check {name}"))
    for name, passed in new.items():
        if name not in old or old[name] == passed:
            continue
        verdict = Verdict.BETTER if passed else Verdict.WORSE
        words = ("passed", "failed") if old[name] else ("failed", "passed")
        comparison.changes.append(Change(benchmark, f"check {name}", *words, verdict))


def _passed(runs: Sequence[Result]) -> Mapping[str, bool]:
    """Whether each check passed in every run."""
    found: dict[str, bool] = {}
    for run in runs:
        for check in run.checks:
            found[check.name] = found.get(check.name, True) and check.passed
    return found


def _ratios(measures: Sequence[Measure]) -> list[float]:
    return [
        measure.ratio for measure in measures if measure.ratio is not None and measure.ratio > 0
    ]


def _repeated(now: Sequence[Measure], before: Sequence[Measure]) -> bool:
    return len(now) > 1 or len(before) > 1


def _spread(values: Sequence[float]) -> float:
    """By which part the largest is more than the smallest."""
    least = min(values)
    return max(values) / least - 1 if least > 0 else 0.0


def _direction(measure: Measure) -> int:
    """1: more is better; -1: less is; 0: neither can be said."""
    if measure.more_is_better or measure.unit.startswith(_RATE_UNITS):
        return 1
    return -1 if _plain(measure.unit) in (*_SIZES, *_TIMES) else 0


def _plain(unit: str) -> str:
    """Without of what, or how: of "ms/picture, by the clock" it is ms."""
    return unit.partition(",")[0].partition("/")[0].partition(" ")[0]


def _told(change: Change) -> str:
    words = f"{change.before} → {change.now}"
    if change.factor is not None and change.noise is not None:
        words += f" ({change.factor:.2f} times as good, noise {change.noise:.0%})"
    return f"{words}; {change.why}" if change.why else words
