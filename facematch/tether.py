"""Becomes a command that dies with its parent, whatever ends the parent (on Linux).

Run by path, `tether.py PARENT COMMAND…`, by facematch.processes. It is a script of its own
because code between fork and exec is unsafe in a process with threads.
"""

import ctypes
import os
import signal
import sys
from typing import NoReturn

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> NoReturn:
    """Tie this process to its parent, with process id `arguments[0]`, and become the rest."""
    parent, command = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the tie was made
            sys.exit(1)
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
