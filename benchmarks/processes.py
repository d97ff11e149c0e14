"""Memory and ids of processes, and processors for them."""

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: What Linux says of the other end of a unix socket: process, user, group.
_PEER = struct.Struct("3i")


def tree_of(pid: int) -> list[int]:
    """This process and all below it."""
    found = [pid]
    for number in found:
        found += children_of(number)
    return found


def children_of(pid: int) -> list[int]:
    """The processes that this one has started, and not those that they have."""
    files = (task / "children" for task in _read(Path(f"/proc/{pid}/task")))
    return [int(child) for file in files for child in _text(file).split()]


def command_of(pid: int) -> list[str]:
    """The words with which a process was started, or as which it shows itself; none when it is
    gone."""
    return _text(Path(f"/proc/{pid}/cmdline")).replace("\0", " ").split()


def memory_of(pid: int) -> int:
    """Bytes of memory of a process and all below it; what they share counts once, what
    they share with others in part (PSS)."""
    return sum(_proportional(number) for number in tree_of(pid))


def processor_seconds(pid: int) -> float:
    """Seconds that a process and all below it have computed for, those that have ended included
    if somebody waited for them."""
    ticks = 0
    for number in tree_of(pid):
        # Its name, which may have any character in it, is in parentheses.
        fields = _text(Path(f"/proc/{number}/stat")).rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """Bytes of memory that a process alone has in use (RSS)."""
    text = Path(f"/proc/{pid}/status").read_text()
    return next(
        int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("VmRSS:")
    )


def listener(path: Path) -> int:
    """The process that serves a unix socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    pid: int = _PEER.unpack(peer)[0]
    return pid


def busy_seconds() -> float:
    """Seconds that the machine's processors have been at work, since it was started."""
    words = Path("/proc/stat").read_text().split(maxsplit=9)[1:9]
    user, nice, system, _, _, irq, softirq, _ = map(int, words)
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


@contextmanager
def on_cores(count: int) -> Iterator[None]:
    """Let this process, and what it starts meanwhile, use the first `count` of its cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _read(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []


def _proportional(pid: int) -> int:
    lines = _text(Path(f"/proc/{pid}/smaps_rollup")).splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def _text(file: Path) -> str:
    """What Linux says of a process; "" when it is gone."""
    try:
        return file.read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
