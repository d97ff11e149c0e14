"""What happens to one job, step by step: the file to read first.

    begin → fetch → look (decode, find, encode) → commit → query → link → done

Every step may be repeated by anyone at any time: after a crash, a redelivery, or by the
sweeper. What is shared is only the store.
"""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import structlog

from facematch import tracing
from facematch.calibration import Norms, calibration
from facematch.errors import Misconfigured, NotFound, Rejected, Unavailable
from facematch.faces import Face, image_hash
from facematch.failpoints import reached
from facematch.neighbours import Neighbours
from facematch.store import (
    LINK_CHUNK,
    Commit,
    Committed,
    Job,
    Link,
    Linked,
    State,
    Store,
)
from worker.looking import Crashed, Looker
from worker.matching import find_matches
from worker.rating import Rating, calibration_for, stored_faces
from worker.stages import begin, stage

_log = structlog.get_logger()

#: Times that an image is queried anew because the log moved under it.
_TRIES = 5
#: The code of a store that is full, or away; for so long one that is away is waited for.
_STORE_AWAY = "store_unavailable"
_AWAY_SECONDS, _AWAY_PAUSE_SECONDS = 5.0, 0.5


def _nobody(job: Job, stages: Mapping[str, float]) -> None:
    pass


@dataclass(frozen=True)
class Parts:
    """What the pipeline works with. `fetch` gives the bytes behind a URL; it raises as `looker`
    does. `model` is that of the looker's encodings, `calibration` that which the collection has for
    them, "" for none. `ended` is told of each job that was worked on
    and of the seconds of its stages."""

    store: Store
    neighbours: Neighbours
    fetch: Callable[[str], bytes]
    looker: Looker
    model: str
    max_attempts: int
    ended: Callable[[Job, Mapping[str, float]], None] = _nobody
    calibration: str = ""


def process(job_id: str, parts: Parts) -> Job:
    """Bring a job to its end and return it. `followed_by` says whose workers wait for that.

    Raises NotFound for an unknown job, Unavailable when a part is not there: then the job is
    as it was before some step and is to be tried again. Raises Misconfigured when the
    collection is not of the encoder's model.
    """
    seconds = begin()
    job = parts.store.begin(job_id)
    tracing.note(image=job.image)
    if job.follows:
        return job  # published again by who ends it in the edition that is served, or the sweeper
    followed_by = job.followed_by
    had_ended = job.state not in (State.ACCEPTED, State.INDEXED) and not job.settled
    if job.state is State.ACCEPTED:
        try:
            _place(job, parts)
        except Rejected as error:
            parts.store.fail(job.id, error.code, str(error))
        except Crashed as error:
            _fail_at_last(job, error, "", parts)
        except Unavailable as error:
            if error.code == _STORE_AWAY:
                _give_back(job, parts.store)
            raise
        job = parts.store.job(job.id)
    if job.state is State.INDEXED:
        try:
            with stage("finish"):
                finish(job.image, parts)
        except (Unavailable, Misconfigured):
            raise
        except Exception:  # noqa: BLE001 - nothing counts attempts now: at the sweeper's pace
            _log.exception("left to the sweeper", image=job.image)
        job = parts.store.job(job.id)
    tracing.note(image=job.image, state=str(job.state), code=job.code)
    # Not the detail: it may name what was seen. Who may know asks for the job.
    why = {"code": job.code} if job.code else {}
    _log.info("job", state=str(job.state), image=job.image or None, seconds=seconds, **why)
    if not had_ended:
        parts.ended(job, seconds)
    return replace(job, followed_by=followed_by)


def finish(image: str, parts: Parts) -> None:
    """Bring an indexed image to done: query, then link. No-op for any other state.

    Raises Unavailable as `process` does.
    """
    for _ in range(_TRIES):
        try:
            shown = parts.store.image(image)
        except NotFound:
            return
        place = Committed(shown.state, shown.position, shown.nonce)
        if place.state is not State.INDEXED:
            return
        with stage("query"):
            link = _query(image, place, parts)
        if link is None:
            return
        reached("after_query")
        with stage("link"):
            result = _link(link, parts.store)
        if result is Linked.DONE:
            reached("after_link")
        if result in (Linked.DONE, Linked.SUPERSEDED):
            return  # if the other one does not finish, the sweeper does
    raise Unavailable("index_diverged", "the log moved under every query")


