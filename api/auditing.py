"""Notes in the audit log whatever is done: pictures put in, searched with, erased; rules, people
and collections changed. What is only read is not in it.
"""

import fcntl
import os
import socket
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from flask import Flask, Response, g, request

from api.basis import basis_here
from api.caller import caller
from api.collection_of import collection_of_request
from api.scopes import OPEN, Needs
from facematch.audit import BEGINNING, Act, day_of, file_of, files
from facematch.errors import FacematchError, Misconfigured
from facematch.keys import Scope

_IDS = ("image", "face", "job", "batch", "person", "id", "webhook")
_ANSWERED = ("job", "hash", "batch")
_SMALL = 4096
_LAST_BYTES = 64 * 1024

_log = structlog.get_logger()


class Audit:
    """The log in a folder. Several processes of one host may write to it."""

    def __init__(self, folder: Path, days: float, host: str = "") -> None:
        """`days`: a day's acts are destroyed so many days later; 0: never."""
        self._folder = folder
        self._days = days
        self._host = host or socket.gethostname()
        self._lock = threading.Lock()
        self._tidied = ""

    def check(self) -> None:
        """Raise Misconfigured unless it can be written; makes the folder."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.access(self._folder, os.W_OK):
                raise PermissionError("no right to write")
        except OSError as error:
            raise Misconfigured(
                f"the audit log cannot be written: {error} (FACEMATCH_AUDIT)"
            ) from error

    def register(self, app: Flask) -> None:
        """Note what the requests to an application do."""
        app.after_request(self._note)

    def append(self, act: Act) -> None:
        """Write an act behind the last one of this host. Raises OSError."""
        with self._lock, (self._folder / "audit.lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            own = self._own()
            file = file_of(self._folder, self._host, datetime.now(UTC).date())
            last = next(filter(None, map(_last_hash, reversed(own))), BEGINNING)
            with file.open("ab") as log:
                # The last write may have been cut short: its line is not continued.
                begun = b"" if _is_whole(file) else b"\n"
                log.write(begun + act.sealed(last).pack())
            self._tidy(own)

    def _note(self, response: Response) -> Response:
        needed: Needs = g.get("needed", OPEN)
        if needed == OPEN or set(needed.scopes) <= {Scope.READ}:
            return response
        try:
            self.append(_act(response))
        except OSError as error:
            _log.error("the audit log cannot be written", error=str(error))
        return response

    def _own(self) -> list[Path]:
        name = file_of(self._folder, self._host, datetime.now(UTC).date()).name
        host = name.removeprefix("audit-")[: -len("-0000-00-00.jsonl")]
        return files(self._folder).get(host, [])

    def _tidy(self, own: list[Path]) -> None:
        """Once a day."""
        today = datetime.now(UTC).date()
        if not self._days or self._tidied == str(today):
            return
        self._tidied = str(today)
        for file in own:
            if day_of(file) < today - timedelta(days=self._days):
                file.unlink(missing_ok=True)


def _act(response: Response) -> Act:
    key = caller()
    values = request.view_args or {}
    ids = {name: str(values[name]) for name in _IDS if name in values}
    if response.is_json and (response.content_length or _SMALL) < _SMALL:
        told = response.get_json(silent=True)
        if isinstance(told, dict):
            ids |= {name: str(told[name]) for name in _ANSWERED if told.get(name)}
    return Act(
        time=datetime.now(UTC).isoformat(timespec="milliseconds"),
        key=key.id if key else "",
        what=f"{request.method} {request.url_rule}",
        collection=collection_of_request(),
        status=response.status_code,
        ids=ids,
        basis=_basis(),
    )


def _basis() -> dict[str, str]:
    try:
        basis = basis_here()
    except FacematchError:
        return {}
    told = {
        "purpose": basis.purpose,
        "legal_basis": basis.legal_basis,
        "consent_ref": basis.consent_ref,
    }
    return {name: word for name, word in told.items() if word}


def _is_whole(file: Path) -> bool:
    with file.open("rb") as log:
        size = log.seek(0, os.SEEK_END)
        if not size:
            return True
        log.seek(size - 1)
        return log.read(1) == b"\n"


def _last_hash(file: Path) -> str:
    """That of the last line that is one, "" without any."""
    with file.open("rb") as log:
        log.seek(max(0, log.seek(0, os.SEEK_END) - _LAST_BYTES))
        for line in reversed(log.read().splitlines()):
            try:
                return Act.unpack(line).hash
            except ValueError:
                continue
    return ""
