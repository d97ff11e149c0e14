"""Drives a reindex from its beginning to the switch.

The work itself is done by workers, and goes on without this; begun again, it goes on where the
reindex is. Used by `facematch.commands.reindex`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from facematch import fsck
from facematch.broker import Broker
from facematch.errors import Conflict
from facematch.job import RangeMessage
from facematch.parity import Parity, compare
from facematch.reindexing import Phase, Reindex, Reindexing
from facematch.store import Store

#: Ranges are published while fewer messages than this wait; see worker.sweeper.
_QUEUE_ENOUGH = 1000
_LOOK_SECONDS = 0.5
#: A range that nobody has looked after for so long is published again.
_LEFT_LYING_SECONDS = 30.0

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Outcome:
    """What became of it. `fsck` is None where it was not asked for; `stopped`: why it was not
    switched to, "" otherwise."""

    reindex: Reindex
    parity: Parity
    fsck: fsck.Report | None
    stopped: str = ""


def publish_due(reindexing: Reindexing, broker: Broker, age: float) -> int:
    """Publish the ranges nobody has looked after for `age` seconds, as far as the queue is short;
    how many. Raises Unavailable."""
    reindex = reindexing.current()
    if reindex is None or reindex.phase is not Phase.BUILDING:
        return 0
    room = _QUEUE_ENOUGH - broker.depth()
    due = reindexing.due_ranges(room, age) if room > 0 else []
    for first in due:
        broker.publish(RangeMessage(reindex.id, first))
    return len(due)


def begin_or_go_on(reindexing: Reindexing, threshold: float, share: float) -> Reindex:
    """The reindex to this threshold: a new one, or the one there is that has not been switched to.

    Raises Conflict("reindex_exists") when there is another one.
    """
    found = reindexing.current()
    if found is None:
        return reindexing.begin(threshold, share)
    if found.phase is Phase.SWITCHED:
        raise Conflict(
            "reindex_exists",
            "the last reindex was switched to, and its former match sets are still kept:"
            " roll it back, or drop them",
        )
    if found.threshold != threshold:
        raise Conflict(
            "reindex_exists", f"there is a reindex to the threshold {found.threshold:g} already"
        )
    return found


def wait_until_built(
    reindexing: Reindexing,
    reindex: str,
    publish: Callable[[float], object],
    progress: Progress,
) -> Reindex:
    """The reindex, once it is built.

    `publish` is told the age of ranges that may be published. Raises Conflict("no_reindex") when
    somebody has given it up, Unavailable.
    """
    age = 0.0
    while True:
        found = reindexing.current()
        if found is None or found.id != reindex:
            raise Conflict("no_reindex", "somebody has given the reindex up")
        progress(min(found.base, (found.ranges - found.left) * found.span), found.base)
        if found.phase in (Phase.BUILT, Phase.SWITCHED):
            return found
        publish(age)
        age = _LEFT_LYING_SECONDS
        time.sleep(_LOOK_SECONDS)


def judge(
    store: Store,
    reindex: Reindex,
    most_change: float,
    *,
    check: bool,
    comparing: Progress,
    checking: Progress,
) -> Outcome:
    """Compare the new match sets with the former ones and with the truth. `most_change`: the share
    of pairs that may have changed otherwise than by the threshold. Raises Unavailable."""
    parity = compare(store, reindex, comparing)
    report = fsck.run(store, progress=checking) if check else None
    wrong = [] if report is None else report.findings
    stopped = ""
    if any(finding.generation in (None, reindex.generation) for finding in wrong):
        stopped = f"fsck has {len(wrong):,} findings"
    elif parity.share_unexpected > most_change:
        stopped = (
            f"{parity.share_unexpected:.2%} of the pairs have changed otherwise than by the"
            f" threshold, and {most_change:.2%} may"
        )
    return Outcome(reindex, parity, report, stopped)
