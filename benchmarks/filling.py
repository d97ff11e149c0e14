"""Drawn faces in an index, and in a store."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from facematch.calibration import Norms, calibration
from facematch.faces import Box, Encodings, Face, distances, image_hash
from facematch.job import new_job_id
from facematch.match_scores import codes_of
from facematch.redis_connection import Redis, translated
from facematch.redis_store import RedisStore
from facematch.store import LINK_CHUNK, Commit, Committed, Link, NewJob, State, Store
from index.engine import Engine

MODEL = "drawn"
_PORTION = 50_000


def fill(engine: Engine, encodings: Encodings, first: int = 0) -> None:
    """Add these faces (n, 128), whose ids are the numbers from `first` on."""
    for start in range(0, len(encodings), _PORTION):
        block = encodings[start : start + _PORTION]
        engine.add(np.arange(first + start, first + start + len(block), dtype=np.int64), block)


def add_image(store: Store, image: str, encodings: Encodings) -> int:
    """Add an image with this hash and these faces, as a worker does; its position."""
    job = new_job_id()
    store.accept(NewJob(job, job, "drawn"), 1)
    faces = [Face(Box(0, 1, 1, 0), encoding) for encoding in encodings]
    return store.commit(Commit(job, image, job, MODEL, faces, 1, 1, len(faces))).position


class FillingStore(RedisStore):
    """A store that is told many things at once, for who knows what it will answer.

    What it is told is sent by `flush`; until then every image is said to be accepted, or done.
    """

    def __init__(self, client: Redis) -> None:
        super().__init__(client)
        self._pipe = client.pipeline(transaction=False)

    def _run(self, name: str, *args: Any, client: Any = None) -> Any:
        if name not in _TAKEN_FOR:
            return super()._run(name, *args, client=client)
        super()._run(name, *args, client=self._pipe)
        return _TAKEN_FOR[name]

    @translated()
    def flush(self) -> list[Any]:
        """What was answered in truth. Raises Unavailable."""
        return list(self._pipe.execute())


#: What scripts are taken to return before they have run: see facematch.redis_records.
_TAKEN_FOR: dict[str, Any] = {
    "accept": [[b"accepted", b"", b"", b"", b"0", b"", b"", None, None], b"0"],
    "commit": [b"indexed", b"0", b""],
    "link": b"done",
}
_AT_ONCE = 500
#: What is this little too far by a matrix product is looked at once more.
_MARGIN = 1e-6


def fill_store(
    store: FillingStore, encodings: Encodings, model: str, first: int = 0
) -> Sequence[tuple[str, Committed]]:
    """Add an image with each of these faces (n, 128); their hashes, and their places.

    They are those of the numbers from `first` on, in this order. Nobody else may write meanwhile.
    """
    added: list[tuple[str, Committed]] = []
    norms = _norms(store, encodings)
    for start in range(0, len(encodings), _AT_ONCE):
        block = encodings[start : start + _AT_ONCE]
        images = [image_hash(f"filled {first + start + row}".encode()) for row in range(len(block))]
        for row, (image, encoding) in enumerate(zip(images, block, strict=True), start):
            job = new_job_id()
            store.accept(NewJob(job, f"{image[:8]}.jpg", "drawn"), 1)
            own = None if norms is None else norms[row : row + 1]
            face = Face(Box(0, 1, 1, 0), encoding)
            store.commit(Commit(job, image, job, model, [face], 1, 1, 1, own))
        for image, told in zip(images, store.flush()[1::2], strict=True):
            added.append((image, Committed(State.INDEXED, int(told[1]), told[2].decode())))
    return added


def link_all(
    store: FillingStore,
    images: Sequence[tuple[str, Committed]],
    encodings: Encodings,
    threshold: float,
) -> int:
    """Write the matches of all images in a store, each with its face (n, 128): how many pairs.

    Nobody else may write meanwhile. Raises RuntimeError for a match that was not taken.
    """
    collection, pairs = store.collection(), 0
    seen, rated_by, norms = collection.tail, collection.rated_by, _norms(store, encodings)
    places = np.array([place.position for _, place in images])
    squares = (encodings.astype(np.float64) ** 2).sum(axis=1)
    for start in range(0, len(images), _AT_ONCE):
        rows = range(start, min(start + _AT_ONCE, len(images)))
        block = encodings[start : start + _AT_ONCE].astype(np.float64)
        apart = squares[start : start + _AT_ONCE, None] + squares - 2 * (block @ encodings.T)
        near = apart <= (threshold + _MARGIN) ** 2
        for row in rows:
            image, place = images[row]
            others = np.flatnonzero(near[row - start, :row])
            exact = distances(encodings[row : row + 1], encodings[others])[0]
            found = zip(places[others].tolist(), exact.tolist(), strict=True)
            matches = [match for match in found if match[1] <= threshold]
            pairs += len(matches)
            codes: list[int] = []
            if norms is not None:
                near_enough = exact <= threshold
                rates = calibration(rated_by).rates(
                    exact[near_enough], norms[row], norms[others[near_enough]]
                )
                codes = codes_of(rates).tolist()
            for offset in range(0, max(1, len(matches)), LINK_CHUNK):
                some = slice(offset, offset + LINK_CHUNK)
                last = offset + LINK_CHUNK >= len(matches)
                store.link(
                    Link(
                        *(image, place, seen, place.nonce, offset, matches[some], last),
                        codes=codes[some],
                        calibration=rated_by,
                    )
                )
        _send(store)
    return pairs


def link_none(store: FillingStore, images: Sequence[tuple[str, Committed]]) -> None:
    """Say of all these images that they have no matches. Raises as `link_all`."""
    collection = store.collection()
    seen, rated_by = collection.tail, collection.rated_by
    for start in range(0, len(images), _AT_ONCE):
        for image, place in images[start : start + _AT_ONCE]:
            store.link(
                Link(image, place, seen, place.nonce, 0, (), last=True, calibration=rated_by)
            )
        _send(store)


def _norms(store: Store, encodings: Encodings) -> Norms | None:
    """Of these faces, where the collection has a calibration."""
    rated_by = store.collection().rated_by
    return calibration(rated_by).norms(encodings) if rated_by else None


def _send(store: FillingStore) -> None:
    for told in store.flush():
        if told not in (b"done", b"written"):
            raise RuntimeError(f"a match was not taken: {told!r}")
