"""Recomputes the truth by brute force and compares the store with it: `facematch fsck`.

Needs nothing but the store, and may run while the service works: what was still being linked
or was erased meanwhile is left out.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facematch.errors import Unavailable
from facematch.faces import Encodings
from facematch.log import Tail, follow, genesis
from facematch.store import Generation, Snapshot, Store

_BLOCK = 2048
_PORTION = 1000
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it must be. `positions`: the images it is about.

    `invariant`: log, index, faces, erasure, symmetry, soundness, completeness; or approximate, a
    match that an approximate index did not find: it lacks as much, but nothing is broken.
    `generation`: that of the match sets it is about, None when it is about none.
    """

    invariant: str
    detail: str
    positions: tuple[int, ...] = ()
    generation: int | None = None


@dataclass(frozen=True)
class Report:
    """What was looked at and what was found. `matches`: those there should be in the match sets
    that are served. `unfinished`: jobs, images and erasures under way."""

    images: int
    faces: int
    pairs: int
    matches: int
    unfinished: int
    findings: tuple[Finding, ...]


def run(store: Store, indexes: Iterable[Tail] = (), progress: Progress | None = None) -> Report:
    """Check symmetry, soundness, completeness, erasure, the log and the given index positions.

    Raises Unavailable when the store does not answer.
    """
    snapshot = store.snapshot()
    faces = _Faces.load(store, sorted(snapshot.positions))
    generations = snapshot.collection.generations
    stored = {one.number: _stored_pairs(store, snapshot, one) for one in generations}
    findings = [
        *_check_log(snapshot),
        *_check_indexes(store, indexes),
        *_check_present(snapshot, faces),
    ]
    truth, compared = faces.matching_pairs(snapshot.collection.reach, progress)
    for generation in generations:
        pairs = stored[generation.number]
        findings += _check_pairs(snapshot, generation, faces, pairs)
        findings += _check_complete(snapshot, generation, truth, pairs)
    now = store.collection()
    gone = _erased_since(store, snapshot.collection.tail)
    return Report(
        images=len(snapshot.positions),
        faces=len(faces.encodings),
        pairs=compared,
        matches=sum(distance <= generations[0].threshold for distance in truth.values()),
        unfinished=len(snapshot.accepted) + len(snapshot.pending) + len(snapshot.erasing),
        findings=tuple(
            found
            for found in findings
            if gone.isdisjoint(found.positions) and found.generation in {None, *now.numbers}
        ),
    )


@dataclass(frozen=True, eq=False)
class _Faces:
    """All faces of the collection: encodings (n, 128) and, for each, its image's position."""

    encodings: Encodings
    owners: NDArray[np.int64]

    @classmethod
    def load(cls, store: Store, positions: list[int]) -> "_Faces":
        encodings: list[Encodings] = [np.empty((0, 128), dtype=np.float32)]
        owners: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
        for start in range(0, len(positions), _PORTION):
            for position, found in store.faces(positions[start : start + _PORTION]).items():
                encodings.append(found)
                owners.append(np.full(len(found), position, dtype=np.int64))
        return cls(np.concatenate(encodings), np.concatenate(owners))

    def matching_pairs(
        self, threshold: float, progress: Progress | None
    ) -> tuple[dict[tuple[int, int], float], int]:
        """(smallest distance by (lower, higher) position, how many pairs of faces were compared).

        A float32 matrix product with a margin preselects; float64 differences decide.
        """
        x, owners = self.encodings, self.owners
        norms = np.einsum("ij,ij->i", x, x, dtype=np.float64)
        # Generous against the rounding of 128 float32 products of this size.
        margin = 1e-4 * max(1.0, float(norms.max(initial=0.0)))
        pairs: dict[tuple[int, int], float] = {}
        for row in range(0, len(x), _BLOCK):
            for column in range(row, len(x), _BLOCK):
                rows, columns = slice(row, row + _BLOCK), slice(column, column + _BLOCK)
                squares = norms[rows, None] + norms[None, columns] - 2.0 * (x[rows] @ x[columns].T)
                near = np.argwhere(squares <= threshold**2 + margin)
                left, right = near[:, 0] + row, near[:, 1] + column
                keep = (left < right) & (owners[left] != owners[right])
                for pair, distance in _exact(x, owners, left[keep], right[keep]):
                    if distance <= threshold and distance < pairs.get(pair, np.inf):
                        pairs[pair] = distance
            if progress is not None:
                progress(min(row + _BLOCK, len(x)), len(x))
        return pairs, len(x) * (len(x) - 1) // 2


