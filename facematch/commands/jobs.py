"""`facematch jobs`: which jobs have failed, and trying them again."""

import contextlib
import heapq
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from facematch import progress
from facematch.broker import Broker
from facematch.collection_name import DEFAULT
from facematch.commands.quietly import quiet
from facematch.commands.reindex_parts import Parts, parts_of
from facematch.commands.text import Document
from facematch.errors import CODES, MAY_PASS, NotFound, Unavailable
from facematch.failed_jobs import Failed, FailedJobs, Retried
from facematch.job import Message, queue_of
from facematch.redis_failed_jobs import RedisFailedJobs
from facematch.terminal import printable

_PORTION = 1000
_SHOWN = 20


@dataclass(frozen=True)
class Listed:
    """How many jobs have failed with each code, and those that were asked for, the last first;
    `left`: how many of them are not in the list, which is no longer than it was to be."""

    codes: Mapping[str, int]
    jobs: Sequence[Failed]
    left: int


@dataclass
class Tally:
    """What became of trying jobs again: how many are to be worked on, and the ids of those that
    are not."""

    accepted: int = 0
    no_source: list[str] = field(default_factory=list)
    not_failed: list[str] = field(default_factory=list)
    not_found: list[str] = field(default_factory=list)


def failed(
    data: Path | None, codes: Sequence[str], limit: int, collection: str = DEFAULT
) -> Listed:
    """Those with some codes, or with any; `limit` of them, 0: all. Raises Misconfigured,
    Unavailable."""
    with parts_of(data, collection) as parts:
        jobs = RedisFailedJobs(parts.client, collection)
        counts = dict(sorted(jobs.codes().items(), key=lambda item: (-item[1], item[0])))
        wanted = [code for code in counts if not codes or code in codes]
        each = [_all(jobs, code, limit) for code in wanted]
        listed = list(heapq.merge(*each, key=lambda job: job.time, reverse=True))[: limit or None]
        left = sum(counts[code] for code in wanted) - len(listed)
        return Listed(counts, listed, max(0, left))


def retry(
    data: Path | None,
    jobs: Sequence[str],
    codes: Sequence[str],
    every: bool,
    collection: str = DEFAULT,
) -> Tally:
    """Have jobs worked on again: these, those with these codes, and where `every` is asked for,
    those with a code that says that it may pass. Raises Misconfigured, Unavailable."""
    with (
        quiet(),
        parts_of(data, collection) as parts,
        _wake_up(parts) as broker,
        contextlib.closing(progress.on(sys.stderr, "jobs")) as shown,
    ):
        failed_jobs = RedisFailedJobs(parts.client, collection)
        there = failed_jobs.codes()
        wanted = [code for code in there if code in codes or (every and code in MAY_PASS)]
        # All of them before any is tried: what fails again is not tried again.
        listed = [job.job for code in wanted for job in _all(failed_jobs, code, 0)]
        chosen = list(dict.fromkeys([*jobs, *listed]))
        tally = Tally()
        for number, job in enumerate(chosen):
            if number % _PORTION == 0:
                shown.update(number, len(chosen))
            if not _retry(job, failed_jobs, tally) or broker is None:
                continue
            try:
                broker.publish(Message(job, collection=collection))
            except Unavailable:
                broker = None  # the sweeper does it, too; nobody shall wait for each in vain
        return tally


def _all(jobs: FailedJobs, code: str, limit: int) -> list[Failed]:
    """The last `limit`, or all. One that fails meanwhile moves the others, so that some come twice:
    none is left out."""
    found: dict[str, Failed] = {}
    start = 0
    while not limit or len(found) < limit:
        portion = jobs.failed(code, start, min(_PORTION, limit or _PORTION))
        if not portion:
            break
        found |= {job.job: job for job in portion}
        start += len(portion)
    return list(found.values())


def _retry(job: str, jobs: FailedJobs, tally: Tally) -> bool:
    """Whether it is to be worked on."""
    try:
        retried = jobs.retry(job)
    except NotFound:
        tally.not_found.append(job)
        return False
    if retried is Retried.NO_SOURCE:
        tally.no_source.append(job)
    elif retried is Retried.NOT_FAILED:
        tally.not_failed.append(job)
    else:
        tally.accepted += 1
    return retried is Retried.ACCEPTED


@contextlib.contextmanager
def _wake_up(parts: Parts) -> Iterator[Broker | None]:
    """The broker to wake workers up by; None where no service runs, to whose workers the sweeper
    hands them later."""
    if parts.broker_url is None:
        yield None
        return
    with parts.broker(queue_of(parts.reencoding.editions().served.number)) as broker:
        yield broker


def document(answer: Listed | Tally) -> Document:
    """For a script."""
    return asdict(answer)


def failed_lines(listed: Listed) -> Iterator[str]:
    """For people."""
    count = sum(listed.codes.values())
    if not count:
        yield "No job has failed."
        return
    yield f"{count:,} {'job has' if count == 1 else 'jobs have'} failed"
    for code, number in listed.codes.items():
        yield f"  {number:>9,}  {printable(code):<22}{CODES.get(code, '')}"
    for job in listed.jobs:
        when = datetime.fromtimestamp(job.time).astimezone().isoformat(" ", "seconds")
        yield f"{job.job}  {when}  {printable(job.code)}  {printable(job.name)}"
        if job.detail:
            yield f"  {printable(job.detail)}"
    if listed.left:
        yield f"{listed.left:,} more: --limit 0 lists all, --code those with one code"


def retried_lines(tally: Tally) -> Iterator[str]:
    """For people."""
    yield f"{tally.accepted:,} tried again"
    for jobs, why in (
        (tally.no_source, "uploaded, and the bytes are not kept: submit them again"),
        (tally.not_failed, "not failed, or under way again"),
        (tally.not_found, "not known"),
    ):
        if jobs:
            yield f"{len(jobs):,} {why}"
        yield from (f"  {printable(job)}" for job in jobs[:_SHOWN])
        if len(jobs) > _SHOWN:
            yield "  …"
