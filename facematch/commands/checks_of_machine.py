"""What `facematch doctor` looks at on the machine: settings, models, disk, sockets and memory."""

import difflib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from facematch import startup
from facematch.cache_folder import cache_folder
from facematch.commands.checks import Check, ok, warning, wrong
from facematch.credentials import weaknesses
from facematch.embedded import environment
from facematch.settings import PREFIX, Settings
from facematch.terminal import size

#: Of the environment, but no settings: the command line's, and the tests'.
_OTHERS = {"URL", "API_KEY", "TEST_DATA"}
_LITTLE_DISK, _NO_DISK = 2 * 10**9, 200 * 10**6
#: Bytes of the path of a unix socket, in any Linux.
_LONGEST_SOCKET = 107
_MODEL_SECONDS = 180.0


def settings(given: Settings, variables: Mapping[str, str]) -> Iterator[Check]:
    """Whether what is set means something. `variables`: the environment."""
    known = {*(name.upper() for name in type(given).model_fields), *_OTHERS}
    names = (name.removeprefix(PREFIX) for name in sorted(variables) if name.startswith(PREFIX))
    unknown = [name for name in names if name not in known]
    for name in unknown:
        meant = difflib.get_close_matches(name, known, 1)
        fix = f"did you mean {PREFIX}{meant[0]}?" if meant else "unset it"
        yield warning("settings", f"{PREFIX}{name} is no setting and does nothing", fix)
    if given.api_waiters >= given.api_threads:
        yield wrong(
            "settings",
            f"{given.api_waiters} requests may wait ({PREFIX}API_WAITERS) of {given.api_threads}"
            f" ({PREFIX}API_THREADS): the api refuses to start",
            f"set {PREFIX}API_THREADS higher",
        )
    for weakness in weaknesses(given):
        yield wrong("settings", f"{weakness}: no process starts", "give it one of its own")
    if given.failpoint:
        yield wrong("settings", f"{PREFIX}FAILPOINT={given.failpoint} is for tests", "unset it")
    if not unknown:
        set_ = len(given.model_fields_set)
        yield ok("settings", f"{set_} set, the others as they come")


def models(own: Mapping[str, str]) -> tuple[Check, str | None]:
    """Whether a worker can work here: it is started, loads its models and looks at a drawn face.
    With the model of its encodings. `own`: settings that count in place of those that are set."""
    if find_spec("worker") is None:
        return ok("models", "there is no worker here to look at"), None
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "worker", "check"],
            env=environment(**own),
            capture_output=True,
            text=True,
            check=False,
            timeout=_MODEL_SECONDS,
        )
    except subprocess.TimeoutExpired:
        said = f"a worker did not look at a drawn face within {_MODEL_SECONDS:.0f} s"
        return wrong("models", said, "give it more processor time"), None
    if done.returncode == 0:
        # A module may print something when it is imported.
        model = done.stdout.strip().rpartition("\n")[2]
        return ok("models", f"a worker makes encodings of {model}"), model
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        fix = "dlib needs a processor with AVX" if name == "SIGILL" else "give it more memory"
        return wrong("models", f"a worker is ended by {name}", fix), None
    reason = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
    return wrong("models", f"no worker can work here: {reason}", _fix_of_models(reason)), None


def _fix_of_models(reason: str) -> str:
    if "no encoder" in reason:
        return f"set {PREFIX}ENCODER to onnx, dlib, or the package.module:Class of your encoder"
    return "python -m worker check says more; or install anew: pip install -r requirements.txt"


def disk(what: str, folder: Path, used_for: str) -> Check:
    """Whether there is room where something is written."""
    there = _nearest(folder)
    try:
        free = shutil.disk_usage(there).free
    except OSError as error:
        return wrong(what, f"{folder} cannot be looked at: {error.strerror}", "look at the disk")
    said = f"{size(free)} free for {used_for}, in {folder}"
    if free < _NO_DISK:
        return wrong(what, said, "make room: with none left the service stops")
    if free < _LITTLE_DISK:
        return warning(what, said, "make room before it is needed")
    return ok(what, said)


def cache() -> Check:
    """Whether what is made once is kept between starts."""
    folder = cache_folder()
    if not os.access(_nearest(folder), os.W_OK):
        return warning(
            "cache",
            f"{folder} cannot be written: workers and indexes compile at every start",
            "set XDG_CACHE_HOME to a folder that can be",
        )
    return disk("cache", folder, "compiled code and models")


def ledger(folder: Path, ours: bool) -> Check:
    """Whether erasures can be noted outside the store. `ours`: an api runs here, or will."""
    there = _nearest(folder)
    if os.access(there, os.W_OK) and there.is_dir():
        return disk("ledger", folder, "the erasure ledger")
    said = f"the erasure ledger cannot be written: {folder}"
    if ours:
        return wrong("ledger", said, f"let it be written, or set {PREFIX}LEDGER")
    return warning(
        "ledger",
        said,
        f"no matter where no api runs; else let it be written, or set {PREFIX}LEDGER",
    )


def memory(given: Settings) -> Check:
    """Whether what the index may take is there."""
    there = startup.usable_memory()
    if given.index_memory > there:
        return wrong(
            "memory",
            f"the index may take {size(given.index_memory)}, and there are {size(there)}",
            f"set {PREFIX}INDEX_MEMORY lower, or to 0",
        )
    return ok("memory", f"{size(there)}, {startup.usable_cores()} processor cores")


def socket_file(path: Path) -> Check | None:
    """What keeps the socket of an index from being used; None when nothing does."""
    if len(os.fsencode(path)) > _LONGEST_SOCKET:
        return wrong(
            "index",
            f"the path of its socket has more than {_LONGEST_SOCKET} bytes: {path}",
            f"set {PREFIX}INDEX_URL to a shorter one",
        )
    try:
        is_there, is_socket = path.exists(), path.is_socket()
    except OSError as error:
        return wrong("index", f"{path}: {error.strerror}", "let this user into the folder")
    if not is_there:
        return wrong(
            "index",
            f"there is no socket {path}",
            f"start python -m index with the same {PREFIX}INDEX_URL, on this machine",
        )
    if not is_socket:
        return wrong("index", f"{path} is no socket", "remove it, and start python -m index")
    if not os.access(path, os.R_OK | os.W_OK):
        return wrong(
            "index",
            f"this user may not use the socket {path}",
            "run index and worker as one user, or with one group",
        )
    return None


def _nearest(folder: Path) -> Path:
    """It, or the first of those around it that is there."""
    folder = folder.absolute()
    while not os.path.exists(folder) and folder != folder.parent:
        folder = folder.parent
    return folder
