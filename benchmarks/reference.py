"""Compares the match sets a service serves with brute force over reference encodings.

The reference is an .npz with `files` (paths below the folder of pictures), and per face
`image` (row of files) and `encoding` (128 float32). Pairs whose distance is within 1e-4 of the
threshold are left aside: there, the last bit of an encoding decides.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from facematch.client import Client
from facematch.faces import image_hash

_EDGE = 1e-4
_BLOCK = 1024


@dataclass(frozen=True)
class Comparison:
    """What was compared, and the pairs of files that differ."""

    pictures: int
    faces: int
    pairs: int
    matching: int
    aside: int
    missing: tuple[tuple[str, str], ...]
    surplus: tuple[tuple[str, str], ...]


def compare(url: str, pictures: Path, reference: Path, threads: int = 8) -> Comparison:
    """Fetch every match set from the service and compare it with the reference."""
    stored = np.load(reference, allow_pickle=False)
    files = [str(name) for name in stored["files"]]
    hashes = [image_hash((pictures / name).read_bytes()) for name in files]
    distance = _image_distances(stored["encoding"], stored["image"], len(files))
    client = Client(url)
    threshold = _threshold(client, hashes)
    row_of = {image: row for row, image in enumerate(hashes)}

    def served(image: str) -> set[int]:
        return {row_of[match.hash] for match in client.all_matches(image) if match.hash in row_of}

    missing, surplus = [], []
    with ThreadPoolExecutor(threads) as pool:
        sets = tqdm(pool.map(served, hashes), total=len(hashes), unit="set", disable=None)
        for row, found in enumerate(sets):
            for other in range(len(files)):
                expected = distance[row, other] <= threshold
                if hashes[row] == hashes[other] or expected == (other in found):
                    continue
                if abs(distance[row, other] - threshold) < _EDGE:
                    continue
                (missing if expected else surplus).append((files[row], files[other]))
    upper = distance[np.triu_indices(len(files), 1)]
    return Comparison(
        pictures=len(files),
        faces=len(stored["encoding"]),
        pairs=upper.size,
        matching=int((upper <= threshold).sum()),
        aside=int((np.abs(upper - threshold) < _EDGE).sum()),
        missing=tuple(missing),
        surplus=tuple(surplus),
    )


def _threshold(client: Client, hashes: list[str]) -> float:
    return client.matches(hashes[0], limit=1).threshold


def _image_distances(
    encodings: NDArray[np.float32], owners: NDArray[np.int64], images: int
) -> NDArray[np.float32]:
    """The smallest distance between two images' faces, inf where one has none: (images, images)."""
    x = encodings.astype(np.float64)
    order = np.argsort(owners, kind="stable")
    x, owners = x[order], owners[order]
    present, starts = np.unique(owners, return_index=True)
    squares = (x**2).sum(axis=1)
    nearest = np.empty((len(x), len(present)), dtype=np.float32)
    for start in range(0, len(x), _BLOCK):
        rows = slice(start, start + _BLOCK)
        apart = np.sqrt(np.maximum(squares[rows, None] + squares[None] - 2 * (x[rows] @ x.T), 0))
        nearest[rows] = np.minimum.reduceat(apart, starts, axis=1)
    result = np.full((images, images), np.inf, dtype=np.float32)
    result[np.ix_(present, present)] = np.minimum.reduceat(nearest, starts, axis=0)
    return result
