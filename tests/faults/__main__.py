"""`python -m faults`: all units one after the other, what each came to, and the targets in the end.

What ended well is not done again; Ctrl-C ends the unit that is under way and loses only that.
"""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click
import structlog

from facematch import progress
from faults import broker, clocks, crash, cuts, frozen, full, promotion, steps, store
from faults.book import Book, Outcome, table, targets

ROOT = Path(__file__).resolve().parents[2]
#: Of the random crash run; of cuts; of kills of Redis: so much is one unit.
SLICE, CUTS, KILLS = 300.0, 20, 20
#: Seeds of each kind in a round: so many that one, with an hour of random kills, meets all targets.
CUT_SEEDS, REDIS_SEEDS, STEPS_SEEDS = 10, 5, 2


@dataclass(frozen=True)
class Unit:
    """What is kept as a whole."""

    campaign: str
    case: str
    seed: int
    run: Callable[[], Outcome]


def units(first: int, rounds: int, seconds: float) -> Iterator[Unit]:
    """All of the long form: so many rounds, with other seeds in each, from the `first` one on, and
    `seconds` of random kills."""

    def seeds(count: int) -> range:
        return range(first, first + rounds * count)

    for one in seeds(CUT_SEEDS):
        yield Unit("cuts", "", one, partial(cuts.run, one, CUTS))
    for one in seeds(REDIS_SEEDS):
        yield Unit("redis", "", one, partial(store.run, one, KILLS))
    for one in seeds(1):
        for campaign in (promotion, broker, frozen, full, clocks):
            name = campaign.__name__.rpartition(".")[2]
            yield Unit(name, "", one, partial(campaign.run, one))
    for one in seeds(STEPS_SEEDS):
        for part in steps.STEPS:
            yield Unit("steps", part, one, partial(steps.run, part, one))
    length = min(SLICE, seconds)
    for one in range(first, first + max(1, round(seconds / SLICE))):
        yield Unit("crash", f"{length:g} s", one, partial(crash.run, one, length))


@click.command()
@click.option("--seed", type=int, default=1, show_default=True, help="Of the first of each kind.")
@click.option("--rounds", type=int, default=1, show_default=True, help="Each with other seeds.")
@click.option("--seconds", type=float, default=3600.0, show_default=True, help="Of random kills.")
@click.option("--only", multiple=True, help="Campaigns, as `cuts`; `steps/api` is one case.")
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=ROOT / "build" / "chaos" / "outcomes.jsonl",
    help="Where outcomes are kept; what is there and went well is not done again.",
)
@click.option("--table", "only_table", is_flag=True, help="Only say what there is.")
def main(
    seed: int, rounds: int, seconds: float, only: tuple[str, ...], results: Path, only_table: bool
) -> None:
    """Break a service in every way there is, and count what it loses.

    Ends with 1 where something was wrong, and, unless only a part was asked for, where not enough
    was done to meet a target.
    """
    # Told to end, or run in the background of a shell, it takes its servers with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    book = Book(results)
    if not only_table:
        wanted = [
            one
            for one in units(seed, rounds, seconds)
            if not only or one.campaign in only or f"{one.campaign}/{one.case}" in only
        ]
        shown = progress.on(sys.stderr, "units")
        for number, unit in enumerate(wanted):
            if not book.has(unit.campaign, unit.case, unit.seed):
                for line in str(_run(unit, book)).splitlines():
                    shown.say(line)
            shown.update(number + 1, len(wanted))
        shown.close()
    print(table(book.outcomes, book.failed_before))
    wrong = any(one.violations for one in book.outcomes)
    short = not all(one.met for one in targets(book.outcomes, book.failed_before))
    sys.exit(wrong or (short and not only))


def _run(unit: Unit, book: Book) -> Outcome:
    began = time.monotonic()
    try:
        outcome = unit.run()
    except Exception as error:
        outcome = Outcome(unit.campaign, unit.case, unit.seed)
        outcome.violations.append(f"{type(error).__name__}: {error}")
    outcome.campaign, outcome.case, outcome.seed = unit.campaign, unit.case, unit.seed
    outcome.seconds = round(time.monotonic() - began, 1)
    outcome.at = datetime.now(UTC).isoformat(timespec="seconds")
    book.add(outcome)
    return outcome


if __name__ == "__main__":
    main()
