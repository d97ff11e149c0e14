"""Recomputes the truth by brute force and compares the store with it: `facematch fsck`.

Needs nothing but the store, and may run while the service works: what was still being linked
or was erased meanwhile is left out.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from facematch.calibration import NAMES, calibration
from facematch.errors import Unavailable
from facematch.fsck_faces import Faces, check_faces
from facematch.fsck_pairs import Finding
from facematch.fsck_sets import Stored, check_complete, check_pairs
from facematch.log import Tail, follow, genesis
from facematch.progress import Update
from facematch.store import Snapshot, Store

__all__ = ["Finding", "Report", "run"]

_PORTION = 1000


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


def run(store: Store, indexes: Iterable[Tail] = (), progress: Update | None = None) -> Report:
    """Check symmetry, soundness, completeness, bounds, erasure, norms, counters, the log and the
    given index positions.

    Raises Unavailable when the store does not answer, newer_data when its rates are by a
    calibration that is not known here.
    """
    snapshot = store.snapshot()
    collection = snapshot.collection
    if collection.rated_by not in {"", *NAMES}:
        detail = f"its rates are by {collection.rated_by!r}, which this version has not"
        raise Unavailable("newer_data", detail)
    rated_by = calibration(collection.rated_by) if collection.rated_by else None
    faces = Faces.load(store, sorted(snapshot.positions), rated_by)
    generations = collection.generations
    # Read before the truth is computed, which takes long, and so about as of the snapshot.
    stored = [Stored.read(store, snapshot, generation) for generation in generations]
    findings = [
        *_check_log(snapshot),
        *_check_indexes(store, indexes),
        *check_faces(snapshot, faces),
    ]
    truth = faces.matching(collection.reach, progress)
    for kept in stored:
        findings += check_pairs(snapshot, faces, truth, kept)
        findings += check_complete(snapshot, truth, kept)
    now = store.collection()
    gone = _erased_since(store, snapshot.collection.tail)
    return Report(
        images=len(snapshot.positions),
        faces=len(faces.encodings),
        pairs=len(faces.encodings) * (len(faces.encodings) - 1) // 2,
        matches=int(truth.kept_by(generations[0]).sum()),
        unfinished=len(snapshot.accepted) + len(snapshot.pending) + len(snapshot.erasing),
        findings=tuple(
            found
            for found in findings
            if gone.isdisjoint(found.positions) and found.generation in {None, *now.numbers}
        ),
    )


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


def _erased_since(store: Store, tail: Tail) -> set[int]:
    gone: set[int] = set()
    position = tail.position
    while entries := store.log(position, _PORTION).entries:
        gone.update(entry.target for entry in entries if entry.op == "del")
        position = entries[-1].position
    return gone
