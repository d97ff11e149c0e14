"""Faces in the inverted lists of a FAISS IVF index: searched are only the lists whose centres are
nearest, so that some may be missing. Used by `index.ivf`.
"""

import math
from collections.abc import Callable, Iterator

import faiss
import numpy as np
from numpy.typing import NDArray

from facematch.faces import DIMENSIONS, ENCODING_BYTES, Encodings, FaceIds
from index.rows import BLOCK, Rows, grown

#: Of a face: encoding and row in its list, half as much again for lists that grow by doubling;
#: the id, the list, and whether it is there. 735 bytes were measured.
FACE_BYTES = (ENCODING_BYTES + 8) * 3 // 2 + 8 + 4 + 1
_LISTS_PER_ROOT = 4
_ROUNDS = 4
_FACES_PER_LIST = 40
#: How many faces are compared with how many encodings in one step: about 5 ms.
_STEP = 200_000


def lists_for(faces: int) -> int:
    """How many lists so many faces are spread over."""
    return max(1, int(_LISTS_PER_ROOT * math.sqrt(faces)))


def building_bytes(faces: int) -> int:
    """The memory that building lists of so many faces takes, what they take then included."""
    return faces * FACE_BYTES + (lists_for(faces) * _FACES_PER_LIST + BLOCK) * ENCODING_BYTES


class Inverted:
    """Faces by id. Any number of threads may search, while none changes it. A removed face is
    overwritten at once; its row is given back when all is built anew."""

    def __init__(self, sample: Encodings, faces: int) -> None:
        """Lists for so many faces, like those of the sample (n, 128)."""
        self.lists = min(lists_for(faces), len(sample))
        quantizer = faiss.IndexFlatL2(DIMENSIONS)
        self._index = faiss.IndexIVFFlat(quantizer, DIMENSIONS, self.lists)
        self._quantizer = quantizer  # FAISS does not keep it
        self._index.cp.niter = _ROUNDS
        self._index.cp.min_points_per_centroid = 1
        self._index.cp.max_points_per_centroid = _FACES_PER_LIST
        self._index.train(np.ascontiguousarray(sample))
        self._rows = Rows()
        self._list: NDArray[np.int32] = np.empty(0, dtype=np.int32)

    @classmethod
    def of(
        cls,
        blocks: Callable[[], Iterator[tuple[FaceIds, Encodings]]],
        faces: int,
        rng: np.random.Generator,
    ) -> "Inverted":
        """With all these faces, in the order of their ids; `faces`: how many there are, at least
        one. `blocks` is called twice."""
        wanted = min(1.0, lists_for(faces) * _FACES_PER_LIST / max(1, faces))
        sample = np.concatenate([block[rng.random(len(block)) <= wanted] for _, block in blocks()])
        made = cls(sample if len(sample) else next(blocks())[1], faces)
        for ids, encodings in blocks():
            made.add(ids, encodings)
        return made

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def bytes(self) -> int:
        """The memory its faces take, about."""
        return self._rows.used * FACE_BYTES + self.lists * ENCODING_BYTES

    @property
    def wasted(self) -> int:
        """How many rows removed faces have left."""
        return self._rows.dead

    def add(self, ids: FaceIds, encodings: Encodings) -> None:
        """Take in faces; the ids ascend, and are above all that were added."""
        encodings = np.ascontiguousarray(encodings)
        rows = np.arange(self._rows.used, self._rows.used + len(ids), dtype=np.int64)
        lists = np.ascontiguousarray(self._quantizer.search(encodings, 1)[1].ravel())
        # FAISS knows no nearest list where squares are beyond float32, and would lose the face.
        np.maximum(lists, 0, out=lists)
        pointers = [faiss.swig_ptr(array) for array in (encodings, rows, lists)]
        self._index.add_core(len(ids), *pointers)
        self._rows.append(ids)
        if self._rows.used > len(self._list):
            self._list = grown(self._list, self._rows.used)
        self._list[rows] = lists

    def remove(self, ids: FaceIds) -> None:
        """Forget these faces; an id that is not there is passed over."""
        # FAISS's own removal would leave copies behind the ends of the lists.
        for row in self._rows.remove(ids).tolist():
            held, encodings = self._of_list(int(self._list[row]))
            encodings[np.searchsorted(held, row)] = 0

    def search(
        self, encodings: Encodings, radius_squared: float, low: int, high: int, probes: int
    ) -> tuple[NDArray[np.int32], FaceIds]:
        """Which faces with ids from `low` to below `high` in the `probes` nearest lists of which of
        the encodings (q, 128) lie within the radius of it: two arrays (n,), the encoding's number
        and the face's id, in no order."""
        first, rows = self._rows.below(low), self._rows.below(high)
        if first >= rows or len(encodings) == 0:
            return np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int64)
        parameters = faiss.SearchParametersIVF()
        parameters.nprobe = min(probes, self.lists)
        if radius_squared > float(np.finfo(np.float32).max):
            numbers, found = (np.ravel(grid) for grid in np.indices((len(encodings), rows)))
        else:
            limits, _, found = self._index.range_search(
                encodings, radius_squared, params=parameters
            )
            numbers = np.repeat(np.arange(len(encodings)), np.diff(limits.astype(np.int64)))
        known = (found >= first) & (found < rows) & self._rows.alive(found)
        return numbers[known].astype(np.int32), self._rows.ids(found[known])

    def at_once(self, probes: int) -> int:
        """How many encodings to search for in one call that shall take a few milliseconds."""
        compared = self._rows.used * min(1.0, probes / self.lists)
        return max(1, int(_STEP // max(1.0, compared)))

    def any_of(self, rng: np.random.Generator) -> tuple[int, Encodings]:
        """One of its faces, drawn at random: the id and the encoding (1, 128)."""
        row = self._rows.drawn(rng)
        return int(self._rows.ids(np.array([row]))[0]), self._index.reconstruct_n(row, 1)

    def blocks(self) -> Iterator[tuple[FaceIds, Encodings]]:
        """All its faces, in the order of their ids."""
        for rows, alive, ids in self._rows.blocks():
            yield ids, self._index.reconstruct_n(rows.start, len(alive))[alive]

    def wipe(self) -> None:
        """Overwrite all; it is not used again."""
        for number in range(self.lists):
            self._of_list(number)[1][:] = 0

    def _of_list(self, number: int) -> tuple[NDArray[np.int64], Encodings]:
        """A list in FAISS's own memory: the rows, ascending, and their encodings, writable; void
        after the next face was added."""
        lists = self._index.invlists
        if lists is None or (size := lists.list_size(number)) == 0:
            return np.empty(0, dtype=np.int64), np.empty((0, DIMENSIONS), dtype=np.float32)
        held = faiss.rev_swig_ptr(lists.get_ids(number), size)
        codes = faiss.rev_swig_ptr(lists.get_codes(number), size * ENCODING_BYTES)
        return held, codes.view(np.float32).reshape(size, DIMENSIONS)
