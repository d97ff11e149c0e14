"""What the command line asks of the service about single pictures, and what became of each."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from facematch.client import Client, JobAnswer, MatchAnswer, MatchesAnswer
from facematch.errors import ABOUT_ALL, FacematchError, Rejected
from facematch.store import ALL, Filter, State


@dataclass(frozen=True)
class Result:
    """What became of one thing that was asked about: a file, a URL or a hash.

    `page` is there once the service was asked for its matches, `matches` once they are known.
    `more`: there are more of them than were asked for. `code` and `detail` say why it failed.
    """

    asked: str
    state: str
    hash: str | None = None
    code: str | None = None
    detail: str | None = None
    page: MatchesAnswer | None = None
    matches: Sequence[MatchAnswer] | None = None
    more: bool = False

    @property
    def known(self) -> bool:
        """Whether its matches are."""
        return self.matches is not None


def submitted(client: Client, what: Iterable[Path | str], wait: float, limit: int) -> list[Result]:
    """Submit all files and URLs, wait up to `wait` seconds for all, and only then read up to
    `limit` (0: all) matches of each: pictures that are submitted together find each other.

    What is wrong with one of them is its result; raises what concerns them all.
    """
    begun = [(str(item), _begun(client, item)) for item in what]
    deadline = time.monotonic() + wait
    ended = [
        (asked, job if isinstance(job, Result) else _waited_for(asked, job, client, deadline))
        for asked, job in begun
    ]
    return [
        job if isinstance(job, Result) else _result(asked, job, client, limit)
        for asked, job in ended
    ]


def matches_of(
    client: Client, asked: str, image: str, wait: float, limit: int, only: Filter = ALL
) -> Result:
    """The result for an image with this hash, with up to `limit` (0: all) of the matches that are
    asked for, after waiting up to `wait` seconds for them to be known. Raises NotFound, Conflict.
    """
    # One more than is shown tells whether there are more.
    pages = client.match_pages(
        *(image, wait, limit + 1 if limit else None),
        max_distance=only.max_distance,
        max_false_matches=only.max_false_matches,
    )
    page = next(pages)
    if page.matches is None:
        return Result(asked, page.state, image, page.code, page=page)
    found = chain(page.matches, chain.from_iterable(further.matches or () for further in pages))
    matches = list(islice(found, limit or None))
    more = next(found, None) is not None
    return Result(asked, page.state, image, page=page, matches=matches, more=more)


def _begun(client: Client, item: Path | str) -> JobAnswer | Result:
    try:
        return client.submit_url(item) if isinstance(item, str) else client.submit(item)
    except FacematchError as error:
        return _failed(str(item), error)
    except OSError as error:
        return _failed(str(item), Rejected("unreadable", error.strerror or str(error)))


def _waited_for(asked: str, job: JobAnswer, client: Client, deadline: float) -> JobAnswer | Result:
    try:
        return client.wait_for(job, deadline - time.monotonic())
    except FacematchError as error:
        return _failed(asked, error)


def _result(asked: str, job: JobAnswer, client: Client, limit: int) -> Result:
    if job.state is not State.DONE or job.hash is None:
        return Result(asked, job.state, job.hash, job.code, job.detail)
    try:
        return matches_of(client, asked, job.hash, 0.0, limit)
    except FacematchError as error:
        return _failed(asked, error, job.hash)


def _failed(asked: str, error: FacematchError, image: str | None = None) -> Result:
    """The result of the one that this error is about; raises an error that is about them all."""
    if isinstance(error, ABOUT_ALL):
        raise error
    state = State.ERASED if error.code == "erased" else State.FAILED
    return Result(asked, state, image, error.code, str(error))
