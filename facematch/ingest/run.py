"""`facematch ingest`: submits every picture of a folder or a list, many at once, sees each to
its end and counts. The service may go away meanwhile; a later run goes on where this one ended.
"""

import contextlib
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from facematch.client import Client
from facematch.errors import FacematchError
from facematch.ingest.crew import Crew, Task
from facematch.ingest.journal import Journal
from facematch.ingest.picture import Kind, Outcome
from facematch.ingest.source import Entry, entries
from facematch.progress import Progress

#: Seconds that entries under way are waited for once the run is to stop.
GRACE_SECONDS = 5.0
_EXAMPLES = 5
_TICK = 0.5
#: Shorter trouble is not worth a line.
_TROUBLE_SECONDS = 2.0


@dataclass
class Failure:
    """Entries that failed for the same reason: how many, what was said of the first, some names."""

    detail: str
    count: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass
class Tally:
    """How the entries ended so far, out of `total`."""

    total: int
    counts: Counter[Kind] = field(default_factory=Counter)
    failures: dict[str, Failure] = field(default_factory=dict)

    @property
    def ended(self) -> int:
        """Entries that ended, one way or another."""
        return self.counts.total()

    def add(self, outcome: Outcome) -> None:
        """Count an entry."""
        self.counts[outcome.kind] += 1
        if outcome.kind is Kind.FAILED:
            failure = self.failures.setdefault(outcome.code, Failure(outcome.detail))
            failure.count += 1
            if len(failure.examples) < _EXAMPLES:
                failure.examples.append(outcome.entry.name)


@dataclass(frozen=True)
class Report:
    """What became of a run. `interrupted`: it was told to stop; `error`: why it gave up."""

    tally: Tally
    seconds: float
    interrupted: bool
    error: FacematchError | None


def ingest(
    client: Client,
    source: Path | Sequence[Entry],
    journal: Journal,
    progress: Progress,
    interrupted: threading.Event,
    concurrency: int = 16,
    patience: float = 300.0,
    told: Callable[[Outcome], object] = lambda outcome: None,
) -> Report:
    """Submit every entry of `source`, `concurrency` at once, until each has ended. `told` hears of
    each that has.

    Stops early when `interrupted` is set, and when the service did not answer for `patience`
    seconds. What ended in an earlier run is not submitted again if the service still has it;
    what failed is. Raises Rejected("unreadable") for a source that cannot be read; other
    errors that end the run are in the report.
    """
    started = time.monotonic()
    run = _Run(client, source, journal, progress, concurrency, patience, interrupted, told)
    error: FacematchError | None = None
    try:
        run.go()
    except FacematchError as reason:
        error = reason
    try:
        run.wind_up()
    except FacematchError as reason:
        error = error or reason
    return Report(run.tally, time.monotonic() - started, interrupted.is_set(), error)


def count(source: Path, interrupted: threading.Event) -> int:
    """How many entries there are; fewer when `interrupted` is set meanwhile."""
    total = 0
    for _ in entries(source):
        if interrupted.is_set():
            break
        total += 1
    return total


class _Run:
    """One run: everything but the threads of its crew happens in the caller's thread."""

    def __init__(
        self,
        client: Client,
        source: Path | Sequence[Entry],
        journal: Journal,
        progress: Progress,
        concurrency: int,
        patience: float,
        interrupted: threading.Event,
        told: Callable[[Outcome], object],
    ) -> None:
        self._entries: Iterator[Entry]
        if isinstance(source, Path):
            self.tally, self._entries = Tally(count(source, interrupted)), entries(source)
        else:
            self.tally, self._entries = Tally(len(source)), iter(source)
        self._told = told
        self._journal = journal
        self._progress = progress
        self._most = 2 * concurrency
        self._patience = patience
        self._interrupted = interrupted
        self._crew = Crew(client, concurrency)
        self._under_way = 0
        self._next_tick = 0.0
        self._in_trouble = False

    def go(self) -> None:
        """Until everything ended or `interrupted` is set. Raises what ends the run early."""
        self._crew.start()
        try:
            while not self._interrupted.is_set():
                self._feed()
                if self._under_way == 0:
                    return
                self._collect()
                self._be_patient()
        finally:
            self._crew.stop()

    def wind_up(self) -> None:
        """Wait a little for what is under way, and remember everything."""
        if self._under_way > 0:
            self._progress.say(f"stops; waits up to {GRACE_SECONDS:g} s for what is under way")
        deadline = time.monotonic() + GRACE_SECONDS
        while self._under_way > 0 and time.monotonic() < deadline:
            with contextlib.suppress(FacematchError):
                self._collect()
        self._show()
        self._journal.save()

    def _feed(self) -> None:
        while self._under_way < self._most:
            entry = next(self._entries, None)
            if entry is None:
                return
            self._crew.put(Task(entry, self._journal.find(entry.name)))
            self._under_way += 1

    def _collect(self) -> None:
        try:
            result = self._crew.results.get(timeout=_TICK)
        except queue.Empty:
            pass
        else:
            self._under_way -= 1
            if isinstance(result, Exception):
                raise result
            if result is not None:
                self.tally.add(result)
                if result.done is not None:
                    self._journal.record(result.entry.name, result.done)
                self._told(result)
        if time.monotonic() >= self._next_tick:
            self._next_tick = time.monotonic() + _TICK
            self._journal.save()
            self._show()

    def _show(self) -> None:
        tally = self.tally
        self._progress.update(tally.ended, tally.total, tally.counts[Kind.FAILED])

    def _be_patient(self) -> None:
        trouble = self._crew.contact.trouble()
        seconds, error = trouble or (0.0, None)
        if error is not None and seconds > self._patience:
            raise error
        if error is not None and seconds > _TROUBLE_SECONDS and not self._in_trouble:
            self._in_trouble = True
            self._progress.say(f"{error} ({error.code}); tries for {self._patience:g} s")
        if error is None and self._in_trouble:
            self._in_trouble = False
            self._progress.say("the service answers again")
