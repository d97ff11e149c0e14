"""The detector: pixels in, boxes out; and all its code compiled, or loaded, in one place."""

import numpy as np
from numpy import float32, uint32
from numpy.typing import NDArray

from facematch import compiled_cache as cache
from facematch.compiled import seal
from facematch.faces import Box, Pixels
from worker.hog import compiled
from worker.hog.boxes import in_picture, suppress, window_boxes
from worker.hog.cells import corner_shares
from worker.hog.gradients import orientation_table
from worker.hog.pyramid import fill_pyramid, level_of, level_sizes
from worker.hog.search import search
from worker.hog.weights import paired, read_weights, single_filters
from worker.hog.window import score_window

#: Scores this near a decision are computed again. It is measured and not proven: 23 times the
#: most that a score was off in 5,684 photographs, in composites, faint, noisy and drawn pictures.
MARGIN = 2e-4

#: What is called from here; it calls the rest.
_COMPILED = (
    *(level_sizes, fill_pyramid, level_of, search),
    *(window_boxes, suppress, score_window),
)


#: What dlib has compiled in, kept beside the code because dlib takes long to unpack it.
_STATE = "state"


class FrontalFaceDetector:
    """`dlib.get_frontal_face_detector()` as `detector(pixels, 1)` uses it: the same boxes, in
    the same order."""

    def __init__(self, state: bytes, margin: float = MARGIN) -> None:
        """`state`: see `worker.hog.weights.read_weights`, also for what is raised. `margin`: how
        near a decision scores are computed again as dlib does."""
        weights = read_weights(state)
        self._thresholds = weights.thresholds
        self._most = weights.most
        self._margin = margin
        self._orientations = orientation_table()
        self._shares = corner_shares()
        self._single = single_filters(weights.planes)
        self._filters = paired(self._single)

    def __call__(self, pixels: Pixels) -> list[Box]:
        """The faces of a picture (h, w, 3), uint8, RGB, best first; boxes may reach over its
        edges. Raises ValueError for an array of another shape or type."""
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
            raise ValueError("a picture is (h, w, 3), uint8")
        if pixels.size == 0:
            return []
        sizes, pyramid = pyramid_of(pixels)
        least = (self._thresholds - self._margin).astype(float32)
        found = search(pyramid, sizes, self._orientations, self._shares, self._filters, least)
        return [in_picture(*box) for box in self._decided(found, pyramid, sizes).tolist()]

    def compile(self) -> None:
        """Compile all that may ever be called, or load it from the cache."""
        self(np.zeros((80, 80, 3), dtype=np.uint8))
        sizes = level_sizes(80, 80)
        level = level_of(np.zeros(sizes[0, 1] * sizes[0, 2], dtype=uint32), sizes, 0)
        score_window(level, 0, 0, 0, self._orientations, self._single)

    def _decided(
        self, found: NDArray[np.float64], pyramid: NDArray[np.uint32], sizes: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The boxes of these windows, as `search` gives them, that dlib would keep."""
        windows = found[:, 1:].astype(np.int64)  # in this order, scores apart, dlib has them
        over = found[:, 0] - self._thresholds[windows[:, 0]]
        exact = np.zeros(len(found), dtype=np.bool_)
        boxes = window_boxes(windows)
        while True:
            ranks = sorted(range(len(found)), key=lambda n: (-over[n], *windows[n]))
            order = np.array(ranks, dtype=np.int64)
            order = order[over[order] >= np.where(exact[order], 0, -self._margin)]
            kept, doubtful = suppress(boxes[order], over[order], self._most, self._margin)
            doubtful &= ~exact[order]
            if not doubtful.any():
                return boxes[order][kept]
            for n in order[doubtful]:
                detector, number, row, column = windows[n]
                level = level_of(pyramid, sizes, number)
                score = score_window(level, row, column, detector, self._orientations, self._single)
                over[n], exact[n] = score - self._thresholds[detector], True


def pyramid_of(pixels: Pixels) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """The sizes and the pixels of all levels of a picture; see worker.hog.pyramid."""
    sizes = level_sizes(*pixels.shape[:2])
    pyramid = np.empty(int((sizes[:, 1] * sizes[:, 2]).sum()), uint32)
    # For views, and for arrays that are read-only, code would be compiled of its own.
    fill_pyramid(np.require(pixels, requirements=("C", "W")), sizes, pyramid)
    return sizes, pyramid


def compile_detector(state: bytes) -> bool:
    """Compile everything into the cache, and mark it as complete; False when it is so already.

    Takes 12 seconds. Waits for another process that does it. Raises OSError when the cache cannot
    be written, ValueError as FrontalFaceDetector.
    """
    with cache.locked(compiled.FOLDER):
        if cache.is_complete(compiled.FOLDER):
            return False
        cache.clear(compiled.FOLDER)
        FrontalFaceDetector(state).compile()
        cache.keep(compiled.FOLDER, _STATE, state)
        cache.complete(compiled.FOLDER)
        return True


def load_detector() -> FrontalFaceDetector:
    """The detector, all of its code and its weights from the cache. Raises ValueError or OSError
    when the cache is not complete or damaged, and whatever numba does of code that cannot be
    loaded."""
    cache.check(compiled.FOLDER)
    detector = FrontalFaceDetector(cache.kept(compiled.FOLDER, _STATE))
    detector.compile()
    seal(_COMPILED)
    return detector
