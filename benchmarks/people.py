"""How well faces are grouped into people, beside what people do with distances alone.

All faces of all pictures are grouped; judged is of each picture the face nearest its middle, which
is the person that the folder is named after, by B-cubed precision and recall (Bagga, Baldwin, 1998;
Amigó et al., 2009): of each face, how many of its group are of its person, and how many of its
person are in its group; the mean over all faces. The numbers in `facematch.linkage` and
`facematch.grouping` were chosen on the even half of the people; the method itself by looks at all.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import dlib
import numpy as np
from numpy.typing import NDArray

from benchmarks.pictures import Reference
from benchmarks.report import Measure, Report, Table
from facematch.calibration import calibration
from facematch.corrections import Corrections, FaceKey
from facematch.faces import DEFAULT_THRESHOLD, Encodings, distances
from facematch.grouping import group, limit_for, touched
from facematch.linkage import FALSE_PAIRS, REACH, Near
from facematch.match_scores import codes_of

Rows = NDArray[np.int64]

#: Expected false pairs a face: the operating points beside the default one.
POINTS = (0.01, 0.03, FALSE_PAIRS, 0.3, 1.0)
_POINTS_BETTER = 5.0
_ORDERS, _PICTURES, _SEED, _BLOCK = 10, 2000, 7, 256
_BASELINES = ("connected at 0.6", "connected at 0.5", "chinese whispers at 0.5")


@dataclass(frozen=True, eq=False)
class Pictures:
    """Faces (n, 128) with the row of their picture (n,), and the person (n,), -1 for those that are
    not judged. `keys`: what each is known by."""

    encodings: Encodings
    images: Rows
    people: Rows

    @classmethod
    def of(cls, reference: Reference) -> "Pictures":
        """Those of the reference."""
        folders = np.unique([name.split("/")[0] for name in reference.files], return_inverse=True)
        middle = reference.boxes @ [[1, 0], [0, 1], [1, 0], [0, 1]] - 250
        off = np.square(middle).sum(axis=1)
        nearest = np.lexsort((off, reference.images))
        firsts = nearest[np.unique(reference.images[nearest], return_index=True)[1]]
        people = np.full(len(reference.images), -1)
        people[firsts] = folders[1][reference.images[firsts]]
        return cls(reference.encodings, reference.images, people)

    def some(self, images: Rows) -> "Pictures":
        """Those of some pictures."""
        kept = np.isin(self.images, images)
        return Pictures(self.encodings[kept], self.images[kept], self.people[kept])

    @property
    def halves(self) -> tuple["Pictures", "Pictures"]:
        """Those of the people with even and with odd numbers."""
        judged = self.people >= 0
        even, odd = (self.images[judged & (self.people % 2 == rest)] for rest in (0, 1))
        return self.some(even), self.some(odd)

    @property
    def keys(self) -> list[FaceKey]:
        """What each face is known by."""
        return [(f"{image:08}", row) for row, image in enumerate(self.images.tolist())]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of faces of different pictures: rows, distances and codes, (m,)."""

    one: Rows
    other: Rows
    apart: NDArray[np.float64]
    codes: Rows

    @classmethod
    def of(cls, pictures: Pictures) -> "Pairs":
        """All that are within the default threshold, as match sets have them."""
        found = []
        known = calibration("dlib-1")
        norms = known.norms(pictures.encodings)
        for start in range(0, len(norms), _BLOCK):
            rows = slice(start, start + _BLOCK)
            apart = distances(pictures.encodings[rows], pictures.encodings[start:])
            different = pictures.images[rows, None] != pictures.images[start:]
            one, other = np.nonzero(np.triu((apart <= DEFAULT_THRESHOLD) & different, 1))
            near = apart[one, other]
            rates = known.rates(near, norms[one + start], norms[other + start])
            found.append((one + start, other + start, near, codes_of(rates)))
        return cls(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


class PairGraph:
    """See facematch.grouping.Graph: of the pairs up to a code."""

    def __init__(self, keys: Sequence[FaceKey], pairs: Pairs, highest: int) -> None:
        self.faces = set(keys)
        self._near: dict[FaceKey, dict[FaceKey, int]] = {key: {} for key in keys}
        near = pairs.codes <= highest
        rows = (pairs.one[near], pairs.other[near], pairs.codes[near])
        for one, other, code in zip(*(part.tolist() for part in rows), strict=True):
            self._near[keys[one]][keys[other]] = code
            self._near[keys[other]][keys[one]] = code

    def near(self, faces: Collection[FaceKey]) -> Mapping[FaceKey, Near]:
        """See Graph."""
        return {
            face: {other: code for other, code in self._near[face].items() if other in self.faces}
            for face in faces
            if face in self.faces
        }


def measure_people(report: Report, reference: Reference, short: bool) -> None:
    """Add what there is to say to the report; `short`: of every tenth person, among whom it is too
    easy to say who is better."""
    pictures = Pictures.of(reference)
    if short:
        pictures = pictures.some(pictures.images[np.isin(pictures.people % 20, (0, 7))])
    best = ours = 0.0
    parts = {"all": pictures} | dict(zip(("even", "odd"), pictures.halves, strict=True))
    shown: dict[str, list[str]] = {}
    for part, its in parts.items():
        for name, labels in _ways(its).items():
            precision, recall, both = b_cubed(labels, its.people)
            cells = shown.setdefault(name, [name, ""])
            cells += [f"{value:.4f}" for value in (precision, recall, both)]
            report.details.append(Measure(f"people, {part}, {name}: B-cubed F", both, ""))
            if part == "all" and name in _BASELINES:
                best = max(best, both)
            if part == "all" and name == _named(FALSE_PAIRS):
                ours = both
    header = [f"{part} {what}" for part in parts for what in ("precision", "recall", "F")]
    report.tables.append(Table(["people, B-cubed", "", *header], list(shown.values())))
    ahead = 100 * (ours - best)
    detail = f"{ours:.4f}, the best baseline {best:.4f}: {ahead:+.1f}, must +{_POINTS_BETTER:g}"
    if not short:
        report.require("B-cubed F above the baselines by points", ahead >= _POINTS_BETTER, detail)
    _in_any_order(report, pictures)


def b_cubed(labels: Sequence[object], people: Rows) -> tuple[float, float, float]:
    """Precision, recall and F of groups, by label of each face; who is nobody (-1) is left out."""
    groups = np.unique(np.asarray(labels), return_inverse=True)[1][people >= 0]
    real = np.unique(people[people >= 0], return_inverse=True)[1]
    both, counts = np.unique(np.stack([groups, real]), axis=1, return_counts=True)
    precision = (counts**2 / np.bincount(groups)[both[0]]).sum() / len(real)
    recall = (counts**2 / np.bincount(real)[both[1]]).sum() / len(real)
    return float(precision), float(recall), float(2 * precision * recall / (precision + recall))


def _named(false_pairs: float) -> str:
    default = " (default)" if false_pairs == FALSE_PAIRS else ""
    return f"grouped, {false_pairs:g} false pairs{default}"


def _ways(pictures: Pictures) -> dict[str, Sequence[object]]:
    """The label of each face, by way of grouping."""
    pairs = Pairs.of(pictures)
    found: dict[str, Sequence[object]] = {}
    for threshold in (0.6, 0.5, 0.45):
        found[f"connected at {threshold:g}"] = _connected(pictures, pairs, pairs.apart <= threshold)
    points = [dlib.vector(encoding) for encoding in pictures.encodings.astype(np.float64)]
    for threshold in (0.5, 0.45):
        labels = dlib.chinese_whispers_clustering(points, threshold)
        found[f"chinese whispers at {threshold:g}"] = list(labels)
    rate = pairs.codes <= codes_of(1e-6)
    found["connected at a rate of 1e-6"] = _connected(pictures, pairs, rate)
    for point in POINTS:
        found[_named(point)] = _grouped(pictures, pairs, point)
    return found


def _connected(pictures: Pictures, pairs: Pairs, chosen: NDArray[np.bool_]) -> list[int]:
    first = list(range(len(pictures.encodings)))

    def root(row: int) -> int:
        while first[row] != row:
            first[row] = row = first[first[row]]
        return row

    for one, other in zip(pairs.one[chosen].tolist(), pairs.other[chosen].tolist(), strict=True):
        first[root(one)] = root(other)
    return [root(row) for row in first]


def _grouped(pictures: Pictures, pairs: Pairs, false_pairs: float) -> list[int]:
    limit = limit_for(len(pictures.images), false_pairs)
    keys = pictures.keys
    groups = group(keys, PairGraph(keys, pairs, limit + REACH), Corrections(), limit)
    number_of = {face: number for number, faces in enumerate(groups) for face in faces}
    return [number_of[key] for key in keys]


def _in_any_order(report: Report, pictures: Pictures) -> None:
    """The same pictures in random orders, a few at a time, end in the same groups."""
    rng = np.random.default_rng(_SEED)
    images = np.unique(pictures.images)
    some = pictures.some(rng.permutation(images)[:_PICTURES])
    keys, images = some.keys, np.unique(some.images)
    limit = limit_for(len(keys))
    graph = PairGraph(keys, Pairs.of(some), limit + REACH)
    whole = set(group(keys, graph, Corrections(), limit))
    same, begun = 0, time.monotonic()
    for _ in range(_ORDERS):
        graph.faces, groups = set(), {}
        order = rng.permutation(images)
        cuts = np.sort(rng.integers(0, len(order), len(order) // 20))
        for portion in np.split(order, cuts):
            there = np.isin(some.images, portion)
            new = {key for key, comes in zip(keys, there, strict=True) if comes}
            graph.faces |= new
            changed = touched(new, graph, Corrections(), limit)
            for faces in group(changed, graph, Corrections(), limit):
                groups.update(dict.fromkeys(faces, faces))
        same += set(groups.values()) == whole
    each = (time.monotonic() - begun) / _ORDERS / len(images)
    report.details.append(Measure("people, a picture more", 1000 * each, "ms"))
    detail = f"{same} of {_ORDERS} orders of {len(images):,} pictures, {1000 * each:.1f} ms each"
    report.require("the same groups in any order", same == _ORDERS, detail)