def _place(job: Job, parts: Parts) -> None:
    """Give the job's image its place in the log."""
    if job.attempts > parts.max_attempts:
        if job.in_hand:
            return  # by a worker that may succeed; if it does not, the sweeper comes back to it
        raise Rejected("attempts_exhausted")
    with stage("fetch"):
        data = parts.fetch(job.url) if job.url else parts.store.uploaded(job.image)
    if data is None:
        _follow_the_image(job, parts.store)
        return
    reached("fetched")
    image = image_hash(data)
    tracing.note(image=image)
    if job.image and image != job.image:
        raise Rejected("changed")
    try:
        picture = parts.looker.look(data)
    except Rejected as error:
        parts.store.fail(job.id, error.code, str(error), image)
        return
    except Crashed as error:
        _fail_at_last(job, error, image, parts)
        return
    reached("encoded")
    commit = Commit(
        job=job.id,
        image=image,
        nonce=secrets.token_hex(8),
        model=parts.model,
        faces=picture.faces,
        width=picture.width,
        height=picture.height,
        faces_found=picture.total,
        norms=_norms(picture.faces, parts.calibration),
        thumbnail=picture.thumbnail,
    )
    reached("before_commit")
    with stage("commit"):
        parts.store.commit(commit)
    reached("after_commit")


def _give_back(job: Job, store: Store) -> None:
    """An attempt that ended because the store was full, or away, says nothing of the picture."""
    until = time.monotonic() + _AWAY_SECONDS
    while time.monotonic() < until:
        with suppress(Unavailable):
            store.give_back(job.id)
            return
        time.sleep(_AWAY_PAUSE_SECONDS)


def _norms(faces: Sequence[Face], name: str) -> Norms | None:
    if not (name and faces):
        return None
    return calibration(name).norms(np.stack([face.encoding for face in faces]))


def _fail_at_last(job: Job, error: Crashed, image: str, parts: Parts) -> None:
    """End a job whose picture has crashed us as often as it may; before that, raise the error."""
    if job.attempts < parts.max_attempts:
        raise error
    parts.store.fail(job.id, error.code, str(error), image)


def _follow_the_image(job: Job, store: Store) -> None:
    """The upload is gone because another job with the same bytes has settled it."""
    if store.begin(job.id).state is State.ACCEPTED:
        image = store.image(job.image)
        if image.state is State.FAILED:
            store.fail(job.id, image.code, "the same bytes failed before")


def _query(image: str, place: Committed, parts: Parts) -> Link | None:
    """All matches of an image that is in the log, to be written; None when it is gone."""
    collection = parts.store.collection()
    rated_by = calibration_for(collection)
    stored, _ = stored_faces(parts.store, [place.position], rated_by)
    faces = stored.get(place.position)
    if faces is None:
        return None
    codes_to, rating = collection.codes_to(faces.size), None
    if rated_by is not None and faces.norms is not None:
        rating = Rating(rated_by, faces.norms, codes_to)
    found = find_matches(
        *(parts.store, parts.neighbours, faces.encodings),
        *(place.position, collection.reach, rating),
    )
    return Link(
        *(image, place, found.seen, secrets.token_hex(8), 0, found.pairs),
        last=True,
        exact=found.exact,
        reach=collection.reach,
        codes=found.codes,
        calibration=collection.rated_by,
        codes_to=codes_to,
    )


def _link(whole: Link, store: Store) -> Linked:
    result = Linked.WRITTEN
    for offset in range(0, max(1, len(whole.pairs)), LINK_CHUNK):
        some = slice(offset, offset + LINK_CHUNK)
        chunk = replace(
            whole,
            offset=offset,
            pairs=whole.pairs[some],
            last=offset + LINK_CHUNK >= len(whole.pairs),
            codes=whole.codes[some],
        )
        result = store.link(chunk)
        if result is not Linked.WRITTEN:
            return result
        reached("mid_link")
    return result
