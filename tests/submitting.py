"""What happens to a submission in a store, step by step, as api and workers do it."""

import secrets

import numpy as np

from facematch.calibration import Norms
from facematch.faces import Box, Face, image_hash
from facematch.match_scores import UNRATED
from facematch.store import Commit, Committed, Link, Linked, NewJob, Store

MODEL = "a-model"
BACKLOG = 1000
#: A calibration.
RATED = "dlib-1"


def upload(store: Store, data: bytes, name: str = "a.jpg") -> str:
    job = secrets.token_hex(4)
    store.accept(NewJob(job, name, image=image_hash(data), data=data), BACKLOG)
    return job


def commit(
    store: Store,
    job: str,
    data: bytes,
    faces: int = 1,
    model: str = MODEL,
    norms: Norms | None = None,
    thumbnail: bytes = b"",
) -> Committed:
    encodings = np.full((faces, 128), 0.5, dtype=np.float32)
    found = [Face(Box(1, 4, 3, 2), encoding) for encoding in encodings]
    image, nonce = image_hash(data), secrets.token_hex(4)
    return store.commit(Commit(job, image, nonce, model, found, 10, 20, faces, norms, thumbnail))


def submit(store: Store, data: bytes, name: str = "a.jpg") -> Committed:
    return commit(store, upload(store, data, name), data)


def link(
    store: Store, data: bytes, place: Committed, *pairs: tuple[int, float], exact: bool = True
) -> Linked:
    seen = store.collection().tail
    return store.link(Link(image_hash(data), place, seen, "t", 0, pairs, last=True, exact=exact))


def listed(store: Store, data: bytes) -> list[tuple[str, float]]:
    page = store.matches(image_hash(data), 100)
    return [(match.hash, match.distance) for match in page.matches]


def place(store: Store, data: bytes, faces: int = 1, model: str = MODEL) -> Committed:
    """Commit an image whose faces have norms."""
    norms = np.array([[0.5, 0.125]] * faces, dtype=np.float32)
    return commit(store, upload(store, data), data, faces, model, norms)


def rated(
    store: Store,
    data: bytes,
    at: Committed,
    *pairs: tuple[int, float, int],
    codes_to: int = UNRATED,
) -> Linked:
    """Link an image with others: position, distance, code."""
    link = Link(
        *(image_hash(data), at, store.collection().tail, "t", 0),
        *([pair[:2] for pair in pairs], True),
        codes=[pair[2] for pair in pairs],
        calibration=RATED,
        codes_to=codes_to,
    )
    return store.link(link)
