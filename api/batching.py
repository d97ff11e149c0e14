"""Many submissions in one request: all of it is received first, then each becomes a job.

A batch whose request broke off is none. With an idempotency key, a batch that this process died
over is gone on with when it is sent again: its jobs have the ids that they had.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import IO

from flask import Request

from api.body import spooled_body
from api.idempotency import fingerprint, key_of
from api.packed import Packed, Refused, files_of_form, files_of_zip, too_many, urls
from api.places import Places
from api.submission import Address, Submission, caller_of, clean_name
from facematch.batches import MOST_ITEMS, Batches, Item, job_of
from facematch.errors import NotFound, Rejected, Unavailable
from facematch.job import new_job_id

#: Received at once, each with a file of its own; and for one caller, who may be slow.
_AT_ONCE, _OF_ONE = 12, 3
_ZIP_TYPES = ("application/zip", "application/x-zip-compressed")
_NAME = 100


class Batching:
    """Makes batches of requests."""

    def __init__(
        self,
        submission: Submission,
        batches: Batches,
        charge: Callable[[int], None],
        max_bytes: int,
        most_bytes: int,
        who: Callable[[], str],
    ) -> None:
        """`charge`: told how many there are beside the first, raises Denied or Rejected where
        that is too many. `max_bytes` of a picture, `most_bytes` of a batch, packed and unpacked.
        `who`: whose request is being answered."""
        self._charge, self._who = charge, who
        self._submission = submission
        self._batches = batches
        self._max_bytes = max_bytes
        self._most_bytes = most_bytes
        self._places = Places(_AT_ONCE, _OF_ONE, "batch_busy")

    def accept(self, request: Request) -> str:
        """The id of the batch; its jobs are durable. Raises Rejected, Denied("quota_exceeded"),
        Conflict("key_reused"), Unavailable: also when nothing of it was taken because too much
        waits."""
        key = key_of(request)
        with (
            self._places.one(self._who()),
            spooled_body(request, self._most_bytes) as (file, digest),
        ):
            read = self._reader(request, file)
            # Seen to the end before anything is accepted, or its key taken: it may be broken,
            # or too much.
            count = _count(read())
            batch = new_job_id()
            if key:
                print_ = fingerprint(digest, request.mimetype)
                batch = self._batches.claim(key, print_, batch)
                if self._is_kept(batch):
                    return batch
            self._charge(count - 1)
            self._accept(batch, read, caller_of(request))
        return batch

    def _accept(self, batch: str, read: Callable[[], Iterator[Packed]], caller: str) -> None:
        items = [
            self._item(packed, job_of(batch, number), caller)
            for number, packed in enumerate(read())
        ]
        if all(item.code == "backlog_full" for item in items):
            raise Unavailable("backlog_full")
        self._batches.keep(batch, items)

    def _item(self, packed: Packed, job: str, caller: str) -> Item:
        name = packed.url if isinstance(packed, Address) else packed.name
        try:
            if isinstance(packed, Refused):
                raise packed.error
            return Item(self._submission.accept(packed, caller=caller, job=job).id)
        except Rejected as error:
            return Item(code=error.code, name=_shown(name))
        except Unavailable as error:
            if error.code != "backlog_full":
                raise
            return Item(code=error.code, name=_shown(name))

    def _reader(self, request: Request, file: IO[bytes]) -> Callable[[], Iterator[Packed]]:
        """What reads the body from its beginning."""
        kind = request.mimetype
        if kind == "multipart/form-data":
            given = request.mimetype_params.get("boundary", "").encode("latin-1", "replace")
            if not given:
                raise Rejected("bad_request", "the form has no boundary")
            return lambda: files_of_form(_begun(file), given, self._max_bytes)
        if kind in _ZIP_TYPES:
            most = self._most_bytes
            return lambda: files_of_zip(_begun(file), self._max_bytes, MOST_ITEMS, most)
        if kind == "application/json" or kind.endswith("+json"):
            return lambda: urls(_begun(file))
        raise Rejected(
            "bad_request", "a batch is application/json, multipart/form-data or application/zip"
        )

    def _is_kept(self, batch: str) -> bool:
        try:
            self._batches.batch(batch, 0, 0)
        except NotFound:
            return False
        return True


def _count(items: Iterable[Packed]) -> int:
    """How many there are. Raises Rejected for none or too many, or where they cannot be read."""
    count = 0
    for _ in items:
        count += 1
        if count > MOST_ITEMS:
            raise too_many(MOST_ITEMS)
    if not count:
        raise Rejected("bad_request", "there are no pictures in it")
    return count


def _begun(file: IO[bytes]) -> IO[bytes]:
    file.seek(0)
    return file


def _shown(name: str) -> str:
    """As much of a name as tells which item it is."""
    return clean_name(name.strip()[:_NAME])
