"""The port to what the store knows of a reindex: how another generation of match sets comes about.

    begin → ranges, in any order, by any worker → built → switched → dropped

From `begin` on, whatever is linked is linked in both generations, and what is erased is erased in
both. So all that is left to do are the matches among the images that were there at `begin`. Those
are found range by range: a range is some positions, and its matches are those of its images with
all at lower positions. Writing a range again changes nothing.

Each method is one atomic step. The real one is `facematch.redis_reindexing.RedisReindexing`, the
one for tests `facematch.memory_reindexing.MemoryReindexing`; one contract test runs against both.
Every method raises Unavailable("store_unavailable") when the store does not answer.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from facematch.errors import Conflict
from facematch.log import Tail
from facematch.match_scores import UNRATED
from facematch.store import DEFAULT_BOUNDS, Bounds, Linked

#: Pairs written by one call, which takes one to three milliseconds: requests wait for it.
RANGE_CHUNK = 100
#: Positions of a range, and the most ranges there are: a large collection has larger ones.
SPAN = 1000
MOST_RANGES = 10_000


class Phase(StrEnum):
    """Of a reindex."""

    BUILDING = "building"
    PAUSED = "paused"  # no range is begun
    BUILT = "built"  # all is there, the former generation is served
    SWITCHED = "switched"  # the new one is served, the former one still kept up


@dataclass(frozen=True)
class Reindex:
    """A reindex: `generation` with its `threshold` and `bounds` is to replace the generation
    `former`, with `former_threshold` and `former_bounds`, for images at positions up to `base`.

    Of its `ranges`, of `span` positions each, `left` are not done. `share`: the part of its time
    that a worker may give to it, above 0 up to 1. `begun`: seconds since 1970.
    """

    id: str
    phase: Phase
    generation: int
    threshold: float
    former: int
    former_threshold: float
    base: int
    span: int
    ranges: int
    left: int
    share: float
    begun: float
    bounds: Bounds = DEFAULT_BOUNDS
    former_bounds: Bounds = DEFAULT_BOUNDS


@dataclass(frozen=True)
class Range:
    """The images at positions from `first` to `last`, of which the matches within `threshold` with
    all images at lower positions are to be found, for a reindex; with their rates if the generation
    is `scored`, and then bounded by `max_false_matches`."""

    reindex: str
    threshold: float
    first: int
    last: int
    share: float
    scored: bool = True
    max_false_matches: float | None = None


@dataclass(frozen=True, eq=False)
class Matched:
    """Pairs of images: `positions` (n,) and lower ones, `others` (n,), int64, their `distances`
    (n,), float64, and how sure they are: `codes` (n,), int64, see facematch.match_scores. Those of
    one position are behind each other."""

    positions: NDArray[np.int64]
    others: NDArray[np.int64]
    distances: NDArray[np.float64]
    codes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.positions)

    @classmethod
    def of(cls, pairs: Sequence[tuple[int, int, float]], codes: Sequence[int] = ()) -> "Matched":
        """These: position, other, distance. Without codes, no rate is known of any."""
        positions, others, distances = zip(*pairs, strict=True) if pairs else ((), (), ())
        codes = codes or [UNRATED] * len(pairs)
        return cls(
            np.array(positions, dtype=np.int64),
            np.array(others, dtype=np.int64),
            np.array(distances, dtype=np.float64),
            np.array(codes, dtype=np.int64),
        )

    def part(self, start: int, stop: int) -> "Matched":
        """Those from one place to before another."""
        some = slice(start, stop)
        return Matched(
            self.positions[some], self.others[some], self.distances[some], self.codes[some]
        )

    def __iter__(self) -> Iterator[tuple[int, int, float, int]]:
        columns = self.positions, self.others, self.distances, self.codes
        return zip(*(column.tolist() for column in columns), strict=True)

    def encode(self) -> bytes:
        """Little-endian float64, four for each: no position is above 2^53."""
        columns = [self.positions, self.others, self.distances, self.codes]
        return np.stack(columns, axis=1, dtype="<f8").tobytes()


@dataclass(frozen=True)
class RangeLink:
    """A chunk of a range's matches.

    `seen`: the log tail that the query was checked against (the fence). The chunks of one attempt
    share a random `token` and state how many pairs went before; `last` marks the range done.
    `exact`: as far as is known, no match is missing. The pairs' codes are by this `calibration`.
    """

    reindex: str
    first: int
    seen: Tail
    token: str
    offset: int
    pairs: Matched
    last: bool
    exact: bool = True
    calibration: str = ""


def check_wanted(threshold: float, share: float) -> None:
    """Raise ValueError for a threshold or share that is none."""
    if not (math.isfinite(threshold) and threshold > 0):
        raise ValueError(f"{threshold} is no threshold")
    if not 0 < share <= 1:
        raise ValueError(f"{share} is no share")


def wrong_phase(now: str, wanted: str) -> Conflict:
    """That a reindex in this phase cannot become what is wanted."""
    return Conflict("reindex_phase", f"the reindex is {now}; it cannot be {wanted} now")


class Reindexing(Protocol):
    """What the command line and the workers need of the store for a reindex."""

    def begin(
        self,
        threshold: float,
        share: float = 1.0,
        span: int = SPAN,
        bounds: Bounds = DEFAULT_BOUNDS,
    ) -> Reindex:
        """Make another generation, which from now on is written too.

        Raises ValueError for a threshold or share that is none; Conflict: reindex_exists while
        there is a reindex, switched or not; no_rates where false matches are to be bounded and
        there is no calibration, old_data where they are and the data is not of schema 2.
        """

    def current(self) -> Reindex | None:
        """The reindex there is."""

    def due_ranges(self, limit: int, age: float) -> list[int]:
        """First positions of ranges that nobody has looked after for `age` seconds; they count as
        looked after now. None unless it is being built."""

    def take(self, reindex: str, first: int) -> Range | None:
        """Take up a range, which counts as looked after now; None when there is nothing to do:
        it is done, or the reindex is paused or gone."""

    def hold(self, reindex: str, first: int) -> None:
        """A range taken before is still in hand: it counts as looked after now."""

    def link(self, link: RangeLink) -> Linked:
        """Write a chunk of matches, those that the policy keeps, both directions, if the log is
        still what `seen` says and the calibration that of the collection. DONE: the range is done;
        GONE: the reindex is not there any more; else see Linked."""

    def pause(self, reindex: str) -> None:
        """Let no range be begun. Raises Conflict: no_reindex; reindex_phase when it is built."""

    def resume(self, reindex: str, share: float | None = None) -> None:
        """Go on, with another share if one is given. Raises Conflict as `pause`."""

    def switch(self, reindex: str) -> None:
        """Serve the new generation from now on. Raises Conflict: no_reindex; reindex_phase before
        it is built."""

    def rollback(self, reindex: str) -> None:
        """Serve the former generation again; the new one stays, built. Raises Conflict: no_reindex;
        reindex_phase before it is built."""

    def cancel(self, reindex: str) -> None:
        """Give up the new generation. Raises Conflict: no_reindex; reindex_phase once it is
        switched."""

    def drop(self, reindex: str) -> None:
        """Give up the former generation. Raises Conflict: no_reindex; reindex_phase before the new
        one is switched to."""

    def drop_some(self) -> bool:
        """Forget a portion of the match sets that were given up; True when none are left."""
