"""Runs an ingest for the command line: its journal, its progress, and signals."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from facematch import progress
from facematch.client import Client
from facematch.ingest.journal import Journal, journal_path
from facematch.ingest.picture import Outcome
from facematch.ingest.run import Report, ingest

if TYPE_CHECKING:
    from facematch.ingest.watching import Limits


def run(client: Client, source: Path, concurrency: int, patience: float) -> tuple[Report, int]:
    """The report, and the number of the signal that interrupted the run (0: none)."""
    with (
        closing(Journal(journal_path(client.where, source))) as journal,
        closing(progress.on(sys.stderr, "pictures")) as shown,
        _interruptible() as interruption,
    ):
        report = ingest(client, source, journal, shown, interruption.event, concurrency, patience)
    return report, interruption.number


def watch(
    client: Client, folder: Path, limits: "Limits", told: Callable[[Outcome], object]
) -> tuple[Report, int]:
    """The same of a folder that is watched until a signal comes."""
    from facematch.ingest import watching

    with (
        closing(Journal(journal_path(client.url, folder))) as journal,
        _interruptible() as interruption,
    ):
        quiet = _Quiet(progress.Lines(sys.stderr, "pictures"))
        report = watching.watch(client, folder, journal, quiet, interruption.event, told, limits)
    return report, interruption.number


class _Quiet:
    """Says what happens to the service, and not how far it is: see facematch.progress.Progress."""

    def __init__(self, shown: progress.Progress) -> None:
        self.say = shown.say
        self.close = shown.close

    def update(self, done: int, total: int, failed: int | None = None) -> None:
        """See Progress."""


class _Interruption:
    """Whether SIGINT or SIGTERM came, and which."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.number = 0


@contextmanager
def _interruptible() -> Iterator[_Interruption]:
    """Let the first SIGINT or SIGTERM be noted only; a second one acts as ever."""
    interruption = _Interruption()
    before: dict[signal.Signals, Any] = {}

    def restore() -> None:
        while before:
            signal.signal(*before.popitem())

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        interruption.number = number
        interruption.event.set()
        restore()

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, note)
    try:
        yield interruption
    finally:
        restore()
