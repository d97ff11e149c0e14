"""Drives a reindex from its beginning to the switch.

The work itself is done by workers, and goes on without this; begun again, it goes on where the
reindex is. Used by `facematch.commands.reindex`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from facematch import fsck
from facematch.broker import QUEUE_ENOUGH, Broker
from facematch.collection_name import DEFAULT
from facematch.errors import Conflict, Unavailable
from facematch.job import RangeMessage
from facematch.parity import Parity, compare
from facematch.policy import PolicyChange, policy_told
from facematch.progress import Update
from facematch.reindexing import Phase, Reindex, Reindexing
from facematch.store import Store

#: Between two portions of match sets that are forgotten: the store has time for requests.
BREATH_SECONDS = 0.005
_LOOK_SECONDS = 0.5
#: A range that nobody has looked after for so long is published again.
_LEFT_LYING_SECONDS = 30.0
#: For so long the store may be away while a reindex is waited for.
_PATIENCE_SECONDS = 300.0


@dataclass(frozen=True)
class Outcome:
    """What became of it. `fsck` is None where it was not asked for; `stopped`: why it was not
    switched to, "" otherwise."""

    reindex: Reindex
    parity: Parity
    fsck: fsck.Report | None
    stopped: str = ""


def publish_due(
    reindexing: Reindexing,
    broker: Broker,
    age: float = _LEFT_LYING_SECONDS,
    collection: str = DEFAULT,
) -> int:
    """Publish the ranges nobody has looked after for `age` seconds, as far as the queue is short;
    how many. Raises Unavailable."""
    reindex = reindexing.current()
    if reindex is None or reindex.phase is not Phase.BUILDING:
        return 0
    room = QUEUE_ENOUGH - broker.depth()
    due = reindexing.due_ranges(room, age) if room > 0 else []
    for first in due:
        broker.publish(RangeMessage(reindex.id, first, collection))
    return len(due)


def begin_or_go_on(
    store: Store, reindexing: Reindexing, change: PolicyChange, share: float | None
) -> Reindex:
    """The reindex to this policy: a new one, or the one there is. What is not changed is as it is
    in the match sets that are served, or in the reindex there is. `share` None: with all of the
    workers' time, or as before.

    Raises Conflict: reindex_exists when there is one to another policy, or that is switched;
    reindex_phase when it is paused; no_rates and old_data as Reindexing.begin.
    """
    found = reindexing.current()
    if found is None:
        threshold, bounds = change.of(store.collection().generations[0])
        return reindexing.begin(threshold, share or 1.0, bounds=bounds)
    fits = change.fits(found.threshold, found.bounds)
    if found.phase is Phase.SWITCHED and not (fits and change.threshold is not None):
        raise Conflict(
            "reindex_exists",
            "the last reindex was switched to, and its former match sets are still kept:"
            " roll it back, or drop them",
        )
    if not fits:
        told = policy_told(found.threshold, found.bounds)
        raise Conflict("reindex_exists", f"there is a reindex to the {told} already")
    if found.phase is Phase.PAUSED:
        raise Conflict("reindex_phase", "the reindex is paused: resume it first")
    if share is not None and found.phase is Phase.BUILDING:
        reindexing.resume(found.id, share)
    return found


def wait_until_built(
    reindexing: Reindexing, reindex: str, publish: Callable[[], object], progress: Update
) -> Reindex:
    """The reindex, once it is built. `publish`: publishes what is due.

    Raises Conflict("no_reindex") when
    somebody has given it up, Unavailable when the store is away for minutes.
    """
    answered = time.monotonic()
    while True:
        try:
            found = reindexing.current()
        except Unavailable:
            if time.monotonic() > answered + _PATIENCE_SECONDS:
                raise
            time.sleep(_LOOK_SECONDS)
            continue
        answered = time.monotonic()
        if found is None or found.id != reindex:
            raise given_up()
        progress(min(found.base, (found.ranges - found.left) * found.span), found.base)
        if found.phase in (Phase.BUILT, Phase.SWITCHED):
            return found
        publish()
        time.sleep(_LOOK_SECONDS)


def judge(
    store: Store,
    reindex: Reindex,
    most_change: float,
    *,
    check: bool,
    shown: Callable[[str], Update],
) -> Outcome:
    """Compare the new match sets with the former ones and, if asked to, with the truth.

    `most_change`: the share of pairs that may have changed otherwise than by the policy.
    `shown`: shows the progress of something that is counted in a unit. Raises Unavailable.
    """
    parity = compare(store, reindex, shown("positions compared"))
    report = fsck.run(store, progress=shown("faces checked")) if check else None
    wrong = 0 if report is None else sum(map(partial(_speaks_against, reindex), report.findings))
    stopped = ""
    if wrong:
        stopped = f"fsck has {wrong:,} findings"
    elif parity.share_unexpected > most_change:
        stopped = (
            f"{parity.share_unexpected:.2%} of the pairs have changed otherwise than by the"
            f" policy, and {most_change:.2%} may"
        )
    return Outcome(reindex, parity, report, stopped)


def given_up() -> Conflict:
    """That a reindex is not there any more."""
    return Conflict("no_reindex", "somebody has given the reindex up")


def _speaks_against(reindex: Reindex, finding: fsck.Finding) -> bool:
    return finding.invariant != "approximate" and finding.generation in (None, reindex.generation)
