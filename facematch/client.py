"""The REST client: `Client`, small, typed and synchronous, for programs and the command line.

What comes back is in the shapes and words of the REST interface. docs/client.md shows it at work.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import IO, TypeVar, Unpack
from urllib.parse import quote

import requests
from pydantic import TypeAdapter, ValidationError

from facematch import DEFAULT_URL
from facematch.batches_client import BatchesClient
from facematch.collection_name import DEFAULT
from facematch.collections_client import CollectionsClient
from facematch.errors import CODES, Misconfigured, NotFound, Rejected, Unavailable
from facematch.events_client import EventAnswer, events_of
from facematch.faces import Box
from facematch.faces_client import FacesClient, SearchAnswer, SearchOptions
from facematch.people_client import PeopleClient
from facematch.privacy import NO_BASIS, Basis, Rules
from facematch.rest import Rest, Upload, error_of
from facematch.store import State
from facematch.webhooks_client import WebhooksClient

#: The longest that the service lets a request wait; a longer wait is cut to it.
MAX_WAIT = 30.0

_UNFINISHED = (State.ACCEPTED, State.INDEXED)
_PAUSE = 1.0
_PAGE = 1000

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class JobAnswer:
    """A submission and what became of it. `hash` is None until the bytes behind a URL are known.

    `attempts` is 0 for bytes that the service knew already. `faces` is the number found in the
    picture, None until it was looked at. `code` and `detail` say why a job
    failed; `code` may be one that this version does not know.
    """

    job: str
    state: State
    hash: str | None
    name: str
    url: str | None
    attempts: int
    faces: int | None
    code: str | None
    detail: str | None

    @property
    def ended(self) -> bool:
        """Whether the state is done, failed or erased."""
        return self.state not in _UNFINISHED


@dataclass(frozen=True)
class FaceAnswer:
    """A face of an image."""

    box: Box


@dataclass(frozen=True)
class ImageAnswer:
    """An image. `faces` is None until they are known; `truncated`: there were more of them."""

    hash: str
    state: State
    names: tuple[str, ...]
    faces: tuple[FaceAnswer, ...] | None
    truncated: bool
    width: int | None
    height: int | None
    position: int | None
    model: str | None
    code: str | None


@dataclass(frozen=True)
class MatchAnswer:
    """An image with one of the same faces; `distance` is the smallest between their faces,
    `false_match_rate` the chance that faces of two different people match as well, None where it
    is not known."""

    hash: str
    names: tuple[str, ...]
    distance: float
    false_match_rate: float | None = None


@dataclass(frozen=True)
class MatchesAnswer:
    """A page of an image's matches, the most certain first.

    `matches` is None unless the state is done, and so is `expected_false_matches`: how many of all
    that are listed, on whichever pages, are to be expected to be false. `max_false_matches` and
    `max_matches` are bounds of the collection, None where there are none; `matches_truncated`: the
    second one has left matches out. Every match with an image at a position up to
    `complete_through` is known, unless `exact` is False: then an approximate index was asked, and
    some may be missing. `next` is the cursor of the next page.
    """

    hash: str
    state: State
    code: str | None
    faces: int | None
    position: int | None
    threshold: float | None
    model: str | None
    complete_through: int | None
    truncated: bool
    matches: tuple[MatchAnswer, ...] | None
    next: str | None
    exact: bool | None = None
    max_false_matches: float | None = None
    max_matches: int | None = None
    matches_truncated: bool | None = None
    expected_false_matches: float | None = None


_JOB = TypeAdapter(JobAnswer)
_IMAGE = TypeAdapter(ImageAnswer)
_MATCHES = TypeAdapter(MatchesAnswer)
_RULES = TypeAdapter(Rules)


class Client:
    """A facematch service. Safe to share between threads.

    Every method raises Unavailable when the service does not answer, also when asked several
    times; Rejected for what it refuses; NotFound for what it does not have or had erased
    (code "erased"); Denied when it wants a key, another one or one that is good for more (codes
    "no_key", "bad_key", "scope_missing"); Misconfigured when what answers is no such service.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        key: str | None = None,
        timeout: float = 30.0,
        attempts: int = 4,
        collection: str = DEFAULT,
        basis: Basis = NO_BASIS,
    ) -> None:
        """`timeout`: seconds the service may be silent beyond what it is asked to wait, and how
        long a call is tried again, at most `attempts` times. `collection`: that of all methods but
        `ready`. `basis`: why whatever it submits may be. Raises Misconfigured."""
        self._rest = Rest(url, key, timeout, attempts, collection, basis.headers())
        #: Who is who.
        self.people = PeopleClient(self._rest, self._read)
        #: Which collections there are.
        self.collections = CollectionsClient(self._rest, self._read)
        #: Which faces match.
        self.faces = FacesClient(self._rest, self._read)
        #: Many pictures at once.
        self.batches = BatchesClient(self._rest, self._read)
        #: Who is told what happens.
        self.webhooks = WebhooksClient(self._rest, self._read)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Where the service is, without a password."""
        return self._rest.shown

    @property
    def where(self) -> str:
        """Where the collection is, without a password."""
        return self._rest.shown + self._rest.below

    def close(self) -> None:
        """Close idle connections; the client stays usable."""
        self._rest.close()

    def submit(
        self,
        picture: bytes | str | os.PathLike[str] | IO[bytes],
        name: str | None = None,
        wait: float = 0.0,
    ) -> JobAnswer:
        """Submit a picture: its bytes, the path of its file, or a file that is open in binary mode,
        which is read from where it stands. A large one is sent as it is read.

        `name`: what it is to be known under; the file's own name by default. Waits up to `wait`
        seconds for the result. Raises OSError for a file that cannot be read.
        """
        with contextlib.ExitStack() as stack:
            body: bytes | Path | Upload
            if isinstance(picture, bytes):
                body, its_own = picture, ""
            elif isinstance(picture, str | os.PathLike):
                body = Path(picture)
                its_own = body.name
            else:
                body, its_own = stack.enter_context(Upload(picture)), _name_of(picture)
            # A file name need not be text; what is no text in it is replaced.
            known_as = os.fsencode(its_own if name is None else name).decode("utf-8", "replace")
            return self._submit({"name": known_as} if known_as else {}, body, wait)

    def submit_url(self, url: str, wait: float = 0.0) -> JobAnswer:
        """Submit a picture that the service is to fetch; waits as `submit` does."""
        return self._submit({}, {"url": url}, wait)

    def rules(self) -> Rules:
        """How long images of the collection are kept, and whether submissions say why."""
        return self._read(_RULES, self._rest.ask("GET", "/v1/privacy"))

    def rule(self, rules: Rules) -> Rules:
        """Let these be its rules from now on."""
        return self._read(_RULES, self._rest.ask("PUT", "/v1/privacy", body=asdict(rules)))

    def job(self, job: str, wait: float = 0.0) -> JobAnswer:
        """What became of a submission; waits up to `wait` seconds for it to end."""
        wait = min(wait, MAX_WAIT)
        answer = self._rest.ask("GET", f"/v1/jobs/{_segment(job)}", {"wait": wait}, wait=wait)
        return self._read(_JOB, answer)

    def wait_for(self, job: JobAnswer, timeout: float) -> JobAnswer:
        """The job once it has ended, or as it is after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not job.ended and (left := deadline - time.monotonic()) > 0:
            asked = time.monotonic()
            job = self.job(job.job, left)
            # The service may have no place left for who waits.
            if not job.ended and time.monotonic() - asked < min(left, _PAUSE):
                time.sleep(max(0.0, min(_PAUSE, deadline - time.monotonic())))
        return job

    def result(self, job: JobAnswer, timeout: float = 60.0) -> JobAnswer:
        """The job once it is done.

        Raises Rejected with the job's code when it failed, NotFound("erased") when the image was
        erased, Unavailable("unfinished") after `timeout` seconds.
        """
        job = self.wait_for(job, timeout)
        if job.state is State.DONE:
            return job
        if job.state is State.FAILED:
            code = job.code if job.code in CODES else "internal_error"
            raise Rejected(code, job.detail or CODES[code])
        if job.state is State.ERASED:
            raise NotFound("erased")
        raise Unavailable("unfinished", f"the job {job.job} is {job.state}, not done yet")

    def image(self, image: str) -> ImageAnswer:
        """The image with this hash."""
        return self._read(_IMAGE, self._rest.ask("GET", f"/v1/images/{_segment(image)}"))

    def matches(
        self,
        image: str,
        limit: int = 100,
        cursor: str | None = None,
        wait: float = 0.0,
        *,
        max_distance: float | None = None,
        max_false_matches: float | None = None,
    ) -> MatchesAnswer:
        """A page of up to `limit` (at most 10,000) matches of the image with this hash.

        `cursor`: `next` of the page before. Waits up to `wait` seconds for them to be known.
        `max_distance`: only matches at most so far apart. `max_false_matches`: only the most
        certain ones, so that no more of a face are to be expected to be false; raises
        Rejected("no_rates") where none are known.
        """
        wait = min(wait, MAX_WAIT)
        asked = {
            "limit": limit,
            "wait": wait,
            "cursor": cursor or None,
            "max_distance": max_distance,
            "max_false_matches": max_false_matches,
        }
        parameters = {name: value for name, value in asked.items() if value is not None}
        path = f"/v1/images/{_segment(image)}/matches"
        return self._read(_MATCHES, self._rest.ask("GET", path, parameters, wait=wait))

    def all_matches(
        self,
        image: str,
        wait: float = 0.0,
        *,
        max_distance: float | None = None,
        max_false_matches: float | None = None,
    ) -> Iterator[MatchAnswer]:
        """Every match of the image with this hash, the most certain first, read page by page; or
        those that `matches` would give with these bounds.

        Raises Unavailable("unfinished") when they are not known within `wait` seconds, Rejected
        when the image failed.
        """
        pages = self.match_pages(
            image, wait, max_distance=max_distance, max_false_matches=max_false_matches
        )
        for page in pages:
            if page.matches is None:
                raise _no_matches(page)
            yield from page.matches

    def match_pages(
        self,
        image: str,
        wait: float = 0.0,
        most: int | None = None,
        *,
        max_distance: float | None = None,
        max_false_matches: float | None = None,
    ) -> Iterator[MatchesAnswer]:
        """The pages of all matches of the image with this hash, each read when it is asked for; or
        of those that `matches` would give with these bounds.

        One page when they are not known within `wait` seconds. No page is larger than `most`.
        """
        size = _PAGE if most is None else min(most, _PAGE)
        read = partial(
            self.matches,
            image,
            size,
            wait=wait,
            max_distance=max_distance,
            max_false_matches=max_false_matches,
        )
        page = read()
        yield page
        while page.next is not None:
            page = read(cursor=page.next)
            yield page

    def search(
        self, picture: bytes | str | os.PathLike[str], **options: Unpack[SearchOptions]
    ) -> SearchAnswer:
        """Search with a picture that the service does not keep: see FacesClient.search."""
        return self.faces.search(picture, **options)

    def search_url(self, url: str, **options: Unpack[SearchOptions]) -> SearchAnswer:
        """The same with a picture that the service is to fetch."""
        return self.faces.search_url(url, **options)

    def delete(self, image: str) -> None:
        """Erase an image, its faces and its matches."""
        self._rest.ask("DELETE", f"/v1/images/{_segment(image)}")

    def events(self, after: str = "", heard: float = 60.0) -> Iterator[EventAnswer]:
        """What happens in the collection, as it happens; endless.

        `after`: the id of an event, to begin behind it; from now on without. A connection that is
        lost, or silent for `heard` seconds, is made again where it was. Raises Unavailable once the
        service does not answer several times in a row.
        """
        return events_of(self._rest, after, heard)

    def ready(self) -> None:
        """Raise Unavailable, with the reason, unless the service can do its work. Asks once."""
        answer = self._rest.exchange("GET", "/readyz")
        if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
            raise Unavailable("service_unavailable", f"{self.url} is not ready: {_missing(answer)}")
        if answer.status_code != HTTPStatus.OK:
            raise error_of(answer, self.url)

    def _submit(
        self, parameters: dict[str, str], body: bytes | Path | Upload | dict[str, str], wait: float
    ) -> JobAnswer:
        wait = min(wait, MAX_WAIT)
        answer = self._rest.ask("POST", "/v1/images", {**parameters, "wait": wait}, body, wait)
        return self._read(_JOB, answer)

    def _read(self, form: TypeAdapter[_Answer], answer: requests.Response) -> _Answer:
        try:
            return form.validate_json(answer.content)
        except ValidationError as error:
            raise Misconfigured(
                f"{self.url} answers in another form than a facematch service of this version"
            ) from error


def _name_of(file: IO[bytes]) -> str:
    """That of the file behind it, if it has one."""
    name = getattr(file, "name", "")
    return Path(name).name if isinstance(name, str) else ""


def _segment(text: str) -> str:
    return quote(text, safe="", errors="replace")


def _no_matches(page: MatchesAnswer) -> Unavailable | Rejected:
    if page.state is State.FAILED:
        code = page.code if page.code in CODES else "internal_error"
        return Rejected(code, f"the image {page.hash} failed: {CODES.get(code, page.code)}")
    return Unavailable("unfinished", f"the image {page.hash} is {page.state}, not done yet")


def _missing(answer: requests.Response) -> str:
    try:
        parts = answer.json()
        return ", ".join(
            f"{name} {state}" for name, state in parts.items() if name != "status" and state != "up"
        )
    except (ValueError, AttributeError):
        return answer.reason
