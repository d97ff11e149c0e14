"""`facematch reindex`: match sets made anew while the former ones are served; and what can be done
with a reindex of either kind once there is one."""

import contextlib
import sys
import time
from collections.abc import Callable
from pathlib import Path

from facematch import progress
from facematch.broker import Broker
from facematch.collection_name import DEFAULT
from facematch.commands.reindex_parts import Parts, Wanted, parts_of
from facematch.commands.reindex_text import Reencode, There
from facematch.errors import Conflict, Unavailable
from facematch.job import REINDEX_QUEUE
from facematch.reencode import switch as switch_edition
from facematch.reencoding import Reencoding
from facematch.reindex import (
    BREATH_SECONDS,
    Outcome,
    begin_or_go_on,
    given_up,
    judge,
    publish_due,
    wait_until_built,
)
from facematch.reindexing import Phase, Reindexing


def run(data: Path | None, wanted: Wanted, collection: str = DEFAULT) -> Outcome | None:
    """Begin a reindex, or go on with the one there is; wait for the workers, compare, switch. None
    when that was done before.

    Raises Conflict, Misconfigured, Unavailable.
    """
    with (
        parts_of(data, collection) as parts,
        parts.broker(REINDEX_QUEUE) as broker,
        progress.one_after_another(sys.stderr) as shown,
    ):
        store = parts.store(parts.reencoding.editions().served.number)
        begun = begin_or_go_on(store, parts.reindexing, wanted.policy, wanted.share)
        if begun.phase is Phase.SWITCHED:
            return None
        publish = _publisher(parts, broker)
        built = wait_until_built(parts.reindexing, begun.id, publish, shown("positions"))
        outcome = judge(store, built, wanted.most_change, check=wanted.check, shown=shown)
        found = parts.reindexing.current()
        if found is None or found.id != built.id:
            raise given_up()
        if wanted.switch and not outcome.stopped:
            parts.reindexing.switch(built.id)
        return outcome


def status(data: Path | None, collection: str = DEFAULT) -> There:
    """The reindex there is. Raises Misconfigured, Unavailable."""
    with parts_of(data, collection) as parts:
        return there_in(parts)


def pause(data: Path | None, collection: str = DEFAULT) -> There:
    """Let no range be begun. Raises Conflict, Misconfigured, Unavailable."""
    return _told(data, collection, lambda one, reindex: one.pause(reindex), _by_interrupt)


def resume(data: Path | None, share: float | None, collection: str = DEFAULT) -> There:
    """Go on, with another share if one is given. Raises as `pause`."""
    there = _told(data, collection, lambda one, reindex: one.resume(reindex, share), _by_interrupt)
    with (
        contextlib.suppress(Unavailable),
        parts_of(data, collection) as parts,
        parts.broker(REINDEX_QUEUE) as broker,
    ):
        _publisher(parts, broker)()
    return there


def switch(data: Path | None, collection: str = DEFAULT) -> There:
    """Serve what was made, whatever the comparison says. Raises as `pause`, and
    Conflict("reindex_behind") when another encoder's workers do not keep up."""
    return _told(data, collection, lambda one, reindex: one.switch(reindex), switch_edition)


def rollback(data: Path | None, collection: str = DEFAULT) -> There:
    """Serve the former match sets, or the former edition, again. Raises as `pause`."""
    return _told(
        *(data, collection, lambda one, reindex: one.rollback(reindex)),
        lambda one, number: one.rollback(number),
    )


def cancel(data: Path | None, collection: str = DEFAULT) -> None:
    """Give up what is made. Raises as `pause`, and Conflict("reindex_phase") when it is served."""
    _told(
        data,
        collection,
        lambda one, reindex: one.cancel(reindex),
        lambda one, number: one.cancel(number),
        forget=True,
    )


def drop(data: Path | None, collection: str = DEFAULT) -> None:
    """Give the former match sets, or the former edition, up for good. Raises as `pause`, and
    Conflict("reindex_phase") while they are served."""
    _told(
        data,
        collection,
        lambda one, reindex: one.drop(reindex),
        lambda one, number: one.drop(number),
        forget=True,
    )


def there_in(parts: Parts) -> There:
    """The reindex there is. Raises Unavailable."""
    editions = parts.reencoding.editions()
    if editions.other is None:
        return parts.reindexing.current()
    return Reencode(editions, parts.reencoding.lag(editions.other.number))


def _told(
    data: Path | None,
    collection: str,
    tell: Callable[[Reindexing, str], None],
    tell_editions: Callable[[Reencoding, int], None],
    *,
    forget: bool = False,
) -> There:
    """The reindex there is, once it has been told something; None once it is given up."""
    with parts_of(data, collection) as parts:
        there = there_in(parts)
        if there is None:
            raise Conflict("no_reindex")
        if isinstance(there, Reencode):
            tell_editions(parts.reencoding, there.editions.later.number)
        else:
            tell(parts.reindexing, there.id)
        # Workers do it, too, and finish it if this does not.
        while forget and not parts.drop_some():
            time.sleep(BREATH_SECONDS)
        return there_in(parts)


def _by_interrupt(reencoding: Reencoding, number: int) -> None:
    raise Conflict(
        "reindex_phase",
        "what carries the images over is facematch reindex --encoder: interrupt that, and run it"
        " again to go on",
    )


def _publisher(parts: Parts, broker: Broker) -> Callable[[], None]:
    """What publishes ranges. Workers do it, too: so it need not get through."""

    def publish() -> None:
        with contextlib.suppress(Unavailable):
            publish_due(parts.reindexing, broker, collection=parts.collection)

    return publish
