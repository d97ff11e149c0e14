"""`facematch reindex`: match sets made anew while the former ones are served."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from facematch import progress
from facematch.broker import Broker
from facematch.brokers import open_broker
from facematch.commands.fsck import finding_lines, urls
from facematch.commands.text import Document
from facematch.errors import Conflict, Unavailable
from facematch.job import REINDEX_QUEUE
from facematch.parity import Parity, Sample
from facematch.redis_connection import connect
from facematch.redis_reindexing import RedisReindexing
from facematch.redis_store import RedisStore
from facematch.reindex import (
    BREATH_SECONDS,
    Outcome,
    begin_or_go_on,
    given_up,
    judge,
    publish_due,
    wait_until_built,
)
from facematch.reindexing import Phase, Reindex
from facematch.settings import load


@dataclass(frozen=True)
class _Parts:
    """`broker`: None where no service runs that would do the work."""

    store: RedisStore
    reindexing: RedisReindexing
    broker: Broker | None


@dataclass(frozen=True)
class Wanted:
    """What `run` shall do. `threshold`, `share`: see facematch.reindex.begin_or_go_on;
    `most_change`: see facematch.reindex.judge; `check`: with fsck; `switch`: serve the new match
    sets when nothing is in the way."""

    threshold: float | None
    share: float | None
    most_change: float
    check: bool
    switch: bool


def run(data: Path | None, wanted: Wanted) -> Outcome | None:
    """Begin a reindex, or go on with the one there is; wait for the workers, compare, switch. None
    when that was done before.

    Raises Conflict, Misconfigured, Unavailable.
    """
    with _parts(data) as parts, contextlib.ExitStack() as stack:
        if parts.broker is None:
            raise Unavailable("service_unavailable", "a reindex is done by a service's workers")

        def shown(unit: str) -> progress.Update:
            stack.close()  # what was shown before
            return stack.enter_context(contextlib.closing(progress.on(sys.stderr, unit))).update

        begun = begin_or_go_on(parts.store, parts.reindexing, wanted.threshold, wanted.share)
        if begun.phase is Phase.SWITCHED:
            return None
        publish = _publisher(parts.reindexing, parts.broker)
        built = wait_until_built(parts.reindexing, begun.id, publish, shown("positions"))
        outcome = judge(parts.store, built, wanted.most_change, check=wanted.check, shown=shown)
        found = parts.reindexing.current()
        if found is None or found.id != built.id:
            raise given_up()
        if wanted.switch and not outcome.stopped:
            parts.reindexing.switch(built.id)
        return outcome


def status(data: Path | None) -> Reindex | None:
    """The reindex there is. Raises Misconfigured, Unavailable."""
    with _parts(data) as parts:
        return parts.reindexing.current()


def pause(data: Path | None) -> Reindex:
    """Let no range be begun. Raises Conflict, Misconfigured, Unavailable."""
    return _told(data, lambda parts, there: parts.reindexing.pause(there.id))


def resume(data: Path | None, share: float | None) -> Reindex:
    """Go on, with another share if one is given. Raises as `pause`."""

    def go_on(parts: _Parts, there: Reindex) -> None:
        parts.reindexing.resume(there.id, share)
        if parts.broker is not None:
            _publisher(parts.reindexing, parts.broker)()

    return _told(data, go_on)


def switch(data: Path | None) -> Reindex:
    """Serve the new match sets, whatever the comparison says. Raises as `pause`."""
    return _told(data, lambda parts, there: parts.reindexing.switch(there.id))


def rollback(data: Path | None) -> Reindex:
    """Serve the former match sets again. Raises as `pause`."""
    return _told(data, lambda parts, there: parts.reindexing.rollback(there.id))


def cancel(data: Path | None) -> None:
    """Give the new match sets up. Raises as `pause`, and Conflict("reindex_phase") when they are
    served."""
    _told(data, lambda parts, there: _forget(parts, parts.reindexing.cancel, there))


def drop(data: Path | None) -> None:
    """Give the former match sets up, for good. Raises as `pause`, and Conflict("reindex_phase")
    while they are served."""
    _told(data, lambda parts, there: _forget(parts, parts.reindexing.drop, there))


def document(there: Reindex | None) -> Document:
    """For a script."""
    return {"reindex": asdict(there) if there else None}


def lines(there: Reindex | None) -> Iterator[str]:
    """For people."""
    if there is None:
        yield "There is no reindex."
        return
    done = there.ranges - there.left
    yield (
        f"{there.phase}: generation {there.generation} with threshold {there.threshold:g}, in place"
        f" of generation {there.former} with threshold {there.former_threshold:g}"
    )
    yield f"{done:,} of {there.ranges:,} ranges are done, of {there.span:,} positions each"
    if there.share < 1:
        yield f"workers give {there.share:.0%} of their time to it"


def outcome_document(outcome: Outcome | None, switched: bool) -> Document:
    """For a script."""
    if outcome is None:
        return {"switched": True}
    return {
        "reindex": asdict(outcome.reindex),
        "parity": asdict(outcome.parity) | {"share_unexpected": outcome.parity.share_unexpected},
        "fsck": asdict(outcome.fsck) if outcome.fsck else None,
        "stopped": outcome.stopped or None,
        "switched": switched,
    }


def outcome_lines(outcome: Outcome | None, switched: bool) -> Iterator[str]:
    """For people."""
    if outcome is None:
        yield "The new match sets are served already."
        return
    there = outcome.reindex
    yield f"{there.base:,} positions with threshold {there.threshold:g}"
    yield from _parity_lines(outcome.parity)
    if outcome.fsck is not None:
        yield from finding_lines(outcome.fsck.findings)
    if outcome.stopped:
        yield f"Not served: {outcome.stopped}."
        yield "`facematch reindex switch` serves the new match sets all the same,"
        yield "`facematch reindex cancel` gives them up."
    elif switched:
        yield "The new match sets are served. `facematch reindex rollback` goes back,"
        yield "`facematch reindex drop` gives the former ones up."
    else:
        yield "`facematch reindex switch` serves them."


def _parity_lines(parity: Parity) -> Iterator[str]:
    yield (
        f"{parity.unchanged:,} pairs as before, {parity.gained:,} gained, {parity.lost:,} lost,"
        f" {parity.moved:,} with another distance"
        + (f" (by {parity.most_moved:.3g} at the most)" if parity.moved else "")
    )
    if parity.unexpected:
        yield f"{parity.unexpected:,} of these changes do not come from the threshold"
    for word, samples in (("gained", parity.samples_gained), ("lost", parity.samples_lost)):
        yield from (_sample_line(word, sample) for sample in samples)


def _sample_line(word: str, sample: Sample) -> str:
    return f"  {word}: {sample.image[:12]}… {sample.other[:12]}… {sample.distance:.4f}"


def _told(data: Path | None, tell: Callable[[_Parts, Reindex], object]) -> Reindex:
    """The reindex there is, once it has been told something."""
    with _parts(data) as parts:
        there = parts.reindexing.current()
        if there is None:
            raise Conflict("no_reindex")
        tell(parts, there)
        return parts.reindexing.current() or there


def _forget(parts: _Parts, end: Callable[[str], None], there: Reindex) -> None:
    end(there.id)
    # Workers do it, too, and finish it if this does not.
    while not parts.reindexing.drop_some():
        time.sleep(BREATH_SECONDS)


def _publisher(reindexing: RedisReindexing, broker: Broker) -> Callable[[], None]:
    """What publishes ranges. Workers do it, too: so it need not get through."""

    def publish() -> None:
        with contextlib.suppress(Unavailable):
            publish_due(reindexing, broker)

    return publish


@contextlib.contextmanager
def _parts(data: Path | None) -> Iterator[_Parts]:
    with contextlib.ExitStack() as stack:
        redis_url, index_url = stack.enter_context(urls(data))
        client = stack.enter_context(connect(redis_url))
        broker = None
        if index_url is not None:
            # Embedded, the store's server has the queues too.
            settings = load()
            ours = data is None and "redis_url" in settings.model_fields_set
            broker_url = settings.broker_url.get_secret_value() if ours else redis_url
            broker = open_broker(broker_url, queue=REINDEX_QUEUE)
            stack.callback(broker.close)
        yield _Parts(RedisStore(client), RedisReindexing(client), broker)
