"""The data folder of an embedded service: claimed by one process, with a place for sockets.

lock           held while a service runs on the folder, or a server was started to read it
service.json   where the running service is reached; gone when it has stopped
valkey/        the store    ledger/  erasures    logs/  output of every process
audit/         who did what: see facematch.audit
run/           unix sockets, unless the folder cannot hold them
"""

import contextlib
import fcntl
import json
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from facematch.errors import Misconfigured

#: As long as that of a worker that searches: search/ and its process id.
_LONGEST_SOCKET = "search-4194304.sock"


class InUse(Misconfigured):
    """Another process has claimed the folder."""


@dataclass(frozen=True)
class Service:
    """A running service: its process and where its parts are reached."""

    pid: int
    url: str
    redis_url: str
    index_url: str


@dataclass(frozen=True)
class DataFolder:
    """A claimed folder. `lock` is the descriptor of the claim: a process that inherits it
    prolongs the claim until it has ended itself."""

    path: Path
    sockets: Path
    lock: int

    @property
    def valkey(self) -> Path:
        """The store's files."""
        return self.path / "valkey"

    @property
    def ledger(self) -> Path:
        """The erasure ledger."""
        return self.path / "ledger"

    @property
    def logs(self) -> Path:
        """The output of every process."""
        return self.path / "logs"

    def announce(self, service: Service) -> None:
        """Let `running_service` find the service."""
        fresh = self.path / "service.json.new"
        fresh.write_text(json.dumps(asdict(service), indent=2) + "\n")
        fresh.replace(self.path / "service.json")

    def withdraw(self) -> None:
        """The service is not reached any more."""
        (self.path / "service.json").unlink(missing_ok=True)


def default_data() -> Path:
    """The data folder when none is given: `~/.local/share/facematch`, or as XDG_DATA_HOME says."""
    home = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(home).expanduser() / "facematch"


@contextlib.contextmanager
def claimed(path: Path, patience: float = 2.0) -> Iterator[DataFolder]:
    """Make the folder if need be and claim it, for as long as the context lasts.

    Waits `patience` seconds for another claim to end. Raises InUse, or Misconfigured when the
    folder cannot be made or written.
    """
    path = path.expanduser().absolute()
    with contextlib.ExitStack() as stack:
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            stack.callback(os.close, lock)
            _hold(lock, path, patience)
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
            folder = DataFolder(path, stack.enter_context(_socket_folder(path)), lock)
            folder.withdraw()
            for part in (folder.valkey, folder.ledger, folder.logs):
                part.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise Misconfigured(
                f"the data folder {path} cannot be used: {error.strerror or error}"
            ) from error
        yield folder


def holds_data(path: Path) -> bool:
    """Whether there is a store in the folder. Raises Misconfigured where it cannot be told."""
    try:
        return (path.expanduser() / "valkey").is_dir()
    except OSError as error:
        raise Misconfigured(f"{path} cannot be looked into: {error.strerror}") from error


def running_service(path: Path) -> Service | None:
    """The service that runs on the folder, as far as it has announced itself."""
    try:
        told = json.loads((path.expanduser() / "service.json").read_text())
        # That of a newer version may tell more.
        return Service(**{field.name: told[field.name] for field in fields(Service)})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _hold(lock: int, path: Path, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                owner = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
                raise InUse(
                    f"the data folder {path} is served by another facematch (process {owner})"
                ) from None
            time.sleep(0.05)
        else:
            return


@contextlib.contextmanager
def _socket_folder(path: Path) -> Iterator[Path]:
    """`run` in the folder; or, where its path is too long or its file system has no sockets, a
    private temporary one."""
    folder = path / "run"
    folder.mkdir(mode=0o700, exist_ok=True)
    if _holds_sockets(folder):
        yield folder
        return
    for parent in (os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir(), "/tmp"):  # noqa: S108
        if not (parent and os.access(parent, os.W_OK)):
            continue
        folder = Path(tempfile.mkdtemp(prefix="facematch-", dir=parent))
        try:
            if _holds_sockets(folder):
                yield folder
                return
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    raise Misconfigured(f"no unix socket can be made in {path} or in a temporary folder")


def _holds_sockets(folder: Path) -> bool:
    place = folder / _LONGEST_SOCKET
    try:
        place.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.bind(str(place))
        place.unlink()
    except OSError:
        return False
    return True
