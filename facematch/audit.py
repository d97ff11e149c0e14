"""The form of the audit log: who did what, when and why; ids only. `api.auditing` writes it, and
`facematch audit` reads it.

A file a host and day (UTC) in one folder, a JSON object a line. Each has `previous`, the `hash` of
the line before it of the same host, and its own `hash`, SHA-256 of the line without it: so a line
that was changed, taken out or put in shows, unless all behind it are made anew. What is cut off at
the end does not show: note the last hash elsewhere if that matters.
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path

from pydantic import TypeAdapter

from facematch.errors import Unavailable

#: What the first line of a host has for `previous`.
BEGINNING = "0" * 64
_FILE = re.compile(r"audit-(.+)-([0-9]{4}-[0-9]{2}-[0-9]{2})\.jsonl")


@dataclass(frozen=True)
class Act:
    """What somebody did. `time`: ISO 8601, UTC; `key`: the id of the API key, "" for none; `what`:
    method and route, as a pattern; `ids`: those in the path and of the answer; `basis`: what
    was said of why."""

    time: str
    key: str
    what: str
    collection: str
    status: int
    ids: dict[str, str] = field(default_factory=dict)
    basis: dict[str, str] = field(default_factory=dict)
    previous: str = BEGINNING
    hash: str = ""

    def sealed(self, previous: str) -> "Act":
        """The same behind the line with this hash."""
        linked = replace(self, previous=previous, hash="")
        return replace(linked, hash=linked.digest())

    def digest(self) -> str:
        """What its hash has to be."""
        told = {name: value for name, value in asdict(self).items() if name != "hash"}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    def pack(self) -> bytes:
        """As a line."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def unpack(cls, line: bytes) -> "Act":
        """The inverse. Raises ValueError for what is no line of it."""
        try:
            cls(**json.loads(line))  # for what there is too much of, which the other passes over
        except TypeError as error:
            raise ValueError(str(error)) from None
        return _ACT.validate_json(line, strict=True)


_ACT = TypeAdapter(Act)


@dataclass(frozen=True)
class Verified:
    """`acts`: lines that are right; `hosts`: the last hash of each; `findings`: what is wrong."""

    acts: int
    hosts: dict[str, str]
    findings: tuple[str, ...]


def file_of(folder: Path, host: str, day: date) -> Path:
    """Where the acts of a day are."""
    return folder / f"audit-{re.sub(r'[^A-Za-z0-9.-]', '_', host)}-{day.isoformat()}.jsonl"


def files(folder: Path) -> dict[str, list[Path]]:
    """Those of each host, the oldest first."""
    found: dict[str, list[Path]] = defaultdict(list)
    for file in sorted(folder.glob("audit-*.jsonl")):
        if named := _FILE.fullmatch(file.name):
            found[named[1]].append(file)
    return dict(found)


def host_of(file: Path) -> str:
    """Whose acts are in a file that `file_of` names."""
    return _named(file)[1]


def day_of(file: Path) -> str:
    """The day whose acts are in a file that `file_of` names, YYYY-MM-DD."""
    return _named(file)[2]


def _named(file: Path) -> re.Match[str]:
    named = _FILE.fullmatch(file.name)
    if named is None:
        raise ValueError(f"{file.name} is no file of an audit log")
    return named


def acts(folder: Path) -> Iterator[Act]:
    """All there are, host by host, the first first; what is no line of it is left out. Raises
    Unavailable("unreadable")."""
    for own in files(folder).values():
        for _, _, act in _lines(own):
            if act is not None:
                yield act


def verify(folder: Path) -> Verified:
    """Follow the chain of each host. Its first line may be behind some that were destroyed when
    they were old. Raises Unavailable("unreadable")."""
    count, findings, ends = 0, [], {}
    for host, own in files(folder).items():
        last = ""
        for file, number, act in _lines(own):
            where = f"{file.name}, line {number}"
            if act is None:
                findings.append(f"{where}: no line of an audit log")
            elif act.hash != act.digest():
                findings.append(f"{where}: it was changed")
            elif last and act.previous != last:
                findings.append(f"{where}: it is not behind the line before it")
            else:
                count += 1
            if act is not None:
                last = act.hash
        ends[host] = last
    return Verified(count, ends, tuple(findings))


def _lines(own: list[Path]) -> Iterator[tuple[Path, int, Act | None]]:
    for file in own:
        try:
            with file.open("rb") as lines:
                for number, line in enumerate(lines, 1):
                    try:
                        yield file, number, Act.unpack(line)
                    except ValueError:
                        yield file, number, None
        except OSError as error:
            raise Unavailable("unreadable", f"{file}: {error.strerror}") from error
