"""Where a worker keeps what it has made once and would otherwise make at every start."""

import os
import tempfile
from pathlib import Path


def cache_folder() -> Path:
    """The project's folder among the user's caches; it may not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "facematch"


def write_whole(file: Path, data: bytes) -> None:
    """Write a file so that others see all of it or nothing. Raises OSError."""
    handle, partial = tempfile.mkstemp(dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
        os.replace(partial, file)
    except BaseException:
        os.unlink(partial)
        raise
