"""Shows how far an ingest is, on standard error: a bar on a terminal, lines anywhere else."""

import time
from collections import deque
from typing import Never, TextIO

from tqdm import tqdm

from facematch.commands.text import printable, progress_line
from facematch.ingest.picture import Kind
from facematch.ingest.run import Tally

_LINE_SECONDS = 5.0
#: Lines back to which the speed is measured.
_WINDOW = 12


class Bar:
    """For a terminal; see facematch.ingest.run.Progress."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bar: tqdm[Never] | None = None

    def update(self, tally: Tally) -> None:
        """See Progress."""
        if self._bar is None:
            self._bar = tqdm(
                total=tally.total, unit=" pictures", file=self._stream, dynamic_ncols=True
            )
        self._bar.set_postfix(failed=tally.counts[Kind.FAILED], refresh=False)
        self._bar.update(tally.ended - self._bar.n)

    def say(self, line: str) -> None:
        """See Progress."""
        tqdm.write(printable(line), file=self._stream)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()


class Lines:
    """For a log; see facematch.ingest.run.Progress."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._due = time.monotonic() + _LINE_SECONDS
        self._seen = deque([(time.monotonic(), 0)], maxlen=_WINDOW)

    def update(self, tally: Tally) -> None:
        """See Progress; a line every few seconds."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + _LINE_SECONDS
        since, ended = self._seen[0]
        self._seen.append((now, tally.ended))
        self.say(progress_line(tally, (tally.ended - ended) / (now - since)))

    def say(self, line: str) -> None:
        """See Progress."""
        self._stream.write(f"{printable(line)}\n")
        self._stream.flush()

    def close(self) -> None:
        """Nothing is left to be done."""
