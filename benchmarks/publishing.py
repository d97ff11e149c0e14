"""What `python -m benchmarks report` does: reads folders, compares them, writes the page."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.against import Verdict, compare
from benchmarks.kept import Broken, read
from benchmarks.page import page
from facematch.terminal import printable


@dataclass(frozen=True)
class Published:
    """What to print; and whether nothing got worse, as far as anything was compared."""

    lines: Sequence[str]
    well: bool


def publish(results: Path, target: Path, against: Path | None, noise: float) -> Published:
    """Write the page to `target`. Raises OSError."""
    now, broken = read(results)
    lines = list(_broken(results, broken))
    comparison = None
    if against is not None:
        before, others = read(against)
        lines += _broken(against, others)
        comparison = compare(now, before, noise)
        lines += comparison.lines()
        broken = broken + [Broken(f"{against.name}/{each.file}", each.why) for each in others]
    target.write_text(page(now, broken, comparison, str(against.name) if against else ""))
    lines.append(f"results: {len(now)}, files that are none: {len(broken)}")
    worse = comparison is not None and (
        not comparison.changes or bool(comparison.of(Verdict.WORSE))
    )
    return Published([printable(line) for line in lines], not worse)


def _broken(folder: Path, broken: Sequence[Broken]) -> list[str]:
    return [f"!! {folder / each.file} is no result: {each.why}" for each in broken]
