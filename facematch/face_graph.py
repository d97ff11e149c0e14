"""The graph that people are grouped by: which faces match, as the store's match sets have it, and
how sure each pair is. Used by `facematch.regrouping`."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facematch.calibration import Calibration, Norms
from facematch.corrections import FaceKey
from facematch.faces import Encodings, distances
from facematch.failpoints import reached
from facematch.linkage import Near
from facematch.match_scores import codes_of, scores_of
from facematch.people import face_id, place_of
from facematch.store import Generation, Store

#: Images whose matches are read together: each may have thousands.
_PORTION = 50


@dataclass(frozen=True, eq=False)
class _Row:
    """See facematch.linkage.Near: which of the faces in `known`, and their codes, (n,). In arrays,
    because a person of thousands has millions of pairs."""

    known: Sequence[FaceKey]
    numbers: NDArray[np.int32]
    codes: NDArray[np.int16]

    def items(self) -> Iterable[tuple[FaceKey, int]]:
        """Face and code."""
        faces = map(self.known.__getitem__, self.numbers.tolist())
        return zip(faces, self.codes.tolist(), strict=True)


_NONE = _Row((), np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int16))


class FaceGraph:
    """See facematch.grouping.Graph: the pairs of faces of two images that match in a generation,
    each within its threshold, up to a code. What it has read once, it does not read again: it is
    for a short time."""

    def __init__(
        self, store: Store, generation: Generation, known: Calibration, highest: int
    ) -> None:
        self._store, self._generation = store, generation
        self._calibration, self._highest = known, highest
        self._hashes: dict[int, str] = {}
        self._ids: dict[FaceKey, int] = {}
        self._near: dict[int, dict[FaceKey, _Row]] = {}
        #: All faces that were read, those of an image behind each other from a place on.
        self._known: list[FaceKey] = []
        self._firsts: dict[int, int] = {}
        #: How many pairs were read.
        self.pairs = 0
        #: Encodings and norms of live images, while a portion is looked at.
        self._faces: dict[int, tuple[Encodings, Norms]] = {}

    def keys(self, positions: Collection[int]) -> set[FaceKey]:
        """The faces of those of these images that are live."""
        found: set[FaceKey] = set()
        for start in range(0, len(positions), _PORTION):
            self._look(sorted(positions)[start : start + _PORTION])
        for position in positions:
            found.update(self._near[position])
        return found

    def keys_of(self, faces: Collection[int]) -> dict[int, FaceKey]:
        """What those of these faces that are live are known by, by id."""
        self._learn({place_of(face)[0] for face in faces})
        found: dict[int, FaceKey] = {}
        for face in faces:
            position, number = place_of(face)
            if position in self._hashes:
                found[face] = (self._hashes[position], number)
                self._ids[found[face]] = face
        return found

    def id_of(self, face: FaceKey) -> int:
        """The id of a face that was told before."""
        return self._ids[face]

    def near(self, faces: Collection[FaceKey]) -> Mapping[FaceKey, Near]:
        """See facematch.grouping.Graph."""
        at = {face: place_of(self._ids[face])[0] for face in faces if face in self._ids}
        positions = sorted(set(at.values()) - self._near.keys())
        for start in range(0, len(positions), _PORTION):
            self._look(positions[start : start + _PORTION])
        return {
            face: self._near[position][face]
            for face, position in at.items()
            if face in self._near[position]
        }

    def _learn(self, positions: Iterable[int]) -> None:
        """Read the hashes of those images that are live."""
        self._hashes |= self._store.images_at(sorted(set(positions) - self._hashes.keys()))

    def _read(self, positions: Iterable[int]) -> None:
        """Read the faces of those images that are live."""
        wanted = sorted(set(positions) - self._faces.keys())
        self._learn(wanted)
        for position, faces in self._store.faces_as_of(wanted)[0].items():
            if position not in self._hashes:
                continue
            norms = faces.norms
            if norms is None:
                norms = self._calibration.norms(faces.encodings)
            self._faces[position] = faces.encodings, norms
            if position not in self._firsts:
                self._firsts[position] = len(self._known)
                keys = [(self._hashes[position], number) for number in range(len(norms))]
                self._known += keys
                self._ids.update((key, face_id(position, key[1])) for key in keys)

    def _look(self, positions: Collection[int]) -> None:
        scores = self._store.scores(list(positions), self._generation.number)
        # No pair of faces is surer than the match of their images.
        behind = float(scores_of(self._highest + 1, 0)) if self._generation.scored else math.inf
        peers = {
            position: sorted(other for other, score in others.items() if score < behind)
            for position, others in scores.items()
        }
        self._read({*positions, *(other for others in peers.values() for other in others)})
        for position in positions:
            near: dict[FaceKey, _Row] = {}
            self._near[position] = near
            if position not in self._faces:
                continue
            image, count = self._hashes[position], len(self._faces[position][0])
            near.update({(image, number): _NONE for number in range(count)})
            others = [other for other in peers.get(position, ()) if other in self._faces]
            if others:
                self._compare(position, others, near)
        self._faces.clear()
        reached("people_read")

    def _compare(self, position: int, others: Collection[int], near: dict[FaceKey, _Row]) -> None:
        own, own_norms = self._faces[position]
        theirs, norms = zip(*(self._faces[other] for other in others), strict=True)
        counts = np.fromiter(map(len, theirs), dtype=np.int32, count=len(theirs))
        firsts = np.fromiter(map(self._firsts.__getitem__, others), np.int32, len(theirs))
        numbers = np.repeat(firsts - np.cumsum(counts, dtype=np.int32) + counts, counts)
        numbers += np.arange(counts.sum(), dtype=np.int32)
        apart = distances(own, np.concatenate(theirs))
        rates = self._calibration.rates(apart, own_norms[:, None], np.concatenate(norms)[None])
        found = codes_of(rates)
        image = self._hashes[position]
        close = (apart <= self._generation.threshold) & (found <= self._highest)
        for number, those in enumerate(close):
            codes = found[number, those].astype(np.int16)
            near[image, number] = _Row(self._known, numbers[those], codes)
            self.pairs += len(codes)
