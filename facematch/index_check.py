"""Compares what an index answers with brute force over the store: `facematch index verify`.

May run while the service works: what comes or goes meanwhile is left out.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from facematch.errors import Unavailable
from facematch.faces import (
    FACES_PER_POSITION,
    Encodings,
    FaceIds,
    distances,
    ids_of_all,
    positions_of,
)
from facematch.fsck import Finding
from facematch.generations import Generations, current
from facematch.neighbours import Candidates, Neighbours, Query
from facematch.progress import Update
from facematch.store import Store

_PORTION = 1000
_PATIENCE = 10.0
_PAUSE = 0.5
_ASK_SECONDS, _ASK_PAUSE = 3.0, 0.05
_Told = TypeVar("_Told")


@dataclass(frozen=True)
class Verified:
    """What was compared: `sampled` faces with all `faces` of `images`; `neighbours` are those they
    have."""

    images: int
    faces: int
    sampled: int
    neighbours: int
    findings: tuple[Finding, ...]


def verify(
    store: Store,
    neighbours: Neighbours,
    left_over: Callable[[int], Iterable[Finding]],
    sample: int,
    progress: Update,
) -> Verified:
    """Ask the index about `sample` live faces, chosen by chance, and compare with the truth.

    `left_over` looks for faces that the index holds and the store does not, and is given how many
    the store has.
    Raises Unavailable when the store or the index does not answer.
    """
    _patiently(neighbours.check)
    live = sorted(position for portion in store.live() for position in portion)
    asked = _sample(store, live, sample)
    collection = store.collection()
    answers = [
        _patiently(
            partial(
                neighbours.within,
                Query(encoding[None], collection.threshold, collection.tail.position + 1),
            )
        )
        for encoding in asked
    ]
    findings = list(_diverged(store, answers))
    near, faces = _near(store, live, asked, collection.threshold, progress)
    missing = [
        face
        for answer, truth in zip(answers, near, strict=True)
        for face in np.setdiff1d(truth, answer.faces).tolist()
        if face // FACES_PER_POSITION <= answer.tail.position
    ]
    still = store.faces(sorted({face // FACES_PER_POSITION for face in missing}))
    lacking = [at for at in positions_of(np.array(missing, dtype=np.int64)) if at in still]
    kind = "missing" if all(answer.exact for answer in answers) else "approximate"
    findings += [Finding(kind, f"the index lacks the image at {at}", (at,)) for at in lacking]
    findings += left_over(faces)
    return Verified(len(live), faces, len(asked), sum(map(len, near)), tuple(findings))


def _patiently(ask: Callable[[], _Told]) -> _Told:
    """Ask again for a while: an index that follows the log past an erasure has no answer for a
    moment."""
    retrying = Retrying(
        retry=retry_if_exception(_passes),
        wait=wait_fixed(_ASK_PAUSE),
        stop=stop_after_delay(_ASK_SECONDS),
        reraise=True,
    )
    return retrying(ask)


def _passes(error: BaseException) -> bool:
    return isinstance(error, Unavailable) and error.code in ("index_loading", "index_behind")


def too_many(store: Store, count: Callable[[], int]) -> Callable[[int], Iterable[Finding]]:
    """For an index that only tells how many faces it holds: compares that, if the log does not
    change from now on until then."""
    before = store.collection().tail

    def compared(faces: int) -> Iterator[Finding]:
        held = count()
        if held != faces and store.collection().tail == before:
            yield Finding("count", f"the index holds {held:,} faces, the store {faces:,}")

    return compared


def left_in(store: Store, generations: Generations) -> Callable[[int], Iterable[Finding]]:
    """For generations: looks at every face. What is being deleted is given some time."""

    def compared(faces: int) -> Iterator[Finding]:
        del faces
        gone = _gone(store, generations)
        until = time.monotonic() + _PATIENCE
        while gone and time.monotonic() < until:
            time.sleep(_PAUSE)
            gone &= _gone(store, generations)
        for at in sorted(gone):
            yield Finding("left_over", f"the index holds faces of {at}, which is gone", (at,))

    return compared


def _gone(store: Store, generations: Generations) -> set[int]:
    """The positions of faces that are held and not in the store."""
    gone: set[int] = set()
    for place in current(generations.places())[-1:]:
        for ids in generations.held(place.generation):
            held = positions_of(ids)
            gone.update(set(held) - store.faces(held).keys())
    return gone


def _sample(store: Store, live: Sequence[int], count: int) -> list[Encodings]:
    rng = np.random.default_rng()
    chosen = rng.choice(live, min(count, len(live)), replace=False).tolist() if live else []
    held = store.faces(chosen)
    return [encodings[rng.integers(len(encodings))] for encodings in held.values()]


def _diverged(store: Store, answers: Sequence[Candidates]) -> Iterator[Finding]:
    for tail in {answer.tail for answer in answers}:
        if store.log(tail.position, 0).start != tail:
            yield Finding("log", f"it answers for another log than this at {tail.position}")


def _near(
    store: Store,
    live: Sequence[int],
    asked: Sequence[Encodings],
    threshold: float,
    progress: Update,
) -> tuple[list[FaceIds], int]:
    """For each of the asked the ids of all faces within the threshold, and how many there are."""
    near: list[list[FaceIds]] = [[np.empty(0, dtype=np.int64)] for _ in asked]
    count = 0
    for start in range(0, len(live), _PORTION):
        faces = store.faces(live[start : start + _PORTION])
        if faces and asked:
            ids = ids_of_all(faces)
            apart = distances(np.stack(asked), np.concatenate(list(faces.values())))
            for found, row in zip(near, apart <= threshold, strict=True):
                found.append(ids[row])
        count += sum(map(len, faces.values()))
        progress(min(start + _PORTION, len(live)), len(live))
    return [np.concatenate(found) for found in near], count
