"""Graphs of faces for tests: pairs drawn at random, or those of real encodings."""

from collections.abc import Collection, Iterable, Mapping

from facematch.corrections import FaceKey
from facematch.linkage import Near


class DrawnGraph:
    """See facematch.grouping.Graph. Pairs are given by their two faces, in either order."""

    def __init__(self, pairs: Mapping[frozenset[FaceKey], int], faces: Iterable[FaceKey]) -> None:
        self.faces = set(faces)
        self._near: dict[FaceKey, dict[FaceKey, int]] = {}
        for (one, other), code in ((sorted(pair), code) for pair, code in pairs.items()):
            self._near.setdefault(one, {})[other] = code
            self._near.setdefault(other, {})[one] = code

    def near(self, faces: Collection[FaceKey]) -> Mapping[FaceKey, Near]:
        """See Graph."""
        return {
            face: {
                other: code
                for other, code in self._near.get(face, {}).items()
                if other in self.faces
            }
            for face in faces
            if face in self.faces
        }
