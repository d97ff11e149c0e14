"""`facematch fsck`: which store it looks at, and what it prints."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from facematch import fsck, progress
from facematch.commands.text import Document
from facematch.data_folder import default_data, running_service
from facematch.embedded import redis_url_of
from facematch.errors import Unavailable
from facematch.indexes import tail_of
from facematch.log import Tail
from facematch.redis_connection import connect
from facematch.redis_store import RedisStore
from facematch.settings import load

_SHOWN = 20


def check(data: Path | None) -> fsck.Report:
    """Check the store of a data folder; without one, the store that FACEMATCH_REDIS_URL names;
    without that, the store of the default data folder.

    Raises Misconfigured for a folder without data, Unavailable.
    """
    with (
        urls(data) as (redis_url, index_url),
        connect(redis_url) as client,
        contextlib.closing(progress.on(sys.stderr, "faces")) as shown,
    ):
        return fsck.run(RedisStore(client), _positions(index_url), shown.update)


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


@contextlib.contextmanager
def urls(data: Path | None) -> Iterator[tuple[str, str | None]]:
    """(URL of Redis, URL of an index if one may be there)."""
    if data is None and "redis_url" in (settings := load()).model_fields_set:
        yield settings.redis_url.get_secret_value(), settings.index_url.get_secret_value()
        return
    folder = data or default_data()
    with redis_url_of(folder) as redis_url:
        service = running_service(folder)
        yield redis_url, service.index_url if service else None


def _positions(index_url: str | None) -> list[Tail]:
    """Where the index beside this store is in the log; none if there is no index here."""
    if index_url is None:
        return []
    try:
        tail = tail_of(index_url)
    except Unavailable:
        return []
    return [] if tail is None else [tail]
