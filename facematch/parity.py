"""What a reindex changes: match sets of two generations, or of two editions, compared pair by
pair."""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from facematch.match_scores import UNRATED, most_code, scores_of, split
from facematch.progress import Update
from facematch.reindexing import Reindex
from facematch.store import Bounds, Collection, Store

_PORTION = 1000
_SAMPLES = 5
#: A link or an erasure under way comes through both generations within this time.
_SETTLE_SECONDS = 1.0

#: Code and distance by position of the other image.
_MatchSet = Mapping[int, tuple[int, float]]
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
    `unexpected` were moved, or were gained or lost although the two policies do not say so; with
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
    collection = store.collection()
    policies = [
        _Policy(reindex.former_threshold, collection, reindex.former, reindex.former_bounds),
        _Policy(reindex.threshold, collection, reindex.generation, reindex.bounds),
    ]

    def read(positions: Sequence[int]) -> Iterator[_Both]:
        former, new = (policy.read(store, positions) for policy in policies)
        return ((position, former[position], new[position]) for position in positions)

    def unexpected(position: int, former: _MatchSet, new: _MatchSet) -> int:
        before, after = policies
        return (
            sum(former[other][1] != new[other][1] for other in former.keys() & new.keys())
            + sum(
                after.must_have(position, other, *former[other])
                for other in former.keys() - new.keys()
            )
            + sum(
                before.must_have(position, other, *new[other])
                for other in new.keys() - former.keys()
            )
        )

    positions = sorted(itertools.chain.from_iterable(store.live()))
    return _compared(positions, read, unexpected, progress).parity(store)


class _Policy:
    """That of a generation, and what it has left out of its match sets as far as they were read."""

    def __init__(
        self, threshold: float, collection: Collection, number: int, bounds: Bounds
    ) -> None:
        self._threshold, self._number = threshold, number
        kept = [one for one in collection.generations if one.number == number]
        self._scored = all(one.scored for one in kept)
        # Of how many faces there were with an image nothing is known here: it may have been all.
        false = bounds.max_false_matches if self._scored else None
        self._highest = int(most_code(false, collection.size))
        self._left_out: Mapping[int, float] = {}
        self._newest: Callable[[], Mapping[int, float]] | None = None

    def read(self, store: Store, positions: Sequence[int]) -> dict[int, _MatchSet]:
        """The match sets of images."""
        found = store.scores(positions, self._number)
        self._newest = partial(store.limits, self._number)
        return {
            position: {other: self._split(score) for other, score in own.items()}
            for position, own in found.items()
        }

    def _split(self, score: float) -> tuple[int, float]:
        return split(score if self._scored else float(scores_of(UNRATED, score)))

    def must_have(self, position: int, other: int, code: int, distance: float) -> bool:
        """Whether a match that is not there, but elsewhere, should be there for all that is
        known."""
        kept = distance <= self._threshold and code <= self._highest
        return kept and not self._has_left_out(position, other)

    def _has_left_out(self, position: int, other: int) -> bool:
        if position in self._left_out and other in self._left_out:
            return True
        # There may be as many as images, and few are asked about: once after each read, then.
        if self._newest is None:
            return False
        self._left_out, self._newest = self._newest(), None
        return position in self._left_out and other in self._left_out


def _unrated(matches: Mapping[int, float]) -> _MatchSet:
    return {other: (UNRATED, distance) for other, distance in matches.items()}


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
                _unrated(
                    {to: apart for to, apart in former[position].items() if to in counterpart}
                ),
                _unrated(
                    {
                        back[to]: apart
                        for to, apart in new[counterpart[position]].items()
                        if to in back
                    }
                ),
            )

    def unexpected(position: int, former: _MatchSet, new: _MatchSet) -> int:
        del position
        return len(former.keys() ^ new.keys())

    return _compared(sorted(counterpart), read, unexpected, progress).parity(served)


def _compared(
    positions: Sequence[int],
    read: Callable[[Sequence[int]], Iterator[_Both]],
    unexpected: Callable[[int, _MatchSet, _MatchSet], int],
    progress: Update,
) -> "_Tally":
    """What the match sets of some images are, in the former and in the new generation. What is not
    as expected is read again, because both go on changing."""
    tally = _Tally(unexpected)
    doubtful: list[int] = []
    for start in range(0, len(positions), _PORTION):
        portion = positions[start : start + _PORTION]
        for position, former, new in _lower(read(portion)):
            if unexpected(position, former, new):
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
    unexpected: Callable[[int, _MatchSet, _MatchSet], int]
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
        self.wrong += self.unexpected(position, former, new)
        for other in former.keys() & new.keys():
            apart = abs(former[other][1] - new[other][1])
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
        samples.append((position, other, matches[other][1]))
