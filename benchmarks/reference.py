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
from facematch.errors import Unavailable
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
    """Fetch every match set from the service and compare it with the reference.

    Raises NotFound, Rejected or Unavailable for a picture whose matches the service does not know.
    """
    stored = np.load(reference, allow_pickle=False)
    files = [str(name) for name in stored["files"]]
    hashes = [image_hash((pictures / name).read_bytes()) for name in files]
    distance = _image_distances(stored["encoding"], stored["image"], len(files))
    rows_of: dict[str, list[int]] = {}
    for row, image in enumerate(hashes):
        rows_of.setdefault(image, []).append(row)
    client = Client(url)
    first = client.matches(hashes[0], limit=1)
    threshold = first.threshold
    if threshold is None:
        raise Unavailable("unfinished", f"{files[0]} is {first.state}: there is no threshold yet")

    def served(image: str) -> set[int]:
        found = (rows_of.get(match.hash, ()) for match in client.all_matches(image))
        return {row for rows in found for row in rows}

    missing: list[tuple[str, str]] = []
    surplus: list[tuple[str, str]] = []
    with ThreadPoolExecutor(threads) as pool:
        sets = tqdm(pool.map(served, hashes), total=len(hashes), unit=" sets", disable=None)
        for row, found in enumerate(sets):
            expected = set(np.flatnonzero(distance[row] <= threshold)) - set(rows_of[hashes[row]])
            for other in expected ^ found:
                if abs(distance[row, other] - threshold) >= _EDGE:
                    (missing if other in expected else surplus).append((files[row], files[other]))
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
