"""What a reindex changes: match sets of two generations, or of two editions, compared pair by
pair."""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from facematch.progress import Update
from facematch.reindexing import Reindex
from facematch.store import Store

_PORTION = 1000
_SAMPLES = 5
#: A link or an erasure under way comes through both generations within this time.
_SETTLE_SECONDS = 1.0

_MatchSet = Mapping[int, float]
#: An image's position, and its matches in the former and in the new generation.
_Both = tuple[int, _MatchSet, _MatchSet]


@dataclass(frozen=True)
class Sample:
    """Two images that match in one generation only, and how far apart they are there."""

    image: str
    other: str
    distance: float


@dataclass(frozen=True)
class Parity:
    """The pairs of images of two generations or editions, each pair counted once.

    `gained` are in the new one only, `lost` in the former one only. Of those that are in both,
    `moved` have another distance, by `most_moved` at the most, and the others are `unchanged`.
    `unexpected` were moved, or were gained or lost although the two thresholds do not say so; with
    another encoder, were gained or lost.
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

    def read(positions: Sequence[int]) -> Iterator[_Both]:
        former = store.linked(positions, reindex.former)
        new = store.linked(positions, reindex.generation)
        return ((position, former[position], new[position]) for position in positions)

    def unexpected(former: _MatchSet, new: _MatchSet) -> int:
        least, before = reindex.threshold, reindex.former_threshold
        return (
            sum(former[other] != new[other] for other in former.keys() & new.keys())
            + sum(former[other] <= least for other in former.keys() - new.keys())
            + sum(new[other] <= before for other in new.keys() - former.keys())
        )

    positions = sorted(itertools.chain.from_iterable(store.live()))
    return _compared(positions, read, unexpected, progress).parity(store)


def compare_editions(served: Store, other: Store, progress: Update) -> Parity:
    """Compare the match sets that are served of two editions, of the images that are in both, while
    both go on changing. That a distance is another one is expected, a pair gained or lost is not.

    Raises Unavailable.
    """
    here, there = served.snapshot(), other.snapshot()
    of_image = {image: position for position, image in here.positions.items()}
    #: Positions there by positions here, and the other way round.
    counterpart = {
        of_image[image]: position
        for position, image in there.positions.items()
        if image in of_image
    }
    back = {position: own for own, position in counterpart.items()}
    generation = here.collection.generations[0].number
    other_generation = there.collection.generations[0].number

    def read(positions: Sequence[int]) -> Iterator[_Both]:
        former = served.linked(positions, generation)
        new = other.linked([counterpart[position] for position in positions], other_generation)
        for position in positions:
            yield (
                position,
                {to: apart for to, apart in former[position].items() if to in counterpart},
                {back[to]: apart for to, apart in new[counterpart[position]].items() if to in back},
            )

    def unexpected(former: _MatchSet, new: _MatchSet) -> int:
        return len(former.keys() ^ new.keys())

    return _compared(sorted(counterpart), read, unexpected, progress).parity(served)


def _compared(
    positions: Sequence[int],
    read: Callable[[Sequence[int]], Iterator[_Both]],
    unexpected: Callable[[_MatchSet, _MatchSet], int],
    progress: Update,
) -> "_Tally":
    """What the match sets of some images are, in the former and in the new generation. What is not
    as expected is read again, because both go on changing."""
    tally = _Tally(unexpected)
    doubtful: list[int] = []
    for start in range(0, len(positions), _PORTION):
        portion = positions[start : start + _PORTION]
        for position, former, new in _lower(read(portion)):
            if unexpected(former, new):
                doubtful.append(position)
            else:
                tally.count(position, former, new)
        progress(start + len(portion), len(positions))
    if doubtful:
        time.sleep(_SETTLE_SECONDS)
    for start in range(0, len(doubtful), _PORTION):
        for position, former, new in _lower(read(doubtful[start : start + _PORTION])):
            tally.count(position, former, new)
    return tally


def _lower(both: Iterator[_Both]) -> Iterator[_Both]:
    """Only the matches at lower positions: each pair once."""
    for position, *sets in both:
        former, new = (
            {other: apart for other, apart in matches.items() if other < position}
            for matches in sets
        )
        yield position, former, new


@dataclass
class _Tally:
    unexpected: Callable[[_MatchSet, _MatchSet], int]
    unchanged: int = 0
    moved: int = 0
    most_moved: float = 0.0
    wrong: int = 0
    gained: int = 0
    lost: int = 0
    samples_gained: list[tuple[int, int, float]] = field(default_factory=list)
    samples_lost: list[tuple[int, int, float]] = field(default_factory=list)

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
