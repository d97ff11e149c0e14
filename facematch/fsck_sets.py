"""The match sets there are, compared with those there should be: for `facematch.fsck`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facematch.fsck_faces import Faces
from facematch.fsck_pairs import Finding, Pairs, Positions, Truth, joined
from facematch.store import Generation, Snapshot, Store

_PORTION = 1000


@dataclass(frozen=True, eq=False)
class Stored:
    """The match sets of a generation as they are stored, each direction for itself, and from which
    value on matches are left out, by position, before and after that was read."""

    generation: Generation
    pairs: Pairs
    before: Mapping[int, float]
    after: Mapping[int, float]

    @classmethod
    def read(cls, store: Store, snapshot: Snapshot, generation: Generation) -> "Stored":
        """Those of a generation. Raises Unavailable."""
        positions = [*sorted(snapshot.positions), *snapshot.erasing]
        before = store.limits(generation.number)
        found: list[tuple[Positions, Positions, NDArray[np.float64]]] = []
        for start in range(0, len(positions), _PORTION):
            some = store.scores(positions[start : start + _PORTION], generation.number)
            for position, others in some.items():
                found.append((np.full(len(others), position), *_columns(others)))
        return cls(generation, joined(found), before, store.limits(generation.number))

    def findings(self, invariant: str, wrong: Pairs, detail: str) -> Iterator[Finding]:
        """One for each of these pairs."""
        for one, other, value in wrong:
            text = detail.format(one=one, other=other, value=value)
            yield Finding(invariant, text, (one, other), self.generation.number)


def check_pairs(snapshot: Snapshot, faces: Faces, truth: Truth, kept: Stored) -> Iterator[Finding]:
    """Whether each pair of a generation is of living images, mutual, what it should be, and kept by
    the policy. What is being linked or erased is left out."""
    generation, stored = kept.generation, kept.pairs
    unsettled = [*snapshot.pending.values(), *snapshot.erasing]
    settled = ~(np.isin(stored.one, unsettled) | np.isin(stored.other, unsettled))
    stored = stored.those(settled & (stored.other <= snapshot.collection.tail.position))

    alive = np.isin(stored.other, list(snapshot.positions))
    erased = "{one} matches {other}, which is erased"
    yield from kept.findings("erasure", stored.those(~alive), erased)
    back = stored.find(stored.other, stored.one)
    mutual = (back >= 0) & (stored.values[back] == stored.values)
    # Read in portions, while ranges are written, and matches left out for better ones.
    built = np.maximum(stored.one, stored.other) > generation.building_to
    left_out = stored.values >= _least_limit(stored, kept.after)
    half = stored.those(alive & ~mutual & built & ~left_out)
    yield from kept.findings("symmetry", half, "{one} matches {other}, not the other way round")

    # What norms a reindex has given to faces since they were read without any, is not known here.
    given = [position for position in faces.lacking if position <= generation.building_to]
    judged = faces.owners[~np.isin(faces.owners, given)]
    known = np.isin(stored.one, judged) & np.isin(stored.other, judged)
    once = stored.those(alive & mutual & known & (stored.one < stored.other))
    places = truth.pairs.find(once.one, once.other)
    right = places >= 0
    right[right] = truth.kept_by(generation)[places[right]] & (
        truth.values(generation)[places[right]] == once.values[right]
    )
    wrong = once.those(~right)
    apart = Pairs(wrong.one, wrong.other, faces.smallest(wrong.one, wrong.other))
    unsound = "{one} and {other}, which are {value} apart, match otherwise than they should"
    yield from kept.findings("soundness", apart, unsound)

    beyond = stored.those(stored.values > _least_limit(stored, kept.before))
    yield from kept.findings("bounds", beyond, "{one} matches {other}, which it has left out")
    most = generation.bounds.max_matches
    if most is not None:
        owners, counts = np.unique(stored.one, return_counts=True)
        for position in owners[counts > most].tolist():
            text = f"{position} has more than {most:,} matches"
            yield Finding("bounds", text, (position,), generation.number)


def check_complete(snapshot: Snapshot, truth: Truth, kept: Stored) -> Iterator[Finding]:
    """Whether a generation has all pairs there should be, but those that were left out for better
    ones, of which both images say so."""
    generation = kept.generation
    pairs = Pairs(truth.pairs.one, truth.pairs.other, truth.values(generation))
    # The later image's job writes the pair.
    pending = np.isin(pairs.other, list(snapshot.pending.values()))
    settled = ~pending & (pairs.other > generation.building_to)
    wanted = pairs.those(settled & truth.kept_by(generation))
    missing = wanted.those(kept.pairs.find(wanted.one, wanted.other) < 0)
    left_out = missing.values >= _least_limit(missing, kept.after)
    said = [one in kept.after and other in kept.after for one, other, _ in missing]
    wrong = ~(left_out & np.array(said, dtype=np.bool_))
    since = generation.approximate_since
    for (one, other, value), silent in zip(missing.those(wrong), left_out[wrong], strict=True):
        detail, kind = f"{one} and {other} lack ({value})", "completeness"
        if since is not None and other >= since:
            kind = "approximate"
        elif silent:
            detail, kind = f"{detail}, and do not both say that some were left out", "bounds"
        yield Finding(kind, detail, (one, other), generation.number)


def _least_limit(pairs: Pairs, limits: Mapping[int, float]) -> NDArray[np.float64]:
    """From which value on a match of these images is left out by either: (n,)."""
    if not limits:
        return np.full(len(pairs), np.inf)
    at = np.array(sorted(limits))
    values = np.array([limits[position] for position in at.tolist()])

    def of(positions: Positions) -> NDArray[np.float64]:
        places = np.searchsorted(at, positions).clip(max=len(at) - 1)
        return np.where(at[places] == positions, values[places], np.inf)

    return np.minimum(of(pairs.one), of(pairs.other))


def _columns(others: Mapping[int, float]) -> tuple[Positions, NDArray[np.float64]]:
    return (
        np.fromiter(others, dtype=np.int64, count=len(others)),
        np.fromiter(others.values(), dtype=np.float64, count=len(others)),
    )
