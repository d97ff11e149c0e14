"""What `facematch ingest` submits: the files of a folder, or the URLs of a text file.

Read one by one, so that a million of them need no memory.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from facematch.errors import Rejected

#: Files that systems leave beside pictures.
_LEFTOVERS = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx"})
_LOOK = 8192


@dataclass(frozen=True)
class Entry:
    """A picture to submit, under a name: a file (its path below the folder) or a URL.

    `path` is None for a URL. `version` changes when the file does. `problem` says why a file
    or folder cannot even be looked at.
    """

    name: str
    path: Path | None = None
    version: str = ""
    problem: str = ""


def entries(source: Path) -> Iterator[Entry]:
    """The entries of a folder or a list of URLs, in no particular order.

    Of a folder: every regular file in it and its folders, also behind links, but for hidden
    ones. Of a list: the first field of each line, where it is not empty and no `#` comment.
    Raises Rejected("unreadable") when the source cannot be read, or is no text.
    """
    try:
        if source.is_dir():
            return _files(source)
        with source.open("rb") as file:
            if b"\0" in file.read(_LOOK):
                raise Rejected("unreadable", f"{source} is no folder and no text file of URLs")
    except OSError as error:
        raise _unreadable(source, error) from error
    return _urls(source)


def entries_at(folder: Path, path: str) -> Iterator[Entry]:
    """The entry of a file below the folder, or those of a folder below it; none for what `entries`
    would leave out, or what is gone."""
    try:
        below = Path(path).relative_to(folder)
    except ValueError:
        return
    if not below.parts or any(map(_skipped, below.parts)):
        return
    name = "/".join(below.parts)
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return
    except OSError as error:
        yield Entry(name, problem=error.strerror or str(error))
        return
    if stat.S_ISDIR(status.st_mode):
        yield from _files(Path(path), name)
    elif stat.S_ISREG(status.st_mode):
        yield Entry(name, Path(path), f"{status.st_size}:{status.st_mtime_ns}")


def _files(folder: Path, known_as: str = "") -> Iterator[Entry]:
    """Each folder is left before those in it are entered, so that one is open at a time."""
    waiting: list[tuple[str, str, frozenset[tuple[int, int]]]] = [
        (str(folder), known_as, frozenset())
    ]
    while waiting:
        path, name, above = waiting.pop()
        try:
            own = os.stat(path)
            here = (own.st_dev, own.st_ino)
            if here in above:
                continue
            with os.scandir(path) as found:
                for item in found:
                    below = f"{name}/{item.name}" if name else item.name
                    if _skipped(item.name):
                        continue
                    if _is_folder(item):
                        waiting.append((item.path, below, above | {here}))
                    elif (entry := _entry(item, below)) is not None:
                        yield entry
        except OSError as error:
            if not name:
                raise _unreadable(folder, error) from error
            yield Entry(name, problem=error.strerror or str(error))


def _is_folder(item: os.DirEntry[str]) -> bool:
    try:
        return item.is_dir()
    except OSError:
        return False


def _entry(item: os.DirEntry[str], name: str) -> Entry | None:
    """None for what is no file at all: a socket, a device."""
    try:
        status = item.stat()
    except OSError as error:
        return Entry(name, problem=error.strerror or str(error))
    if not stat.S_ISREG(status.st_mode):
        return None
    return Entry(name, Path(item.path), f"{status.st_size}:{status.st_mtime_ns}")


def _urls(file: Path) -> Iterator[Entry]:
    try:
        with file.open(encoding="utf-8-sig", errors="replace") as lines:
            for line in lines:
                url = line.partition("\t")[0].strip()
                if url and not url.startswith("#"):
                    yield Entry(url)
    except OSError as error:
        raise _unreadable(file, error) from error


def _skipped(name: str) -> bool:
    return name.startswith(".") or name.lower() in _LEFTOVERS


def _unreadable(path: Path, error: OSError) -> Rejected:
    return Rejected("unreadable", f"{path} cannot be read: {error.strerror or error}")
