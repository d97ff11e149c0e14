"""Sees one entry of an ingest through: submitted, waited for, and how it ended."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from facematch.client import Client, JobAnswer
from facematch.errors import ABOUT_ALL, FacematchError, NotFound
from facematch.ingest.journal import Done
from facematch.ingest.source import Entry
from facematch.store import State

#: Seconds of one long poll.
_POLL = 30.0
#: Times that a job may get lost by the service before the entry counts as failed.
_SUBMISSIONS = 3


class Kind(StrEnum):
    """How an entry ended."""

    DONE = "done"
    NO_FACE = "no_face"  # done, and no face is in the picture
    ALREADY_THERE = "already_there"  # the service had these bytes under way before
    ERASED = "erased"  # was done once, and erased since
    FAILED = "failed"


@dataclass(frozen=True)
class Outcome:
    """How an entry ended; `done` is what to remember of it. `code` says why it failed."""

    entry: Entry
    kind: Kind
    done: Done | None = None
    code: str = ""
    detail: str = ""


def see_through(
    client: Client,
    entry: Entry,
    before: Done | None,
    answered: Callable[[], bool],
    again: bool,
) -> Outcome | None:
    """Bring the entry to its end.

    `before`: what an earlier run remembers of it. `answered` is called whenever the service
    answered, and says whether to go on; if not, None is returned. `again`: it was submitted in
    this run already. Raises Unavailable, Misconfigured, Denied, and NotFound("unknown_collection"),
    which every other entry would meet as well; every other error is an outcome.
    """
    if entry.problem:
        return failed(entry, "unreadable", entry.problem)
    try:
        if before is not None and before.version == entry.version:
            outcome = _as_before(client, entry, before)
            if outcome is not None:
                return outcome
        return _submitted(client, entry, answered, again)
    except ABOUT_ALL:
        raise
    except FacematchError as error:
        if error.code == "unknown_collection":
            raise
        return failed(entry, error.code, str(error))
    except OSError as error:
        return failed(entry, "unreadable", error.strerror or str(error))


def failed(entry: Entry, code: str, detail: str) -> Outcome:
    """The outcome of an entry that came to nothing."""
    return Outcome(entry, Kind.FAILED, None, code, detail)


def _as_before(client: Client, entry: Entry, before: Done) -> Outcome | None:
    """Its outcome if the service still has what an earlier run brought it; else None."""
    try:
        image = client.image(before.hash)
    except NotFound as error:
        # What somebody erased on purpose does not come back by itself.
        return Outcome(entry, Kind.ERASED, before) if error.code == "erased" else None
    # The same bytes may be there under another name only, if the service's data were lost.
    if image.state is State.DONE and before.name in image.names:
        return Outcome(entry, Kind.ALREADY_THERE, before)
    return None


def _submitted(
    client: Client, entry: Entry, answered: Callable[[], bool], again: bool
) -> Outcome | None:
    for submission in range(1, _SUBMISSIONS + 1):
        if entry.path is None:
            job = client.submit_url(entry.name, wait=_POLL)
        else:
            job = client.submit(entry.path, entry.name, wait=_POLL)
        try:
            while not job.ended:
                if not answered():
                    return None
                job = client.wait_for(job, _POLL)
        except NotFound:
            if submission == _SUBMISSIONS:
                raise
            continue
        answered()
        return _outcome(entry, job, again or submission > 1)
    return None


def _outcome(entry: Entry, job: JobAnswer, again: bool) -> Outcome:
    if job.state is State.FAILED or job.hash is None:
        return failed(entry, job.code or "internal_error", job.detail or "")
    done = Done(entry.version, job.hash, job.name)
    if job.state is State.ERASED:
        return Outcome(entry, Kind.ERASED, done)
    if job.attempts == 0 and not again:
        return Outcome(entry, Kind.ALREADY_THERE, done)
    return Outcome(entry, Kind.DONE if job.faces else Kind.NO_FACE, done)
