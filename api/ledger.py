"""The erasure ledger: which images were erased, written outside the store.

A store that comes back from a backup, or without its last writes, has forgotten erasures; the
api plays the ledger back before it calls itself ready. One file a host in a common folder,
one JSON object a line: image, up to which submission (`upto`), collection, time.
"""

import json
import os
import re
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import structlog

from facematch.errors import Misconfigured, Unavailable
from facematch.faces import is_image_hash
from facematch.store import Erased, Front

_log = structlog.get_logger()


class Ledger:
    """The ledger in `folder`; this process appends to the file of its host."""

    def __init__(self, folder: Path, collection: str = "default", host: str = "") -> None:
        self._folder = folder
        self._collection = collection
        name = re.sub(r"[^A-Za-z0-9.-]", "_", host or socket.gethostname())
        self._file = folder / f"erasures-{name}.jsonl"
        self._lock = threading.Lock()

    def check(self) -> None:
        """Raise Misconfigured unless the ledger can be written; makes the folder."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            os.close(self._open())
        except OSError as error:
            raise Misconfigured(
                f"the erasure ledger cannot be written: {error} (FACEMATCH_LEDGER)"
            ) from error

    def append(self, erased: Erased) -> None:
        """Write one erasure; it is on the disk when this returns.

        Raises Unavailable("ledger_unavailable").
        """
        record = {
            "image": erased.image,
            "upto": erased.upto,
            "collection": self._collection,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        line = json.dumps(record).encode() + b"\n"
        try:
            with self._lock:
                self._write(line)
        except OSError as error:
            _log.error("the ledger cannot be written", error=str(error))
            raise Unavailable("ledger_unavailable") from error

    def erasures(self) -> Iterator[Erased]:
        """Every erasure that any host wrote for this collection, each once.

        A line that is no record (a write cut short by a crash) is logged and left out. Raises
        Unavailable("ledger_unavailable") when the files cannot be read.
        """
        seen: set[tuple[str, int]] = set()
        try:
            for file in sorted(self._folder.glob("*.jsonl")):
                with file.open("rb") as lines:
                    for number, line in enumerate(lines, 1):
                        erased = self._parsed(line, file, number)
                        if erased and (erased.image, erased.upto) not in seen:
                            seen.add((erased.image, erased.upto))
                            yield erased
        except OSError as error:
            raise Unavailable(
                "ledger_unavailable", f"the ledger cannot be read: {error}"
            ) from error

    def _parsed(self, line: bytes, file: Path, number: int) -> Erased | None:
        try:
            record = json.loads(line)
            image, upto = record["image"], record["upto"]
            mine = record["collection"] == self._collection
            if not (is_image_hash(image) and isinstance(upto, int) and upto > 0):
                raise ValueError("no image or number")  # noqa: TRY301
        except (ValueError, KeyError, TypeError) as error:
            _log.error(
                "a line of the ledger cannot be read",
                file=str(file),
                line=number,
                error=repr(error),
            )
            return None
        return Erased(image, upto) if mine else None

    def _open(self) -> int:
        new = not self._file.exists()
        handle = os.open(self._file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        if new:
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        return handle

    def _write(self, line: bytes) -> None:
        handle = self._open()
        try:
            size = os.fstat(handle).st_size
            if size and os.pread(handle, 1, size - 1) != b"\n":
                # The last write was cut short: do not continue its line.
                line = b"\n" + line
            if os.write(handle, line) != len(line):
                raise OSError("the disk took a part of the line only")
            os.fsync(handle)
        finally:
            os.close(handle)


def erase(store: Front, ledger: Ledger, image: str) -> None:
    """Erase an image: hidden first, then in the ledger for good, then out of every match set.

    Repeatable: a call after one that was cut short finishes it. Raises NotFound, Unavailable.
    """
    erased = store.erase(image)
    ledger.append(erased)
    unlink(store, erased)
    _log.info("erased", image=image)


def unlink(store: Front, erased: Erased) -> None:
    """Remove an erased image from the match sets of the others, chunk by chunk."""
    while erased.position and not store.unlink(erased.position):
        pass


def replay(store: Front, ledger: Ledger) -> int:
    """Repeat every erasure in the ledger, whatever the store has forgotten; how many they are.

    Raises Unavailable when the ledger cannot be read or the store does not answer.
    """
    count = 0
    for record in ledger.erasures():
        unlink(store, store.erase(record.image, record.upto))
        count += 1
    return count
