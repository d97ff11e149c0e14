"""A lock that readers share: for those who search while somebody changes what they search in.

Used by `index.engine` and `index.ivf` for the faces, and by `index.follower` for them together with
their place in the log.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class SharedLock:
    """Any number read, or one writes. They take turns: who comes to read while somebody waits to
    write waits until that is written, and before more is written all that wait have read. So
    neither keeps the other waiting for long, however many there are.

    Not to be taken again by a thread that has it: a writer between the two would wait for the
    first, and the second for the writer.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._reading = self._waiting_to_read = self._waiting_to_write = 0
        self._writing = False
        # How often it was written: those who wait to read are let in when that changes.
        self._written = 0

    @contextmanager
    def reading(self) -> Iterator[None]:
        """With others who read."""
        with self._changed:
            if self._writing or self._waiting_to_write:
                written = self._written
                self._waiting_to_read += 1
                self._changed.wait_for(lambda: self._written != written)
            else:
                self._reading += 1
        try:
            yield
        finally:
            with self._changed:
                self._reading -= 1
                if not self._reading:
                    self._changed.notify_all()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Alone."""
        with self._changed:
            self._waiting_to_write += 1
            self._changed.wait_for(lambda: not self._writing and not self._reading)
            self._waiting_to_write -= 1
            self._writing = True
        try:
            yield
        finally:
            with self._changed:
                self._writing = False
                self._written += 1
                # On their behalf, so that no writer comes before they have woken up.
                self._reading += self._waiting_to_read
                self._waiting_to_read = 0
                self._changed.notify_all()
