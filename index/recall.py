"""How much of the truth an approximate index finds: a running sample of its own faces, each
compared with brute force. Used by `index.follower`."""

from collections import deque

_SAMPLES = 100


class Recall:
    """Over the last 100 samples that have a face to be found."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, int]] = deque(maxlen=_SAMPLES)

    def note(self, found: int, there: int) -> None:
        """One sample: how many faces were found of those that are there."""
        if there:
            self._samples.append((found, there))

    @property
    def value(self) -> float | None:
        """The part that was found, of all samples together; None before there is one."""
        samples = list(self._samples)
        there = sum(there for _, there in samples)
        return sum(found for found, _ in samples) / there if there else None
