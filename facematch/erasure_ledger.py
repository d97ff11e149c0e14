"""The form of the erasure ledger. `api.ledger` writes it; `facematch erasure-report` reads it, too.

One file a host in a common folder, one JSON object a line: image, up to which submission (`upto`),
collection, time. A line without an image is of a collection that was erased as a whole.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from facematch.collection_name import is_name
from facematch.errors import Unavailable
from facematch.faces import is_image_hash

_log = structlog.get_logger()


@dataclass(frozen=True)
class Record:
    """An erasure in a collection: of an image, or of all of it where that is ""."""

    collection: str
    image: str
    upto: int


@dataclass(frozen=True)
class Written:
    """A record where it stands: file, line from 1 on, and the time in it, "" for none."""

    record: Record
    file: Path
    line: int
    time: str


def written_in(folder: Path) -> Iterator[Written]:
    """Every record in the files of a folder, in no particular order of time.

    A line that is no record (a write cut short by a crash) is logged and left out. Raises
    Unavailable("ledger_unavailable") when the files cannot be read.
    """
    try:
        for file in sorted(folder.glob("*.jsonl")):
            with file.open("rb") as lines:
                for number, line in enumerate(lines, 1):
                    written = _parsed(line, file, number)
                    if written is not None:
                        yield written
    except OSError as error:
        raise Unavailable("ledger_unavailable", f"the ledger cannot be read: {error}") from error


def _parsed(line: bytes, file: Path, number: int) -> Written | None:
    try:
        told = json.loads(line)
        collection, image, upto = told["collection"], told.get("image", ""), told["upto"]
        known = is_name(collection) and (image == "" or is_image_hash(image))
        if not (known and isinstance(upto, int) and upto > 0):
            raise ValueError("no collection, image or number")  # noqa: TRY301
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        _log.error(
            "a line of the ledger cannot be read", file=str(file), line=number, error=repr(error)
        )
        return None
    time = told.get("time", "")
    return Written(Record(collection, image, upto), file, number, str(time))
