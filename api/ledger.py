"""The erasure ledger: which images were erased, written outside the store.

A store that comes back from a backup, or without its last writes, has forgotten erasures; the
api plays the ledger back before it calls itself ready. One file a host in a common folder,
one JSON object a line: image, up to which submission (`upto`), collection, time. A line without an
image is of a collection that was erased as a whole.
"""

import copy
import json
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import structlog

from facematch.collection_name import DEFAULT
from facematch.collections import Collections
from facematch.erasure_ledger import Record, written_in
from facematch.errors import Misconfigured, NotFound, Unavailable
from facematch.failpoints import reached
from facematch.store import Erased, Front

_log = structlog.get_logger()


class Ledger:
    """The ledger in `folder`, for a collection; this process appends to the file of its host."""

    def __init__(self, folder: Path, collection: str = DEFAULT, host: str = "") -> None:
        self._folder = folder
        self._collection = collection
        name = re.sub(r"[^A-Za-z0-9.-]", "_", host or socket.gethostname())
        self._file = folder / f"erasures-{name}.jsonl"
        self._lock = threading.Lock()

    def of(self, collection: str) -> "Ledger":
        """The same for another collection."""
        other = copy.copy(self)
        other._collection = collection
        return other

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
        self._append({"image": erased.image, "upto": erased.upto})

    def append_dropped(self, upto: int) -> None:
        """Write that the whole collection was erased, up to a number. As `append`."""
        self._append({"upto": upto})

    def _append(self, what: dict[str, object]) -> None:
        time = datetime.now(UTC).isoformat(timespec="seconds")
        record = {**what, "collection": self._collection, "time": time}
        line = json.dumps(record).encode() + b"\n"
        try:
            with self._lock:
                self._write(line)
        except OSError as error:
            _log.error("the ledger cannot be written", error=str(error))
            raise Unavailable("ledger_unavailable") from error

    def erasures(self) -> Iterator[Erased]:
        """Every erasure of an image that any host wrote for this collection, each once. See
        `records`."""
        for record in self.records():
            if record.image and record.collection == self._collection:
                yield Erased(record.image, record.upto)

    def records(self) -> Iterator[Record]:
        """Every erasure that any host wrote, in whichever collection, each once.

        A line that is no record (a write cut short by a crash) is logged and left out. Raises
        Unavailable("ledger_unavailable") when the files cannot be read.
        """
        seen: set[Record] = set()
        for written in written_in(self._folder):
            if written.record not in seen:
                seen.add(written.record)
                yield written.record

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
    reached("after_erase")
    ledger.append(erased)
    reached("after_ledger")
    unlink(store, erased)
    _log.info("erased", image=image)


def unlink(store: Front, erased: Erased) -> None:
    """Remove an erased image from the match sets of the others, chunk by chunk."""
    while erased.position and not store.unlink(erased.position):
        reached("mid_unlink")


def replay(store_of: Callable[[str], Front], collections: Collections, ledger: Ledger) -> int:
    """Repeat every erasure in the ledger, whatever the store has forgotten; how many they are.

    Raises Unavailable when the ledger cannot be read or the store does not answer.
    """
    records = list(ledger.records())
    dropped = {one.collection: 0 for one in records}
    for record in records:
        if not record.image:
            dropped[record.collection] = max(dropped[record.collection], record.upto)
    for name, upto in dropped.items():
        if upto:
            collections.drop(name, upto)
    gone: set[str] = set()
    for record in records:
        name = record.collection
        if not record.image or name in gone or record.upto <= dropped[name]:
            continue
        try:
            store = store_of(name)
            unlink(store, store.erase(record.image, record.upto))
        except NotFound:
            gone.add(name)
    return len(records)
