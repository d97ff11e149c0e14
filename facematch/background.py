"""Work that stands back for requests: a thread of its own that the system runs last."""

import os
import sys
import threading
from contextlib import suppress

#: What such a thread gets where others want the processor too: about a tenth.
_NICENESS = 10


def stand_back() -> None:
    """Let the thread that calls this come after all others, for good: of a process without
    privileges it cannot be taken back. On Linux only, where a thread has a niceness of its own."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
