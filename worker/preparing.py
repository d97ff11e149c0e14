"""A program that makes an encoder faster, run in the background by the nursery that wants it.

It lives no longer than the nursery, and has of it nothing but the environment and the output.
"""

import os
import signal
import subprocess
import sys

from facematch import tether


class Preparing:
    """From its start on. Make it in the main thread: the program is tied to it."""

    def __init__(self, module: str) -> None:
        """Starts `python -m module`. Raises OSError when that cannot be done."""
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-IS", tether.__file__, str(os.getpid())),
                *(sys.executable, "-P", "-m", module),
            ],
            stdin=subprocess.DEVNULL,
        )
        # The nursery waits for its worker and for nothing else; so it is told by a signal.
        signal.signal(signal.SIGCHLD, lambda *_: self._process.poll())
        self._process.poll()

    @property
    def ended(self) -> bool:
        """Whether it has ended, well or not, and been waited for."""
        return self._process.returncode is not None
