"""Looks for bytes where none should be left: in files, in Redis, in the memory of a process."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import redis

_PORTION = 16 * 1024**2


def in_files(folder: Path, wanted: Iterable[bytes]) -> list[str]:
    """The files below a folder that have one of these in them."""
    pattern = _any_of(wanted)
    return [str(file) for file in sorted(folder.rglob("*")) if _file_has(file, pattern)]


def in_redis(url: str, wanted: Iterable[bytes]) -> list[str]:
    """The keys whose value, as DUMP has it or as text, has one of these in it."""
    pattern = _any_of(wanted)
    found = []
    with redis.Redis.from_url(url) as client:
        # DUMP compresses values, so that bytes in them would not be found.
        client.config_set("rdbcompression", "no")
        for key in client.scan_iter(count=1000):
            if pattern.search(client.dump(key) or b"") or pattern.search(key):
                found.append(key.decode())
    return sorted(found)


def in_memory(pid: int, wanted: Iterable[bytes]) -> list[str]:
    """The parts of the memory of a process, and of its children, that have one of these in them."""
    pattern = _any_of(wanted)
    longest = max(map(len, wanted), default=0)
    return [
        f"{one}: {part}"
        for one in (pid, *_children(pid))
        for part, data in _parts(one, longest)
        if pattern.search(data)
    ]


def _any_of(wanted: Iterable[bytes]) -> re.Pattern[bytes]:
    return re.compile(b"|".join(map(re.escape, wanted)))


def _file_has(file: Path, pattern: re.Pattern[bytes]) -> bool:
    try:
        return file.is_file() and pattern.search(file.read_bytes()) is not None
    except FileNotFoundError:  # gone meanwhile
        return False


def _children(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            yield child
            yield from _children(child)


def _parts(pid: int, overlap: int) -> Iterator[tuple[str, bytes]]:
    """What the process can read and write: portions that overlap by so many bytes."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights, *_ = line.split()
            if not rights.startswith("rw"):
                continue
            begin, end = (int(number, 16) for number in span.split("-"))
            for at in range(begin, end, _PORTION):
                size = min(_PORTION + overlap, end - at)
                try:
                    yield line, os.pread(memory.fileno(), size, at)
                except OSError:  # a hole, or gone meanwhile
                    continue
