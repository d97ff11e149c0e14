"""Loading an index from the store: all live faces up to a place in the log.

Used by `index.follower`, which goes on from there. Right because faces never change and a
deletion is never taken back within one history of the log.
"""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import structlog

from facematch.errors import Unavailable
from facematch.faces import Encodings, ids_of_all
from facematch.failpoints import reached
from facematch.log import Tail
from facematch.store import Store
from index.engine import AnyEngine

_PORTION = 1000
_SAY_SECONDS = 5.0

_log = structlog.get_logger()


@dataclass(frozen=True)
class Loaded:
    """What was loaded: every live image up to `tail`. Images erased after `tail` but before
    they were read are missing, so it is whole only once the log is followed up to `fence`."""

    tail: Tail
    fence: Tail


def load(
    store: Store, engine: AnyEngine, stop: threading.Event, report: Callable[[int, int], None]
) -> Loaded | None:
    """Fill an empty engine; None when `stop` was set meanwhile.

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
    engine.require(len(positions))  # each image has a face at least
    said = time.monotonic()
    _log.info("loading the collection", loaded=0, images=len(positions))
    # The engine takes in one portion, which needs no interpreter, while the next is read.
    with ThreadPoolExecutor(1) as adding:
        added = adding.submit(_add, engine, {})
        for start in range(0, len(positions), _PORTION):
            if stop.is_set():
                return None
            faces = store.faces(positions[start : start + _PORTION])
            fence = advance(store, fence)
            added.result()
            added = adding.submit(_add, engine, faces)
            loaded = min(start + _PORTION, len(positions))
            report(loaded, len(positions))
            if time.monotonic() - said > _SAY_SECONDS:
                said = time.monotonic()
                _log.info("loading the collection", loaded=loaded, images=len(positions))
            reached("mid_load")
        added.result()
    return Loaded(tail, fence)


def _add(engine: AnyEngine, faces: Mapping[int, Encodings]) -> None:
    if faces:
        ordered = dict(sorted(faces.items()))
        engine.add(ids_of_all(ordered), np.concatenate(list(ordered.values())))


def advance(store: Store, fence: Tail) -> Tail:
    """The end of the log now. Raises Unavailable("index_diverged") when `fence`, a former end,
    is no longer in it: then what was read meanwhile may belong to different histories."""
    portion = store.log(fence.position, 1)
    if portion.start != fence:
        raise Unavailable("index_diverged", f"the log changed at position {fence.position}")
    return portion.tail
