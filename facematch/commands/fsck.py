"""`facematch fsck`: which store it looks at, and what it prints."""

import contextlib
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from facematch import fsck, progress
from facematch.collection_name import DEFAULT, edition_name
from facematch.commands.stores import urls
from facematch.commands.text import Document
from facematch.errors import NotFound, Unavailable
from facematch.indexes import tail_of
from facematch.log import Tail
from facematch.redis_collections import RedisCollections
from facematch.redis_connection import Redis, connect
from facematch.redis_leftovers import leftovers
from facematch.redis_reencoding import RedisReencoding
from facematch.redis_store import RedisStore
from facematch.redis_vitals import RedisVitals

_SHOWN = 20


def check(data: Path | None, collection: str | None = None) -> fsck.Report:
    """Check a collection with all its editions, None: all of them, in the store that
    facematch.commands.stores.urls says. How much was found in all is noted there for metrics.

    Raises Misconfigured for a folder without data, NotFound, Unavailable.
    """
    with (
        urls(data) as (redis_url, index_url),
        connect(redis_url) as client,
        contextlib.closing(progress.on(sys.stderr, "faces")) as shown,
    ):
        if collection is not None:
            return _checked(client, index_url, collection, shown.update)
        report = _checked(client, index_url, DEFAULT, shown.update)
        for name in RedisCollections(client).names():
            if name != DEFAULT:
                with contextlib.suppress(NotFound):  # erased meanwhile
                    report = _with(report, name, _checked(client, index_url, name, shown.update))
        left = [fsck.Finding("leftovers", said) for said in leftovers(client)]
        report = replace(report, findings=(*report.findings, *left))
        with contextlib.suppress(Unavailable):  # what was found is worth more than the note
            RedisVitals(client).note_checked(Counter(one.invariant for one in report.findings))
        return report


def _checked(
    client: Redis, index_url: str | None, collection: str, update: progress.Update
) -> fsck.Report:
    """What was looked at is told of the edition that is served, what was found of both."""
    there = RedisReencoding(client, collection).editions()

    def checked(number: int) -> fsck.Report:
        name = edition_name(collection, number)
        return fsck.run(RedisStore(client, name), _positions(index_url, name), update)

    report = checked(there.served.number)
    if there.other is None:
        return report
    other = checked(there.other.number)
    found = _found_in(f"edition {there.other.number}", other)
    unfinished = report.unfinished + other.unfinished
    return replace(report, unfinished=unfinished, findings=(*report.findings, *found))


def _with(report: fsck.Report, name: str, other: fsck.Report) -> fsck.Report:
    """With what was looked at and found in another collection."""
    counts = ("images", "faces", "pairs", "matches", "unfinished")
    sums = {one: getattr(report, one) + getattr(other, one) for one in counts}
    found = _found_in(f"collection {name}", other)
    return replace(report, **sums, findings=(*report.findings, *found))


def _found_in(where: str, report: fsck.Report) -> list[fsck.Finding]:
    return [replace(one, detail=f"{where}: {one.detail}") for one in report.findings]


def document(report: fsck.Report) -> Document:
    """For a script."""
    return asdict(report)


def lines(report: fsck.Report) -> Iterator[str]:
    """For people."""
    yield (
        f"{report.images:,} images with {report.faces:,} faces,"
        f" {report.pairs:,} pairs compared, {report.matches:,} matches"
    )
    if report.unfinished:
        yield f"{report.unfinished:,} jobs, images or erasures are still under way"
    yield from finding_lines(report.findings)


def finding_lines(findings: Sequence[fsck.Finding]) -> Iterator[str]:
    """The first ones, and how many there are."""
    for finding in findings[:_SHOWN]:
        yield f"  {finding.invariant}: {finding.detail}"
    if len(findings) > _SHOWN:
        yield "  …"
    yield f"{len(findings):,} findings"


def _positions(index_url: str | None, name: str) -> list[Tail]:
    """Where the index beside this store is in the log of an edition; none if there is no index
    here."""
    if index_url is None:
        return []
    try:
        tail = tail_of(index_url, name)
    except Unavailable:
        return []
    return [] if tail is None else [tail]
