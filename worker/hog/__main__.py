"""`python -m worker.hog`: compiles the detector into the cache, so that it can be loaded.

Started in the background by `worker.nursery` when nothing is there yet.
"""

import os
import sys
import time

_NICENESS = 10


def main() -> int:
    """Compile, and say what was done. Returns the exit code."""
    # Nobody waits for it; but the sooner it is done, the sooner all goes faster.
    os.nice(_NICENESS)
    began = time.monotonic()
    try:
        from worker.finder import frontal_state
        from worker.hog.compiled import FOLDER
        from worker.hog.detector import compile_detector

        anew = compile_detector(frontal_state())
    except Exception as error:  # noqa: BLE001  whatever numba raises
        print(f"the face detector cannot be compiled: {error}")  # noqa: T201
        return 1
    if anew:
        print(f"compiled the face detector in {time.monotonic() - began:.1f} s: {FOLDER}")  # noqa: T201
    else:
        print(f"the face detector is compiled already: {FOLDER}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
