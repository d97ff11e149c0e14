"""dlib's own detector until the compiled one can be loaded: nobody waits for a compiler.

Both find the same boxes, so that nothing but the speed changes.
"""

import platform
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import structlog

from facematch import compiled_cache as cache
from facematch.faces import Box, Pixels

if TYPE_CHECKING:
    from worker.hog.detector import FrontalFaceDetector

Detect = Callable[[Pixels], Sequence[Box]]

_log = structlog.get_logger()


class Standby:
    """Finds faces. What it logs it logs once, and never raises: dlib's own detector is there."""

    def __init__(self, load_own: Callable[[], Detect]) -> None:
        """`load_own` gives dlib's detector; it takes half a second, and is called when needed."""
        self._load_own = load_own
        self._compiled: FrontalFaceDetector | None = None
        # Where dlib is built for another processor, it rounds in another way: so do its boxes.
        self._possible = platform.machine() in ("x86_64", "AMD64")

    def __call__(self, pixels: Pixels) -> Sequence[Box]:
        """The faces of a picture (h, w, 3), uint8, RGB; boxes may reach over its edges."""
        pixels = np.ascontiguousarray(pixels)  # dlib finds other boxes in a view of the same
        if self._compiled is None and self._possible:
            self._load()
        return (self._compiled or self._own)(pixels)

    @cached_property
    def _own(self) -> Detect:
        return self._load_own()

    @property
    def to_compile(self) -> bool:
        """Whether compiling would make it faster."""
        return self._compiled is None and self._possible

    def _load(self) -> None:
        """Load the compiled code if it is there."""
        try:
            # Imported here: it is needed for this detector only, and looks for the cache folder.
            from worker.hog import compiled, detector

            if not cache.is_complete(compiled.FOLDER):
                return
        except Exception as error:  # noqa: BLE001  whatever numba raises
            self._give_up("compiled code cannot be kept", error)
            return
        try:
            self._compiled = detector.load_detector()
        except MemoryError:
            raise  # of the picture that is looked at, and no fault of the code
        except Exception as error:  # noqa: BLE001  it unpickles, which may raise anything
            self._give_up("the compiled code is damaged; it is compiled at the next start", error)
            with suppress(OSError):
                cache.incomplete(compiled.FOLDER)

    def _give_up(self, what: str, error: Exception) -> None:
        self._possible = False
        _log.warning(f"{what}; dlib's own detector is used", reason=str(error))
