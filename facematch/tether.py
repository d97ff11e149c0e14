"""Becomes a command that dies with its parent, whatever ends the parent (on Linux).

Run by path, `tether.py PARENT COMMAND…`, by facematch.processes and by workers. It is a script of
its own because code between fork and exec is unsafe in a process with threads. Forked children
without threads use `tie` itself.
"""

import ctypes
import os
import signal
import sys
from typing import NoReturn

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38


def main(arguments: list[str]) -> NoReturn:
    """Tie this process to its parent, with process id `arguments[0]`, and become the rest."""
    parent, command = int(arguments[0]), arguments[1:]
    tie(parent)
    os.execv(command[0], command)  # noqa: S606


def tie(parent: int) -> None:
    """Let this process be killed when its parent, with this process id, ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the tie was made
            os._exit(1)


def renounce_privileges() -> None:
    """Never gain any by running a program that has some."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


if __name__ == "__main__":
    main(sys.argv[1:])
