"""Memory of processes, and processors for them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def tree_of(pid: int) -> list[int]:
    """This process and all below it."""
    found = [pid]
    for number in found:
        for task in _read(Path(f"/proc/{number}/task")):
            children = task / "children"
            if children.exists():
                found += [int(child) for child in children.read_text().split()]
    return found


def memory_of(pid: int) -> int:
    """Bytes of memory of a process and all below it; what they share counts once, what
    they share with others in part (PSS)."""
    return sum(_proportional(number) for number in tree_of(pid))


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
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next(
        int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:")
    )
