"""Shows how far long work is, on standard error: a bar on a terminal, lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

_LINE_SECONDS = 5.0


@contextmanager
def shown(what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A function to be called with (done, total) now and then, while the context lasts."""
    if sys.stderr.isatty():
        with tqdm(desc=what, unit=f" {unit}", dynamic_ncols=True, leave=False) as bar:

            def advance(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            yield advance
        return
    due = time.monotonic() + _LINE_SECONDS

    def say(done: int, total: int) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + _LINE_SECONDS
            sys.stderr.write(f"{what}: {done:,} of {total:,} {unit}\n")

    yield say
