"""What a reindex changes: the match sets of two generations compared, pair by pair."""

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from facematch.progress import Update
from facematch.reindexing import Reindex
from facematch.store import Store

_PORTION = 1000
_SAMPLES = 5
#: A link or an erasure under way comes through both generations within this time.
_SETTLE_SECONDS = 1.0

_MatchSet = Mapping[int, float]


@dataclass(frozen=True)
class Sample:
    """Two images that match in one generation only, and how far apart they are there."""

    image: str
    other: str
    distance: float


@dataclass(frozen=True)
class Parity:
    """The pairs of images of two generations, each pair counted once.

    `gained` are in the new one only, `lost` in the former one only. Of those that are in both,
    `moved` have another distance, by `most_moved` at the most, and the others are `unchanged`.
    `unexpected` were moved, or were gained or lost although the two thresholds do not say so.
    """

    unchanged: int
    moved: int
    most_moved: float
    gained: int
    lost: int
    unexpected: int
    samples_gained: tuple[Sample, ...]
    samples_lost: tuple[Sample, ...]

    @property
    def share_unexpected(self) -> float:
        """Of all pairs that are in either."""
        pairs = self.unchanged + self.moved + self.gained + self.lost
        return self.unexpected / pairs if pairs else 0.0


def compare(store: Store, reindex: Reindex, progress: Update) -> Parity:
    """Compare the generation of a reindex with the one it replaces, while both go on changing.

    Raises Unavailable.
    """
    tally = _Tally(reindex)
    positions = sorted(itertools.chain.from_iterable(store.live()))
    doubtful: list[int] = []
    for start in range(0, len(positions), _PORTION):
        portion = positions[start : start + _PORTION]
        for position, former, new in _match_sets(store, reindex, portion):
            if tally.unexpected(former, new):
                doubtful.append(position)
            else:
                tally.count(position, former, new)
        progress(start + len(portion), len(positions))
    if doubtful:
        time.sleep(_SETTLE_SECONDS)
    for start in range(0, len(doubtful), _PORTION):
        portion = doubtful[start : start + _PORTION]
        for position, former, new in _match_sets(store, reindex, portion):
            tally.count(position, former, new)
    return tally.parity(store)


def _match_sets(
    store: Store, reindex: Reindex, positions: Sequence[int]
) -> Iterator[tuple[int, _MatchSet, _MatchSet]]:
    """Of each image the matches at lower positions, in the former and in the new generation."""
    former = store.linked(positions, reindex.former)
    new = store.linked(positions, reindex.generation)
    for position in positions:
        yield position, _lower(former[position], position), _lower(new[position], position)


def _lower(matches: _MatchSet, position: int) -> _MatchSet:
    return {other: distance for other, distance in matches.items() if other < position}


@dataclass
class _Tally:
    reindex: Reindex
    unchanged: int = 0
    moved: int = 0
    most_moved: float = 0.0
    wrong: int = 0
    gained: int = 0
    lost: int = 0
    samples_gained: list[tuple[int, int, float]] = field(default_factory=list)
    samples_lost: list[tuple[int, int, float]] = field(default_factory=list)

    def unexpected(self, former: _MatchSet, new: _MatchSet) -> int:
        """How many pairs are not as the thresholds say."""
        least, before = self.reindex.threshold, self.reindex.former_threshold
        return (
            sum(former[other] != new[other] for other in former.keys() & new.keys())
            + sum(former[other] <= least for other in former.keys() - new.keys())
            + sum(new[other] <= before for other in new.keys() - former.keys())
        )

    def count(self, position: int, former: _MatchSet, new: _MatchSet) -> None:
        """Count the pairs of one image."""
        self.wrong += self.unexpected(former, new)
        for other in former.keys() & new.keys():
            apart = abs(former[other] - new[other])
            self.moved += apart > 0
            self.unchanged += apart == 0
            self.most_moved = max(self.most_moved, apart)
        gained, lost = new.keys() - former.keys(), former.keys() - new.keys()
        self.gained += len(gained)
        self.lost += len(lost)
        _sample(self.samples_gained, position, gained, new)
        _sample(self.samples_lost, position, lost, former)

    def parity(self, store: Store) -> Parity:
        """What was counted."""
        samples = self.samples_gained + self.samples_lost
        images = store.images_at([at for sample in samples for at in sample[:2]])

        def named(samples: list[tuple[int, int, float]]) -> tuple[Sample, ...]:
            return tuple(
                Sample(images[one], images[other], distance)
                for one, other, distance in samples
                if one in images and other in images
            )

        return Parity(
            unchanged=self.unchanged,
            moved=self.moved,
            most_moved=self.most_moved,
            gained=self.gained,
            lost=self.lost,
            unexpected=self.wrong,
            samples_gained=named(self.samples_gained),
            samples_lost=named(self.samples_lost),
        )


def _sample(
    samples: list[tuple[int, int, float]], position: int, others: set[int], matches: _MatchSet
) -> None:
    for other in sorted(others)[: _SAMPLES - len(samples)]:
        samples.append((position, other, matches[other]))
