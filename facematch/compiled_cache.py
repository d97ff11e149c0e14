"""Whether the compiled code in a folder is all there, and which folder is the right one.

Numba reads its files by unpickling them, and does not notice when a function is called that has
changed in another file. So the name of the folder tells everything that its contents depend on,
and a marker, written last, has the digests of all files in it.
"""

import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from facematch.cache_folder import write_whole

_MARKER, _LOCK, _KEPT = "complete.json", "lock", "kept"
_KEY_DIGITS = 16


def cache_key(sources: Iterable[Path], versions: Sequence[str]) -> str:
    """16 hexadecimal digits that change with the sources, their places and their times of
    change, which numba's own index may go by, and with the versions.

    Raises OSError when a source cannot be read.
    """
    digest = hashlib.sha256(json.dumps(versions).encode())
    for source in sorted(sources):
        state = source.stat()
        digest.update(json.dumps([str(source), state.st_mtime_ns, state.st_size]).encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()[:_KEY_DIGITS]


def own_folder(folder: Path) -> None:
    """Make the folder, for this user alone.

    Raises OSError when it cannot be written, or when others could write what is unpickled here.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    state = folder.stat()
    if state.st_uid != os.geteuid() or state.st_mode & 0o022:
        raise PermissionError(f"others can write to {folder}")
    tempfile.TemporaryFile(dir=folder).close()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Alone among the processes that compile into the folder; waits for the one that does."""
    with (folder / _LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_complete(folder: Path) -> bool:
    """Whether the marker is there: cheap enough to be asked for every picture."""
    return (folder / _MARKER).exists()


def check(folder: Path) -> None:
    """Raise ValueError unless every file is as it was when the marker was written, or OSError."""
    if json.loads((folder / _MARKER).read_bytes()) != _digests(folder):
        raise ValueError("the compiled code is not what was kept")


def keep(folder: Path, name: str, data: bytes) -> None:
    """Keep something beside the code, before it is complete. Raises OSError."""
    file = folder / _KEPT / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(data)


def kept(folder: Path, name: str) -> bytes:
    """What was kept. Raises OSError."""
    return (folder / _KEPT / name).read_bytes()


def complete(folder: Path) -> None:
    """Write the marker: everything is compiled. Raises OSError."""
    write_whole(folder / _MARKER, json.dumps(_digests(folder)).encode())


def incomplete(folder: Path) -> None:
    """Remove the marker, so that everything is compiled anew. Raises OSError."""
    (folder / _MARKER).unlink(missing_ok=True)


def clear(folder: Path) -> None:
    """Remove what somebody has begun to compile, or left damaged. Raises OSError."""
    incomplete(folder)
    for file in _files(folder):
        file.unlink()


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in _files(folder)
    }


def _files(folder: Path) -> list[Path]:
    """All that is kept, and what numba has written, which makes folders in the folder too."""
    return sorted(file for file in folder.glob("*/*") if file.is_file())
