"""`facematch watch`: submits the pictures that are in a folder, and those that come to it.

The system says what changes; now and then the whole folder is looked at, for what it did not say (a
full queue of changes, a network drive).
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import watchfiles

from facematch.client import Client
from facematch.errors import Rejected
from facematch.ingest.journal import Journal
from facematch.ingest.picture import Kind, Outcome
from facematch.ingest.run import Report, Tally, ingest
from facematch.ingest.source import Entry, entries, entries_at
from facematch.progress import Progress

#: A file that did not change for so long is taken for whole.
SETTLED_SECONDS = 1.0
#: How often the whole folder is looked at.
LOOK_SECONDS = 600.0
_TICK_MILLISECONDS = 250


@dataclass(frozen=True)
class Limits:
    """See facematch.ingest.run.ingest; how often to look at the whole folder, in seconds."""

    concurrency: int = 16
    patience: float = 300.0
    look_seconds: float = LOOK_SECONDS


def watch(
    client: Client,
    folder: Path,
    journal: Journal,
    progress: Progress,
    interrupted: threading.Event,
    told: Callable[[Outcome], object],
    limits: Limits = Limits(),
) -> Report:
    """Submit what is there and what comes, until `interrupted` is set or the service did not answer
    for so long. `told` hears of each that ended.

    What ended before in the form that it has now is not submitted again; nor is here what failed.
    Raises Rejected("unreadable") for a folder that cannot be read, at whatever time.
    """
    started, coming = time.monotonic(), _Coming(journal)
    tally = Tally(0)

    def note(outcome: Outcome) -> None:
        if outcome.kind is Kind.FAILED:
            coming.failed(outcome.entry)
        tally.total += 1
        tally.add(outcome)
        told(outcome)

    looked = float("-inf")
    for paths in _changes(folder, interrupted):
        if time.monotonic() - looked >= limits.look_seconds:
            looked = time.monotonic()
            coming.note(entries(folder))
        for path in paths:
            coming.note(entries_at(folder, path))
        if batch := coming.settled():
            report = ingest(
                client, batch, journal, progress, interrupted, *_numbers(limits), told=note
            )
            if report.error is not None:
                return Report(tally, time.monotonic() - started, report.interrupted, report.error)
    return Report(tally, time.monotonic() - started, interrupted.is_set(), None)


class _Coming:
    """Files that came or changed, and are waited for until they are whole."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        #: By name: the file as it is, and since when it has been so.
        self._waiting: dict[str, tuple[Entry, float]] = {}
        self._failed: dict[str, str] = {}

    def note(self, found: Iterator[Entry]) -> None:
        """These may be new."""
        for entry in found:
            if self._is_new(entry):
                self._waiting[entry.name] = entry, self._since(entry)

    def settled(self) -> list[Entry]:
        """Those that have been as they are for long enough; they are not waited for any more."""
        now, whole = time.monotonic(), list[Entry]()
        for name, (entry, since) in list(self._waiting.items()):
            if now - since < SETTLED_SECONDS:
                continue
            del self._waiting[name]
            current = _as_it_is(entry)
            if current == entry:
                whole.append(entry)
            elif current is not None:
                self._waiting[name] = current, now
        return whole

    def failed(self, entry: Entry) -> None:
        """It is not tried again in this form."""
        self._failed[entry.name] = entry.version or entry.problem

    def _is_new(self, entry: Entry) -> bool:
        if self._failed.get(entry.name) == (entry.version or entry.problem):
            return False
        done = self._journal.find(entry.name)
        if done is not None and done.version == entry.version:
            return False
        waiting = self._waiting.get(entry.name)
        return waiting is None or waiting[0] != entry

    def _since(self, entry: Entry) -> float:
        """One that was last written a while ago, and moved here, need not be waited for."""
        now = time.monotonic()
        if entry.path is None:
            return now
        try:
            age = time.time() - os.stat(entry.path).st_mtime
        except OSError:
            return now
        return now - age if age > 0 else now


def _as_it_is(entry: Entry) -> Entry | None:
    """The same entry now; None when it is gone."""
    if entry.path is None:
        return entry
    try:
        status = os.stat(entry.path)
    except OSError:
        return None
    return Entry(entry.name, entry.path, f"{status.st_size}:{status.st_mtime_ns}")


def _changes(folder: Path, interrupted: threading.Event) -> Iterator[set[str]]:
    """Paths that came or changed, several times a second; none when nothing did. The first ones are
    told when no change can be missed any more."""
    # A look at what cannot be read says so in our words.
    entries(folder)
    watching = watchfiles.watch(
        folder,
        watch_filter=None,
        stop_event=interrupted,
        debounce=_TICK_MILLISECONDS,
        rust_timeout=_TICK_MILLISECONDS,
        yield_on_timeout=True,
        ignore_permission_denied=True,
    )
    for changes in watching:
        if not folder.is_dir():
            raise Rejected("unreadable", f"{folder} is not there any more")
        yield {path for change, path in changes if change is not watchfiles.Change.deleted}


def _numbers(limits: Limits) -> tuple[int, float]:
    return limits.concurrency, limits.patience
