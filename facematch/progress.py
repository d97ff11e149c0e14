"""Shows how far long work is: a bar on a terminal, a line every few seconds anywhere else."""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Never, Protocol, TextIO

from tqdm import tqdm

from facematch.terminal import duration, printable

_LINE_SECONDS = 5.0
#: Lines back to which the speed is measured.
_WINDOW = 12


#: Told how far something is, of how much.
Update = Callable[[int, int], object]


class Progress(Protocol):
    """Shows how far something is."""

    def update(self, done: int, total: int, failed: int | None = None) -> None:
        """Called now and then; `failed` of those done did."""

    def say(self, line: str) -> None:
        """Say something that happened."""

    def close(self) -> None:
        """Leave what is shown as it is."""


def on(stream: TextIO, unit: str) -> Progress:
    """What suits the stream. `unit`: what is counted, in the plural."""
    return Bar(stream, unit) if stream.isatty() else Lines(stream, unit)


@contextlib.contextmanager
def one_after_another(stream: TextIO) -> Iterator[Callable[[str], Update]]:
    """Shows several things one after the other: called with the unit of the next, which is then
    shown in place of the one before."""
    with contextlib.ExitStack() as stack:

        def shown(unit: str) -> Update:
            stack.close()
            return stack.enter_context(contextlib.closing(on(stream, unit))).update

        yield shown


class Bar:
    """For a terminal; see Progress."""

    def __init__(self, stream: TextIO, unit: str) -> None:
        self._stream = stream
        self._unit = unit
        self._bar: tqdm[Never] | None = None

    def update(self, done: int, total: int, failed: int | None = None) -> None:
        """See Progress."""
        if self._bar is None:
            self._bar = tqdm(
                total=total, unit=f" {self._unit}", file=self._stream, dynamic_ncols=True
            )
        if failed is not None:
            self._bar.set_postfix(failed=failed, refresh=False)
        self._bar.update(done - self._bar.n)

    def say(self, line: str) -> None:
        """See Progress."""
        tqdm.write(printable(line), file=self._stream)

    def close(self) -> None:
        """See Progress."""
        if self._bar is not None:
            self._bar.close()


class Lines:
    """For a log; see Progress."""

    def __init__(self, stream: TextIO, unit: str) -> None:
        self._stream = stream
        self._unit = unit
        self._due = time.monotonic() + _LINE_SECONDS
        self._seen = deque([(time.monotonic(), 0)], maxlen=_WINDOW)

    def update(self, done: int, total: int, failed: int | None = None) -> None:
        """See Progress."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + _LINE_SECONDS
        if done < self._seen[-1][1]:  # it begins anew
            self._seen.clear()
            self._seen.append((now - _LINE_SECONDS, 0))
        since, before = self._seen[0]
        self._seen.append((now, done))
        self.say(progress_line(self._unit, done, total, failed, (done - before) / (now - since)))

    def say(self, line: str) -> None:
        """See Progress."""
        self._stream.write(f"{printable(line)}\n")
        self._stream.flush()

    def close(self) -> None:
        """See Progress."""


def progress_line(unit: str, done: int, total: int, failed: int | None, speed: float) -> str:
    """How far something is, at `speed` of it a second, and how long it may take."""
    parts = [f"{done:,} of {total:,} {unit}", f"{speed:.1f}/s"]
    if failed is not None:
        parts.append(f"{failed:,} failed")
    if done < total and speed > 0:
        parts.append(f"about {duration((total - done) / speed)} left")
    return ", ".join(parts)
