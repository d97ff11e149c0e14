"""What each unit of a run came to, one JSON object a line; and the targets, summed over them."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_SHOWN = 5


@dataclass
class Outcome:
    """Of one unit: what was counted, and what was not as it must be, in words."""

    campaign: str
    case: str
    seed: int
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    seconds: float = 0.0
    at: str = ""

    @property
    def unit(self) -> tuple[str, str, int]:
        """Which one it is."""
        return self.campaign, self.case, self.seed

    def __str__(self) -> str:
        counts = ", ".join(f"{count:,} {name}" for name, count in sorted(self.counts.items()))
        shown = self.violations[:_SHOWN]
        wrong = "".join(f"\n  VIOLATION: {one}" for one in shown)
        if len(self.violations) > _SHOWN:
            wrong += f"\n  and {len(self.violations) - _SHOWN:,} more"
        return (
            f"{self.campaign} {self.case} seed {self.seed}: {counts} ({self.seconds:.0f} s){wrong}"
        )


class Book:
    """The outcomes of a run, in a file."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = file
        self._units: dict[tuple[str, str, int], Outcome] = {}
        #: Those with a violation that were done again since: what chance has shown once is not
        #: undone by another try.
        self.failed_before: list[Outcome] = []
        for outcome in _read(file) if file.exists() else ():
            self._take(outcome)

    @property
    def outcomes(self) -> list[Outcome]:
        """Of each unit that which it came to last."""
        return list(self._units.values())

    def has(self, campaign: str, case: str, seed: int) -> bool:
        """Whether this unit has ended, and well: what failed is tried again."""
        last = self._units.get((campaign, case, seed))
        return last is not None and not last.violations

    def add(self, outcome: Outcome) -> None:
        """Keep it."""
        self._take(outcome)
        with self._file.open("a") as file:
            file.write(json.dumps(vars(outcome)) + "\n")

    def _take(self, outcome: Outcome) -> None:
        last = self._units.get(outcome.unit)
        if last is not None and last.violations:
            self.failed_before.append(last)
        self._units[outcome.unit] = outcome


def _read(file: Path) -> Iterable[Outcome]:
    for line in file.read_text().splitlines():
        written = json.loads(line)
        yield Outcome(**{**written, "counts": Counter(written["counts"])})


@dataclass(frozen=True)
class Target:
    """A row of the table of targets."""

    what: str
    wanted: str
    found: str
    met: bool


def targets(outcomes: Iterable[Outcome], failed_before: Sequence[Outcome] = ()) -> list[Target]:
    """What the outcomes come to, and those before them of the same units."""
    done = list(outcomes)
    sums: Counter[str] = Counter()
    for one in done:
        sums.update(one.counts)
    accepted = sum(one.counts["accepted"] for one in done if one.counts["kills"])
    wrong = sum(len(one.violations) for one in done)
    crash = [one for one in done if one.campaign == "crash"]
    hours = sum(one.counts["seconds"] for one in crash) / 3600
    crash_wrong = sum(len(one.violations) for one in crash)
    cuts, forks = sums["cuts"], sums["forks"]
    healed = sums["cuts healed"] + sums["forks healed"]
    stops, slow = sums["stops"], sums["stops over 30 s"]
    return [
        Target(
            "accepted jobs lost in kills of any process but Redis",
            "0 in ≥ 500",
            f"{sums['lost']} in {sums['kills']:,} ({accepted:,} accepted)",
            sums["lost"] == 0 and sums["kills"] >= 500,
        ),
        Target(
            "acknowledged writes lost in kill -9 of Redis",
            "0 in ≥ 100",
            f"{sums['acknowledged lost']} in {sums['redis kills']:,}"
            f" ({sums['acknowledged']:,} acknowledged)",
            sums["acknowledged lost"] == 0 and sums["redis kills"] >= 100,
        ),
        Target(
            "violations of I1–I8 in a random crash run",
            "0 in 1 h",
            f"{crash_wrong} in {hours:.2f} h",
            crash_wrong == 0 and hours >= 1,
        ),
        Target(
            "cut append-only files and forked logs noticed and healed",
            "all, ≥ 200",
            f"{healed:,} of {cuts + forks:,} ({cuts:,} cuts, {forks:,} forks)",
            healed == cuts + forks and cuts >= 200 and forks > 0,
        ),
        Target(
            "SIGTERM at a failpoint that took more than 30 s",
            "0",
            f"{slow} of {stops:,}",
            slow == 0 and stops > 0,
        ),
        Target("violations in all of it", "0", str(wrong), wrong == 0),
        Target(
            "units that failed at first, and were done again",
            "0",
            f"{len(failed_before)}{''.join(f'; {_name(one)}' for one in failed_before)}",
            not failed_before,
        ),
    ]


def _name(outcome: Outcome) -> str:
    return f"{outcome.campaign} {outcome.case}".strip() + f" seed {outcome.seed}"


def table(outcomes: Iterable[Outcome], failed_before: Sequence[Outcome] = ()) -> str:
    """The targets as a table of Markdown."""
    rows = [
        f"| {one.what} | {one.wanted} | {one.found} | {'yes' if one.met else 'no'} |"
        for one in targets(outcomes, failed_before)
    ]
    return "\n".join(["| | must | found | met |", "|---|---|---|---|", *rows])
