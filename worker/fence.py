"""The places in the log that what was read is as of: what is written rests on all of them."""

from facematch.errors import Unavailable
from facematch.log import Tail
from facematch.store import Store


class Fence:
    """What was missing when it was read may have been erased, and a store that loses its tail may
    have it again: so each reading says where the log ended then, all of these must be places of
    one log, and the furthest of them must be one of the log still when something is written."""

    def __init__(self, tail: Tail) -> None:
        self._tails = {tail}

    def add(self, tail: Tail) -> None:
        """Something else was read as of this place."""
        self._tails.add(tail)

    def settle(self, store: Store) -> Tail:
        """The furthest place. Raises Unavailable: index_diverged when they are not of one log,
        index_behind when that cannot be told any more."""
        furthest = max(self._tails, key=lambda tail: tail.position)
        # The furthest one is looked for when something is written; if it is found then, it was
        # there, too, when the others were.
        for tail in self._tails - {furthest}:
            log = store.log(tail.position, 0)
            if log.start is None and tail.position <= log.tail.position:
                raise Unavailable("index_behind", "the log was trimmed meanwhile")
            if log.start != tail:
                raise Unavailable("index_diverged", "the log changed meanwhile")
        # It says what all of them said.
        self._tails = {furthest}
        return furthest
