"""What the REST client asks about batches: `facematch.client.Client.batches`."""

import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import quote

import requests
from pydantic import TypeAdapter

from facematch.rest import Rest

_PAGE = 1000
_PAUSE = 0.5

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class BatchItemAnswer:
    """One of what was sent: `number` is its place, from 0. `state`: that of its job; or refused,
    `code` says why; or forgotten, if it ended so long ago that its job is not kept any more."""

    number: int
    state: str
    job: str | None
    hash: str | None
    name: str | None
    code: str | None


@dataclass(frozen=True)
class BatchAnswer:
    """A batch: how many of its `total` items are in which state, and a page of them. `finished`:
    none changes by itself any more. `next` is the cursor of the next page."""

    batch: str
    total: int
    finished: bool
    counts: Mapping[str, int]
    items: tuple[BatchItemAnswer, ...]
    next: str | None


_BATCH = TypeAdapter(BatchAnswer)


class _Read(Protocol):
    def __call__(self, form: TypeAdapter[_Answer], answer: requests.Response) -> _Answer: ...


class BatchesClient:
    """Many pictures at once. Raises what `facematch.client.Client` raises."""

    def __init__(self, rest: Rest, read: _Read) -> None:
        self._rest = rest
        self._read = read

    def submit_urls(self, urls: Sequence[str], key: str = "") -> BatchAnswer:
        """Submit up to 1,000 pictures that the service is to fetch.

        `key`: of your own, so that a batch which you send again, even from another process within a
        day, is the same one. Raises Rejected("key_reused") for one of another batch.
        """
        return self._submit({"urls": list(urls)}, "application/json", key)

    def submit_zip(self, archive: bytes | str | os.PathLike[str], key: str = "") -> BatchAnswer:
        """Submit up to 1,000 pictures in a zip archive: its bytes, or the path of its file. Raises
        OSError for a file that cannot be read."""
        body = archive if isinstance(archive, bytes) else Path(archive)
        return self._submit(body, "application/zip", key)

    def get(self, batch: str, limit: int = 100, cursor: str | None = None) -> BatchAnswer:
        """A batch, with a page of up to `limit` (at most 1,000) items; `cursor`: `next` of the page
        before."""
        asked: dict[str, str | int] = {"limit": limit}
        if cursor:
            asked["cursor"] = cursor
        path = f"/v1/batches/{quote(batch, safe='')}"
        return self._read(_BATCH, self._rest.ask("GET", path, asked))

    def items(self, batch: str) -> Iterator[BatchItemAnswer]:
        """All items, in the order they were sent in."""
        page = self.get(batch, _PAGE)
        yield from page.items
        while page.next is not None:
            page = self.get(batch, _PAGE, page.next)
            yield from page.items

    def wait_for(self, batch: str, timeout: float) -> BatchAnswer:
        """The batch once it is finished, or as it is after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            answer = self.get(batch)
            left = deadline - time.monotonic()
            if answer.finished or left <= 0:
                return answer
            time.sleep(min(_PAUSE, left))

    def _submit(
        self, body: bytes | Path | Mapping[str, object], kind: str, key: str
    ) -> BatchAnswer:
        # One of its own, because a request that finds no answer is sent again.
        headers = {"Content-Type": kind, "Idempotency-Key": key or secrets.token_hex(16)}
        answer = self._rest.ask("POST", "/v1/images:batch", body=body, headers=headers)
        return self._read(_BATCH, answer)