def _exact(
    x: Encodings, owners: NDArray[np.int64], left: NDArray[np.int64], right: NDArray[np.int64]
) -> Iterator[tuple[tuple[int, int], float]]:
    for start in range(0, len(left), _BLOCK):
        a, b = left[start : start + _BLOCK], right[start : start + _BLOCK]
        difference = x[a].astype(np.float64) - x[b].astype(np.float64)
        exact = np.sqrt(np.square(difference).sum(axis=1))
        low, high = np.minimum(owners[a], owners[b]), np.maximum(owners[a], owners[b])
        yield from zip(zip(low.tolist(), high.tolist(), strict=True), exact.tolist(), strict=True)


def _stored_pairs(
    store: Store, snapshot: Snapshot, generation: Generation
) -> dict[tuple[int, int], float]:
    """Distance by (position, position of the other), each direction for itself."""
    positions = [*sorted(snapshot.positions), *snapshot.erasing]
    found: dict[tuple[int, int], float] = {}
    for start in range(0, len(positions), _PORTION):
        linked = store.linked(positions[start : start + _PORTION], generation.number)
        for position, others in linked.items():
            found.update({(position, other): distance for other, distance in others.items()})
    return found


def _check_log(snapshot: Snapshot) -> Iterator[Finding]:
    entries, tail = snapshot.entries, snapshot.collection.tail
    begin = genesis(snapshot.collection.epoch)
    if entries and entries[0].position > 1:  # trimmed: the first entry that is left is the anchor
        begin, entries = entries[0].tail, entries[1:]
    try:
        if follow(begin, entries) != tail:
            yield Finding("log", f"the log does not end at position {tail.position}")
    except Unavailable as error:
        yield Finding("log", str(error))
    alive = {e.position: e.image for e in snapshot.entries if e.op == "add"}
    for entry in snapshot.entries:
        if entry.op == "del":
            alive.pop(entry.target, None)
    first = snapshot.entries[0].position if snapshot.entries else tail.position + 1
    held = {at: image for at, image in snapshot.positions.items() if at >= first}
    for at in sorted(alive.keys() ^ held.keys()):
        yield Finding("log", f"position {at} is in the log or alive, not both", (at,))


def _check_indexes(store: Store, indexes: Iterable[Tail]) -> Iterator[Finding]:
    for tail in indexes:
        start = store.log(tail.position, 0).start
        if start is not None and start != tail:
            yield Finding("index", f"an index reflects another log at position {tail.position}")


def _check_present(snapshot: Snapshot, faces: _Faces) -> Iterator[Finding]:
    for position in sorted(snapshot.positions.keys() - set(faces.owners.tolist())):
        yield Finding("faces", f"the image at {position} has lost its faces", (position,))


def _check_pairs(
    snapshot: Snapshot,
    generation: Generation,
    faces: _Faces,
    stored: dict[tuple[int, int], float],
) -> Iterator[Finding]:
    number = generation.number
    rows: dict[int, list[int]] = {}
    for row, owner in enumerate(faces.owners.tolist()):
        rows.setdefault(owner, []).append(row)
    unsettled = _unsettled(snapshot)
    for (position, other), distance in stored.items():
        if not unsettled.isdisjoint((position, other)) or other > snapshot.collection.tail.position:
            continue
        both = (position, other)
        if other not in snapshot.positions:
            yield Finding("erasure", f"{position} matches {other}, which is erased", both, number)
        elif stored.get((other, position)) != distance:
            detail = f"{position} matches {other}, not the other way round"
            yield Finding("symmetry", detail, both, number)
        elif position < other and position in rows and other in rows:
            exact = _smallest(faces.encodings, rows[position], rows[other])
            if exact != distance or exact > generation.threshold:
                detail = f"{position} and {other} are {exact} apart"
                yield Finding("soundness", detail, both, number)


def _smallest(x: Encodings, left: list[int], right: list[int]) -> float:
    difference = x[left].astype(np.float64)[:, None] - x[right].astype(np.float64)[None]
    return float(np.sqrt(np.square(difference).sum(axis=2)).min())


def _check_complete(
    snapshot: Snapshot,
    generation: Generation,
    truth: dict[tuple[int, int], float],
    stored: dict[tuple[int, int], float],
) -> Iterator[Finding]:
    pending, since = set(snapshot.pending.values()), generation.approximate_since
    for (low, high), distance in truth.items():
        # The later image's job writes the pair.
        settled = high not in pending and high > generation.building_to
        if settled and distance <= generation.threshold and (low, high) not in stored:
            kind = "completeness" if since is None or high < since else "approximate"
            detail = f"{low} and {high} lack ({distance})"
            yield Finding(kind, detail, (low, high), generation.number)


def _unsettled(snapshot: Snapshot) -> set[int]:
    return {*snapshot.pending.values(), *snapshot.erasing}


def _erased_since(store: Store, tail: Tail) -> set[int]:
    gone: set[int] = set()
    position = tail.position
    while entries := store.log(position, _PORTION).entries:
        gone.update(entry.target for entry in entries if entry.op == "del")
        position = entries[-1].position
    return gone
