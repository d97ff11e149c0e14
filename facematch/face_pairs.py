"""Which face of an image matches which face of others, and how sure each pair is.

Used by workers that search, and by the api where a reader asks for the faces of matches. Distances
and rates are told as match sets have them: see facematch.match_scores.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from facematch.calibration import Calibration, Floats, Norms
from facematch.faces import distances
from facematch.match_scores import UNRATED, Codes, codes_of, rate_of, scores_of, split
from facematch.stored_faces import StoredFaces


@dataclass(frozen=True)
class FacePair:
    """A face by its number, and one of another image by its number there. `score`: as of a match;
    `false_match_rate`: None where it is not known."""

    number: int
    other: int
    distance: float
    false_match_rate: float | None
    score: float


@dataclass(frozen=True)
class NearImage:
    """Another image: the smallest distance of any pair, the lowest rate of any, and the pairs
    within the threshold, the most certain first."""

    distance: float
    false_match_rate: float | None
    score: float
    pairs: Sequence[FacePair]


@dataclass(frozen=True, eq=False)
class Reach:
    """How far faces may be apart, how sure they have to be (see match_scores), and by which
    calibration that is told: None where there are no rates."""

    threshold: float
    codes_to: int = UNRATED
    rated_by: Calibration | None = None


def near_scores(
    own: StoredFaces, others: Mapping[int, StoredFaces], reach: Reach
) -> list[dict[int, float]]:
    """Of each of these faces, as if it were alone on its image: by position of another image that
    matches the score of that match."""
    if not others:
        return [{} for _ in own.encodings]
    apart, codes = _compare(own, others.values(), reach)
    firsts = np.cumsum([0, *(len(faces.encodings) for faces in others.values())][:-1])
    nearest = np.minimum.reduceat(apart, firsts, axis=1)
    surest = np.minimum.reduceat(codes, firsts, axis=1)
    positions = np.fromiter(others, dtype=np.int64, count=len(others))
    found = []
    for its_distances, its_codes in zip(nearest, surest, strict=True):
        listed = (its_distances <= reach.threshold) & (its_codes <= reach.codes_to)
        scores = scores_of(its_codes[listed], its_distances[listed])
        found.append(dict(zip(positions[listed].tolist(), scores.tolist(), strict=True)))
    return found


def near_images(
    own: StoredFaces, others: Mapping[int, StoredFaces], reach: Reach
) -> dict[int, NearImage]:
    """Of other images, by position, those that match, each with the pairs within the threshold."""
    if not others:
        return {}
    apart, codes = _compare(own, others.values(), reach)
    counts = np.fromiter((len(faces.encodings) for faces in others.values()), dtype=np.int64)
    firsts = np.cumsum(counts) - counts
    nearest = np.minimum.reduceat(apart.min(axis=0), firsts)
    surest = np.minimum.reduceat(codes.min(axis=0), firsts)
    listed = (nearest <= reach.threshold) & (surest <= reach.codes_to)
    pairs: dict[int, list[FacePair]] = {number: [] for number in np.flatnonzero(listed).tolist()}
    numbers, columns = np.nonzero(apart <= reach.threshold)
    images = np.repeat(np.arange(len(counts)), counts)[columns]
    scores = scores_of(codes[numbers, columns], apart[numbers, columns])
    faces = columns - firsts[images]
    rated = reach.rated_by is not None
    order = np.lexsort((faces, numbers, scores))
    told = (each[order].tolist() for each in (images, numbers, faces, scores))
    for image, number, other, score in zip(*told, strict=True):
        if image in pairs:
            pairs[image].append(FacePair(number, other, *_told(score, rated), score))
    of_images = scores_of(surest, nearest).tolist()
    positions = list(others)
    return {
        positions[image]: NearImage(*_told(of_images[image], rated), of_images[image], tuple(its))
        for image, its in pairs.items()
    }


def _told(score: float, rated: bool) -> tuple[float, float | None]:
    code, distance = split(score)
    return distance, rate_of(code) if rated else None


def _compare(own: StoredFaces, others: Iterable[StoredFaces], reach: Reach) -> tuple[Floats, Codes]:
    """Distances and codes (k, m) of these faces with all of the others, in their order."""
    stored = list(others)
    apart = distances(own.encodings, np.concatenate([faces.encodings for faces in stored]))
    if reach.rated_by is None:
        return apart, np.full(apart.shape, UNRATED, dtype=np.int64)
    norms = np.concatenate([_norms(faces, reach.rated_by) for faces in stored])
    rates = reach.rated_by.rates(apart, _norms(own, reach.rated_by)[:, None], norms[None])
    return apart, codes_of(rates)


def _norms(faces: StoredFaces, rated_by: Calibration) -> Norms:
    return rated_by.norms(faces.encodings) if faces.norms is None else faces.norms
