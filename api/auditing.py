"""Notes in the audit log whatever is done: pictures put in, searched with, erased; rules, people
and collections changed. What is only read is not in it.
"""

import fcntl
import os
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import structlog
from flask import Flask, Response, g, request

from api.basis import basis_here
from api.caller import caller
from api.collection_of import collection_of_request
from api.scopes import OPEN, Needs
from facematch.audit import BEGINNING, Act, day_of, file_of, files, host_of
from facematch.collection_name import is_name
from facematch.errors import FacematchError, Misconfigured
from facematch.faces import is_image_hash, parse_face_name
from facematch.job import is_job_id
from facematch.keys import Scope
from facematch.people import is_person_id

#: The ids that are noted, by the name that they have in paths and answers. What is of another form
#: is whatever somebody has put there.
_IDS: Mapping[str, Callable[[str], object]] = {
    "image": is_image_hash,
    "hash": is_image_hash,
    "face": parse_face_name,
    "collection": is_name,
    "person": is_person_id,
    **dict.fromkeys(("job", "batch", "webhook"), is_job_id),
}
_ANSWERED = ("job", "hash", "webhook")
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
        self._tidied: date | None = None
        #: The file written last, its size and the hash of its last line then.
        self._written = Path(), -1, ""

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

    def append(self, *acts: Act) -> None:
        """Write acts behind the last one of this host. Raises OSError."""
        with self._lock, (self._folder / "audit.lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            today = datetime.now(UTC).date()
            file, last = self._end(file_of(self._folder, self._host, today))
            with open(file, "ab", opener=_private) as log:
                # The last write may have been cut short: its line is not continued.
                lines = [] if _is_whole(file) else [b"\n"]
                for act in acts:
                    sealed = act.sealed(last)
                    lines.append(sealed.pack())
                    last = sealed.hash
                log.write(b"".join(lines))
                log.flush()
                self._written = file, log.tell(), last
            self._tidy(today)

    def _note(self, response: Response) -> Response:
        needed: Needs = g.get("needed", OPEN)
        if needed == OPEN or set(needed.scopes) <= {Scope.READ}:
            return response
        act = _act(response)
        more: list[dict[str, str]] = g.get("noted", [{}])
        try:
            self.append(*(replace(act, ids=act.ids | _known(ids)) for ids in more))
        except OSError as error:
            _log.error("the audit log cannot be written", error=str(error))
        return response

    def _end(self, file: Path) -> tuple[Path, str]:
        """Where to go on when this is the file of the day, and the hash of the last act."""
        written, size, last = self._written
        # No file is gone on with once there is a later one: the clock may have been set back.
        if file <= written and written.is_file() and written.stat().st_size == size:
            return written, last
        own = files(self._folder).get(host_of(file), [])
        last = next(filter(None, map(_last_hash, reversed(own))), BEGINNING)
        return max([file, *own]), last

    def _tidy(self, today: date) -> None:
        """Once a day; also after hosts that are no more."""
        if not self._days or self._tidied == today:
            return
        self._tidied = today
        first = (today - timedelta(days=self._days)).isoformat()
        for own in files(self._folder).values():
            for file in own:
                if day_of(file) < first:
                    file.unlink(missing_ok=True)


def note(**ids: str) -> None:
    """Have these ids in the audit log, too, for a route whose answer does not begin with them; with
    each call in a line more."""
    g.setdefault("noted", []).append(ids)


def _act(response: Response) -> Act:
    key = caller()
    ids = dict(request.view_args or {})
    if response.is_json and (response.content_length or _SMALL) < _SMALL:
        told = response.get_json(silent=True)
        if isinstance(told, dict):
            ids |= {name: told[name] for name in _ANSWERED if told.get(name)}
    collection = collection_of_request()
    return Act(
        time=datetime.now(UTC).isoformat(timespec="milliseconds"),
        key=key.id if key else "",
        what=f"{request.method} {request.url_rule}",
        collection=collection if is_name(collection) else "",
        status=response.status_code,
        ids=_known(ids),
        basis=_basis(),
    )


def _known(ids: Mapping[str, object]) -> dict[str, str]:
    return {
        name: str(ids[name])
        for name, is_one in _IDS.items()
        if name in ids and is_one(str(ids[name]))
    }


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


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
