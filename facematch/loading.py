"""Loading an index from the store: all live faces up to a place in the log.

Used by who keeps an index, and goes on from there by following the log. Right because faces never
change and a deletion is never taken back within one history of the log.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import structlog

from facematch.errors import Unavailable
from facematch.faces import Encodings, FaceIds, ids_of_all
from facematch.failpoints import reached
from facematch.log import Entry, Tail, follow
from facematch.store import LogSlice, Store

_PORTION = 1000
_SAY_SECONDS = 5.0

_log = structlog.get_logger()


class Intake(Protocol):
    """What takes in faces."""

    def require(self, faces: int) -> None:
        """Raise Unavailable("index_full") unless there is room for so many faces more."""

    def add(self, ids: FaceIds, encodings: Encodings) -> None:
        """Take in faces: ids (n,), ascending from call to call, encodings (n, 128)."""


@dataclass(frozen=True)
class Loaded:
    """What was loaded: every live image up to `tail`. Images erased after `tail` but before
    they were read are missing, so it is whole only once the log is followed up to `fence`."""

    tail: Tail
    fence: Tail


def load(
    store: Store, intake: Intake, stop: threading.Event, report: Callable[[int, int], None]
) -> Loaded | None:
    """Fill what is empty; None when `stop` was set meanwhile.

    `report` is called with the images loaded so far and all there are to load. Raises
    Unavailable when the store does not answer or the log changes its past, and "index_full".
    """
    tail = fence = store.collection().tail
    live: set[int] = set()
    for portion in store.live():
        live.update(position for position in portion if position <= tail.position)
        if stop.is_set():
            return None
    fence = advance(store, fence)
    positions = sorted(live)
    report(0, len(positions))
    intake.require(len(positions))  # each image has a face at least
    said = time.monotonic()
    _log.info("loading the collection", loaded=0, images=len(positions))
    # One portion is taken in, which needs no interpreter, while the next is read.
    with ThreadPoolExecutor(1) as adding:
        added = adding.submit(_add, intake, {})
        for start in range(0, len(positions), _PORTION):
            if stop.is_set():
                return None
            faces = store.faces(positions[start : start + _PORTION])
            fence = advance(store, fence)
            added.result()
            added = adding.submit(_add, intake, faces)
            loaded = min(start + _PORTION, len(positions))
            report(loaded, len(positions))
            if time.monotonic() - said > _SAY_SECONDS:
                said = time.monotonic()
                _log.info("loading the collection", loaded=loaded, images=len(positions))
            reached("mid_load")
        added.result()
    return Loaded(tail, fence)


def _add(intake: Intake, faces: Mapping[int, Encodings]) -> None:
    if faces:
        ordered = dict(sorted(faces.items()))
        intake.add(ids_of_all(ordered), np.concatenate(list(ordered.values())))


def advance(store: Store, fence: Tail) -> Tail:
    """The end of the log now. Raises Unavailable("index_diverged") when `fence`, a former end,
    is no longer in it: then what was read meanwhile may belong to different histories."""
    portion = store.log(fence.position, 1)
    if portion.start != fence:
        raise Unavailable("index_diverged", f"the log changed at position {fence.position}")
    return portion.tail


def continues(tail: Tail, portion: LogSlice) -> Tail:
    """The place reached by `portion`, read behind `tail`. Raises Unavailable unless it is the
    same history: `tail` itself may be trimmed away as long as the next entry is there."""
    gone = portion.start is None and not portion.entries
    if gone or portion.start not in (None, tail):
        raise Unavailable("index_diverged", f"another history up to position {tail.position}")
    return follow(tail, portion.entries)


@dataclass(frozen=True)
class Portion:
    """What the log has behind a place: `entries`, which lead to `tail`, and `faces`, by position,
    of the images they add. Some are `missing` where an image was erased meanwhile: who passes it
    is whole again at `fence` only. `end`: that of the log."""

    entries: Sequence[Entry]
    tail: Tail
    faces: Mapping[int, Encodings]
    missing: bool
    fence: Tail
    end: Tail


def read_on(store: Store, tail: Tail, fence: Tail) -> Portion:
    """The next portion of the log behind `tail`. `fence`: what must still be reached, or has been.

    Until the log has said that an image is erased, leaving out its faces would be wrong should the
    store lose the end of its log, the erasure with it. A fence that is not reached yet stays in
    force, whatever is missing since. Raises Unavailable("index_diverged") when the log is none that
    has `tail` and `fence` in it, and "index_behind" when it was trimmed.
    """
    log = store.log(tail.position, _PORTION)
    reached_at = continues(tail, log)
    if not log.entries and tail.position < fence.position:
        raise Unavailable("index_diverged", f"the log lost position {fence.position}")
    for entry in log.entries:
        if entry.position == fence.position and entry.tail != fence:
            raise Unavailable("index_diverged", f"the log changed at position {entry.position}")
    added = [entry.position for entry in log.entries if entry.op == "add"]
    faces = store.faces(added) if added else {}
    missing = len(faces) < len(added)
    if missing:
        fence = advance(store, max(fence, reached_at, key=lambda place: place.position))
    return Portion(log.entries, reached_at, faces, missing, fence, log.tail)
