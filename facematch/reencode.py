"""Drives a reindex to another encoder from its beginning to the switch.

Begun again, it goes on where the reindex is. Used by `facematch.commands.reencode`.
"""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

from facematch import fsck
from facematch.carrying import CarryParts, carry_all
from facematch.errors import Conflict
from facematch.parity import Parity, compare_editions
from facematch.policy import PolicyChange, policy_told
from facematch.progress import Update
from facematch.reencoding import Editions, Lag, Reencoding
from facematch.reindexing import Phase
from facematch.store import State, Store

_PORTION = 500
_LOOK_SECONDS = 0.2
#: So long the other edition has to come up with the one that is served before a switch.
_CATCH_UP_SECONDS = 60.0
#: So many images may then be under way: there always are some where many are submitted.
_FEW = 50
_KNOWN = (State.INDEXED, State.DONE)


@dataclass(frozen=True)
class Encoder:
    """What makes the encodings of an edition: its `model`, and the settings of its workers."""

    model: str
    name: str
    detector: str


@dataclass(frozen=True)
class Missing:
    """An image that is not in the other edition, with the code that says why, and its names."""

    image: str
    code: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of it: of so many `images` in the edition that is served, those `missing` in the
    other one, and how many have another number of faces there. `fsck` is None where it was not
    asked for; `stopped`: why it was not switched to, "" otherwise."""

    editions: Editions
    images: int
    missing: tuple[Missing, ...]
    faces_changed: int
    parity: Parity
    fsck: fsck.Report | None
    stopped: str = ""


def begin_or_go_on(reencoding: Reencoding, encoder: Encoder, change: PolicyChange) -> Editions:
    """The reindex to this encoder: a new one, or the one there is. `change`: how the policy of the
    new edition differs from that of the one that is served, or of the reindex there is.

    Raises Conflict: reindex_exists when there is one to another encoder or policy, or of the
    other kind; same_model; old_data.
    """
    there = reencoding.editions()
    if there.other is None:
        served = there.served
        threshold = served.threshold if change.threshold is None else change.threshold
        bounds = change.bounds_of(served.bounds)
        return reencoding.begin(encoder.model, threshold, encoder.name, encoder.detector, bounds)
    if there.later.model != encoder.model:
        raise Conflict(
            "reindex_exists", f"there is a reindex to the model {there.later.model} already"
        )
    if not change.fits(there.later.threshold, there.later.bounds):
        told = policy_told(there.later.threshold, there.later.bounds)
        raise Conflict("reindex_exists", f"there is a reindex with the {told} already")
    return there


def build(parts: CarryParts, progress: Update) -> None:
    """Carry all images over. Raises as `carry_all`."""
    carry_all(parts, progress)
    parts.reencoding.built(parts.number)


def missing_images(
    reencoding: Reencoding, number: int, progress: Update
) -> tuple[int, tuple[Missing, ...], int]:
    """How many images the edition that is served has; which of them the other one has not; how many
    have another number of faces there. Raises Conflict("no_reindex"), Unavailable."""
    images = list(itertools.chain.from_iterable(reencoding.images()))
    count = changed = 0
    missing: list[Missing] = []
    for start in range(0, len(images), _PORTION):
        portion = images[start : start + _PORTION]
        for standing in reencoding.standing(number, portion):
            if standing.state not in _KNOWN:
                continue
            count += 1
            if standing.other in _KNOWN:
                changed += standing.faces_found != standing.other_faces_found
            elif standing.other in (None, State.FAILED):
                missing.append(Missing(standing.image, standing.code, standing.names))
        progress(start + len(portion), len(images))
    return count, tuple(missing), changed


def judge(
    reencoding: Reencoding,
    open_store: Callable[[int], Store],
    most_change: float,
    *,
    check: bool,
    shown: Callable[[str], Update],
) -> Outcome:
    """Compare the later edition with the one that is served and, if asked to, with the truth.

    `most_change`: the share of images that may be missing, and of pairs that may be others.
    `open_store`: the store of an edition. `shown`: shows the progress of something that is counted
    in a unit. Raises Conflict("no_reindex"), Unavailable.
    """
    there = reencoding.editions()
    number = there.later.number
    _caught_up(reencoding, number)
    store = open_store(number)
    parity = compare_editions(open_store(there.served.number), store, shown("positions compared"))
    report = fsck.run(store, progress=shown("faces checked")) if check else None
    wrong = sum(found.invariant != "approximate" for found in report.findings) if report else 0
    lag = _caught_up(reencoding, number)
    # At last: what has failed meanwhile is missing, too.
    images, missing, faces = missing_images(reencoding, number, shown("images compared"))
    stopped = ""
    if wrong:
        stopped = f"fsck has {wrong:,} findings"
    elif len(missing) > most_change * images:
        stopped = (
            f"{len(missing) / images:.2%} of the images are missing, and {most_change:.2%} may"
        )
    elif parity.share_unexpected > most_change:
        stopped = (
            f"{parity.share_unexpected:.2%} of the pairs are gained or lost, and"
            f" {most_change:.2%} may"
        )
    elif lag.behind > _FEW:
        stopped = str(_behind(lag))
    return Outcome(there, images, missing, faces, parity, report, stopped)


def _caught_up(reencoding: Reencoding, number: int) -> Lag:
    """How far the other edition is behind, once it is not any more or a minute later."""
    until = time.monotonic() + _CATCH_UP_SECONDS
    while (lag := reencoding.lag(number)).behind and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)
    return lag


def switch(reencoding: Reencoding, number: int) -> None:
    """Serve this edition, once it has come up with the one that is served.

    Raises Conflict: no_reindex; reindex_phase before it is built; reindex_behind when it has not
    come up within a minute. Raises Unavailable.
    """
    if reencoding.editions().phase is Phase.BUILT:
        lag = _caught_up(reencoding, number)
        if lag.behind > _FEW:
            raise _behind(lag)
    reencoding.switch(number)


def _behind(lag: Lag) -> Conflict:
    return Conflict(
        "reindex_behind",
        f"the new edition is {lag.behind:,} images behind the one that is served: are there workers"
        " with the new encoder?",
    )
