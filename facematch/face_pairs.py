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
    found: dict[int, NearImage] = {}
    start = 0
    for position, faces in others.items():
        columns = slice(start, start + len(faces.encodings))
        start = columns.stop
        its_distances, its_codes = apart[:, columns], codes[:, columns]
        distance, code = float(its_distances.min()), int(its_codes.min())
        if distance > reach.threshold or code > reach.codes_to:
            continue
        rated = reach.rated_by is not None
        near = np.argwhere(its_distances <= reach.threshold).tolist()
        pairs = [
            FacePair(
                number, other, *_told(its_codes[number, other], its_distances[number, other], rated)
            )
            for number, other in near
        ]
        pairs.sort(key=lambda pair: (pair.score, pair.number, pair.other))
        found[position] = NearImage(*_told(code, distance, rated), tuple(pairs))
    return found


def _told(code: int, distance: float, rated: bool) -> tuple[float, float | None, float]:
    score = float(scores_of(code, distance))
    its_code, told = split(score)
    return told, rate_of(its_code) if rated else None, score


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
