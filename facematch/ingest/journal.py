"""What `facematch ingest` remembers of a source between runs: which entries were done.

One SQLite file for each pair of service and source, so that a million entries need no memory.
It is only a memory: what it says is checked with the service before it counts.
"""

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from facematch.errors import Misconfigured


@dataclass(frozen=True)
class Done:
    """An entry that was done. `version`: of the file; `name`: as the service keeps it."""

    version: str
    hash: str
    name: str


class Journal:
    """Not safe to share between threads."""

    def __init__(self, path: Path) -> None:
        """Opens the file, or makes it. Raises Misconfigured, as every method does."""
        self._path = path
        with self._explained():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = sqlite3.connect(path, timeout=30)
            try:
                self._file.execute("PRAGMA journal_mode = WAL")
                # What is lost with the power is only submitted once more.
                self._file.execute("PRAGMA synchronous = NORMAL")
                self._file.execute(
                    "CREATE TABLE IF NOT EXISTS done (entry BLOB PRIMARY KEY, version TEXT, "
                    "hash TEXT, name TEXT) WITHOUT ROWID"
                )
            except sqlite3.Error:
                self._file.close()
                raise

    def find(self, entry: str) -> Done | None:
        """What is remembered of the entry with this name."""
        with self._explained():
            row = self._file.execute(
                "SELECT version, hash, name FROM done WHERE entry = ?", (os.fsencode(entry),)
            ).fetchone()
        return Done(*row) if row else None

    def record(self, entry: str, done: Done) -> None:
        """Remember that an entry was done, for good once `save` was called."""
        row = (os.fsencode(entry), done.version, done.hash, done.name)
        with self._explained():
            self._file.execute("INSERT OR REPLACE INTO done VALUES (?, ?, ?, ?)", row)

    def save(self) -> None:
        """Put what was recorded on disk. Another run on the same source waits for this."""
        with self._explained():
            self._file.commit()

    def close(self) -> None:
        """Save, and close the file."""
        self.save()
        self._file.close()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise Misconfigured(f"the journal {self._path} cannot be used: {error}") from error


def journal_path(service: str, source: Path) -> Path:
    """Where the journal of a source is, for a service: below XDG_STATE_HOME."""
    home = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
    text = f"{service}\n{source.resolve()}"
    digest = hashlib.sha256(os.fsencode(text)).hexdigest()
    return home / "facematch" / "ingest" / f"{digest}.sqlite3"
