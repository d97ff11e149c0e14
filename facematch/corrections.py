"""What somebody has said about who is who, and what it means where it contradicts itself.

A correction stands until it is contradicted by a later one, and then only as far as it is. Used by
`facematch.grouping`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

#: A face by what it is, wherever its image is in the log: the image's hash, and which face of it.
FaceKey: TypeAlias = tuple[str, int]


@dataclass(frozen=True)
class Together:
    """These faces are one person."""

    faces: frozenset[FaceKey]


@dataclass(frozen=True)
class Apart:
    """None of the one faces is the person of any of the other. Raises ValueError when a face is
    among both."""

    some: frozenset[FaceKey]
    others: frozenset[FaceKey]

    def __post_init__(self) -> None:
        if self.some & self.others:
            raise ValueError("a face is not apart from itself")


Correction: TypeAlias = Together | Apart


@dataclass
class Cluster:
    """Faces that are in one group. `sides`: by number of an Apart, on which of its sides they are;
    two clusters on the two sides of one are never joined."""

    faces: list[FaceKey]
    sides: dict[int, bool] = field(default_factory=dict)

    @property
    def key(self) -> FaceKey:
        """By which clusters are ordered where nothing else tells: that of the first face."""
        return min(self.faces)

    def may_join(self, other: "Cluster") -> bool:
        """Whether no correction keeps the two apart."""
        few, many = sorted((self.sides, other.sides), key=len)
        return all(many.get(number, side) is side for number, side in few.items())

    def join(self, other: "Cluster") -> None:
        """Take in the other one's faces and what is said of them."""
        self.faces += other.faces
        self.sides |= other.sides


class Corrections:
    """All that were made, oldest first."""

    def __init__(self, made: Sequence[Correction] = ()) -> None:
        self._made = tuple(made)
        self._about: dict[FaceKey, list[int]] = {}
        for number, correction in enumerate(self._made):
            for face in faces_of(correction):
                self._about.setdefault(face, []).append(number)

    def joined(self, faces: Iterable[FaceKey]) -> set[FaceKey]:
        """Faces that are said to be of the same person as one of these, directly."""
        numbers = {number for face in faces for number in self._about.get(face, ())}
        said = (self._made[number] for number in numbers)
        return {face for one in said if isinstance(one, Together) for face in one.faces}

    def settle(self, faces: Collection[FaceKey]) -> list[Cluster]:
        """The clusters that these faces begin with: each alone, but for what is said of them.

        The latest correction counts first. An Apart does not bind a cluster that later ones have
        joined across it; of a Together, what later ones keep apart stays apart. What is said of
        other faces makes no difference, if these have with each face all that are `joined` to it.
        """
        cluster_of = {face: Cluster([face]) for face in faces}
        about = {number for face in cluster_of for number in self._about.get(face, ())}
        for number in sorted(about, reverse=True):
            correction = self._made[number]
            if isinstance(correction, Together):
                _join(_clusters(correction.faces, cluster_of), cluster_of)
                continue
            some = _clusters(correction.some, cluster_of)
            others = _clusters(correction.others, cluster_of)
            for key in some.keys() ^ others.keys():
                cluster = some.get(key) or others[key]
                cluster.sides[number] = key in some
        return list(_clusters(cluster_of, cluster_of).values())


def faces_of(correction: Correction) -> frozenset[FaceKey]:
    """All faces that it is about."""
    if isinstance(correction, Together):
        return correction.faces
    return correction.some | correction.others


def _clusters(
    faces: Iterable[FaceKey], cluster_of: Mapping[FaceKey, Cluster]
) -> dict[FaceKey, Cluster]:
    """Those that these faces are in, by key, in order."""
    found = {id(cluster_of[face]): cluster_of[face] for face in faces if face in cluster_of}
    ordered = sorted(found.values(), key=lambda cluster: cluster.key)
    return {cluster.key: cluster for cluster in ordered}


def _join(clusters: Mapping[FaceKey, Cluster], cluster_of: dict[FaceKey, Cluster]) -> None:
    """Make one of them, or as few as what is known of them allows, the first one first."""
    left = list(clusters.values())
    while left:
        first, *others = left
        left = []
        for other in others:
            if not first.may_join(other):
                left.append(other)
                continue
            first.join(other)
            cluster_of.update(dict.fromkeys(other.faces, first))
