"""Drawn faces in an index, and in a store."""

import numpy as np

from facematch.faces import Box, Encodings, Face
from facematch.job import new_job_id
from facematch.store import Commit, NewJob, Store
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
