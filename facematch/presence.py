"""How a process is known to Redis: the name that it gives its connections, and its one home.

Nothing depends on it: it is for who looks after a service, to see which processes there are.
"""

import os
import re
import socket
from dataclasses import dataclass

from facematch import __version__

_MARK = "facematch"
#: A name that Redis takes has no blank, and a part of ours no slash.
_NOT_TAKEN = re.compile(r"[^!-.0-~]")


@dataclass(frozen=True, order=True)
class Process:
    """A process: which part it is (api, worker, index), of which version, where."""

    part: str
    version: str
    host: str
    pid: int

    @classmethod
    def here(cls, part: str) -> "Process":
        """This one."""
        return cls(part, __version__, socket.gethostname(), os.getpid())

    def encode(self) -> str:
        """As a name of a connection."""
        words = (_MARK, self.part, self.version, self.host, str(self.pid))
        return "/".join(_NOT_TAKEN.sub("_", word) for word in words)

    @classmethod
    def decode(cls, name: str) -> "Process":
        """The inverse of `encode`. Raises ValueError for any other name."""
        words = name.split("/")
        if len(words) != 5 or words[0] != _MARK or not words[4].isdigit():
            raise ValueError("not the name of a process of ours")
        return cls(words[1], words[2], words[3], int(words[4]))
