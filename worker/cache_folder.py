"""Where a worker keeps what it has made once and would otherwise make at every start."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """The project's folder among the user's caches; it may not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "facematch"
