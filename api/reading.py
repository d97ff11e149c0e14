"""What the routes read of the store, waiting for it where asked to."""

from api.schemas import UNFINISHED
from api.waiting import Awaited, Waiting
from facematch.errors import NotFound, Unavailable
from facematch.faces import is_image_hash
from facematch.store import ALL, Cursor, Filter, Front, Job, Match, MatchPage, State

_PORTION = 1000


class Reading:
    """Reads jobs, images and matches; touches nothing but the store."""

    def __init__(self, store: Front, waiting: Waiting) -> None:
        self._store = store
        self._waiting = waiting

    def job(self, job: str, seconds: float, known: Job | None = None) -> Job:
        """A job, finished if that comes about within `seconds`. `known`: what it is at first, where
        that is known. Raises NotFound, Unavailable."""
        return self._waiting.until(
            lambda: _awaited(self._store.job(job)), seconds, _awaited(known) if known else None
        )

    def outcome(self, accepted: Job, seconds: float) -> Job:
        """The job just accepted, finished if that comes about within `seconds`.

        Raises nothing for a store that goes away meanwhile: the job is accepted all the same,
        and its submitter has to hear that.
        """
        if accepted.state not in UNFINISHED:
            return accepted
        try:
            return self.job(accepted.id, seconds, accepted)
        except (NotFound, Unavailable):
            return accepted

    def matches(
        self, image: str, limit: int, after: Cursor | None, seconds: float, only: Filter = ALL
    ) -> MatchPage:
        """A page of matches, of an image that is finished if that comes about within `seconds`.

        Raises NotFound, Unavailable, Conflict("no_rates").
        """

        def read() -> Awaited[MatchPage]:
            page = self._store.matches(image, limit, after, only)
            return Awaited(page, (f"image:{image}",) if page.image.state in UNFINISHED else ())

        return self._waiting.until(read, seconds)

    def every_match(self, image: str) -> list[Match]:
        """All matches known by now, the most certain first; none for an image that is unknown or
        erased."""
        found: list[Match] = []
        if not is_image_hash(image):
            return found
        after: Cursor | None = None
        while True:
            try:
                page = self._store.matches(image, _PORTION, after)
            except NotFound:
                return []
            if page.image.state is State.ERASED:
                return []
            found += page.matches
            after = page.next
            if after is None:
                return found


def _awaited(job: Job) -> Awaited[Job]:
    if job.state not in UNFINISHED:
        return Awaited(job)
    image = (f"image:{job.image}",) if job.image else ()
    return Awaited(job, (f"job:{job.id}", *image))
