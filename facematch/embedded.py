"""`facematch serve`: the whole service on one machine, as a tree of processes.

Valkey, then the index, the workers and the api, each started once the one before is there;
stopped in the opposite order. The parent only starts, watches and stops. Which workers there are to
be it asks Valkey, every now and then: see `facematch.crews`.
"""

import contextlib
import http.client
import os
import shlex
import shutil
import socket
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import facematch
from facematch import startup, valkey
from facematch.collection_name import DEFAULT, edition_name
from facematch.collections import Collections
from facematch.crews import LOOK_SECONDS, Crews
from facematch.data_folder import (
    DataFolder,
    InUse,
    Service,
    claimed,
    holds_data,
    running_service,
)
from facematch.errors import Misconfigured, Unavailable
from facematch.guarding import check_guarded
from facematch.keys import Keys
from facematch.processes import Part
from facematch.redis_collections import RedisCollections
from facematch.redis_connection import connect
from facematch.redis_keys import RedisKeys
from facematch.redis_reencoding import RedisReencoding
from facematch.settings import PREFIX, Settings, load
from facematch.sidecar import Sidecar
from facematch.tree import Console, Failed, Stopped, Tree

#: Seconds without any progress after which a part counts as not coming up.
START_SECONDS = 60.0

#: Has the C library overwrite what an index frees: what was erased is not left in its memory. The
#: images and units of other ways to run one have the same.
OVERWRITING = {"GLIBC_TUNABLES": "glibc.malloc.perturb=165:glibc.malloc.tcache_count=0"}
#: For so long Valkey may keep the parent waiting, and with it a signal to stop.
_ANSWER_SECONDS = 2.0

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_SLOTS = f"{PREFIX}SLOTS"
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def serve(host: str, port: int, data: Path, workers: int) -> int:
    """Run the service until SIGINT or SIGTERM; port 0 means any free one.

    Returns the exit code: 0 when it was stopped, 1 when it could not start or a part of it
    ended, after one line on standard error that says why. Call it from the main thread.
    """
    if workers < 1:
        raise ValueError("a service has at least one worker")
    console = Console(sys.stdout, sys.stderr)
    try:
        settings = load()  # what is wrong with a setting is said once, not by every part
        port = free_port(host, port)
        with claimed(data) as folder:
            return _run(folder, console, settings, host, port, workers)
    except Misconfigured as error:
        console.say(f"facematch: {error}")
        return 1


def free_port(host: str, port: int) -> int:
    """The port, checked: it can be listened on now. For port 0 one that is free.

    Raises Misconfigured with the reason.
    """
    if not 0 <= port <= 65535:
        raise Misconfigured(f"cannot listen on {host} port {port}: ports are 0 to 65535")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return int(probe.getsockname()[1])
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise Misconfigured(f"cannot listen on {host} port {port}: {reason}") from error


@contextlib.contextmanager
def redis_url_of(data: Path) -> Iterator[str]:
    """The Redis URL of the store in a data folder, while the context lasts: that of the service
    that runs there, or else of a Valkey started for the purpose. Call it from the main thread.

    Raises Misconfigured when the folder holds no data or cannot be used,
    Unavailable("store_unavailable") when its Valkey does not come up.
    """
    if not holds_data(data):
        raise Misconfigured(f"{data} holds no data of a facematch service")
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(claimed(data, patience=0))
        except InUse as error:
            service = running_service(data)
            if service is None:
                raise Unavailable("store_unavailable", f"{error} and not ready") from error
            redis_url = service.redis_url
        else:
            tree = Tree(folder.logs, Console(sys.stdout, sys.stderr))
            stack.callback(tree.stop)
            try:
                redis_url = _start_valkey(tree, folder)
            except Failed as error:
                raise Unavailable("store_unavailable", str(error)) from error
        yield redis_url


def _run(
    folder: DataFolder, console: Console, settings: Settings, host: str, port: int, workers: int
) -> int:
    tree = Tree(folder.logs, console)
    redis_url = valkey.url(_valkey_socket(folder))
    searches = folder.sockets / "search"
    # Of workers that were killed there is a socket left.
    shutil.rmtree(searches, ignore_errors=True)
    variables = environment(
        FACEMATCH_REDIS_URL=redis_url,
        FACEMATCH_BROKER_URL=redis_url,
        FACEMATCH_INDEX_URL=f"unix:{folder.sockets / 'index.sock'}",
        FACEMATCH_SEARCH_URL=f"unix:{searches}",
        FACEMATCH_LEDGER=os.environ.get(f"{PREFIX}LEDGER", str(folder.ledger)),
        FACEMATCH_AUDIT=os.environ.get(f"{PREFIX}AUDIT", str(folder.path / "audit")),
        FACEMATCH_HOST=host,
        FACEMATCH_PORT=str(port),
    )
    # The workers share the cores; if each slot used several threads, they would only be in each
    # other's way.
    slots = {_SLOTS: str(max(1, startup.usable_cores() // workers))}
    port_of = _metrics_ports(settings)
    with tree.signals(), connect(redis_url, timeout=_ANSWER_SECONDS) as client:
        crews = Crews(
            tree,
            console,
            RedisReencoding(client),
            settings,
            workers,
            lambda name, its_own: replace(
                _python(
                    name,
                    "worker",
                    slots | _ONE_THREAD | variables | its_own | port_of(name),
                ),
                may_end=True,
            ),
        )
        try:
            _start_valkey(tree, folder)
            _check_guarded(host, RedisKeys(client), settings, folder)
            _finish_emptying(RedisCollections(client))
            service = _start(tree, crews, folder, variables, port_of, host, port)
            folder.announce(service)
            crew = f"{workers} worker" if workers == 1 else f"{workers} workers"
            where = ", on every address" if host in _WILDCARDS else ""
            console.tell(
                f"facematch serves on {service.url}{where} (data in {folder.path}, {crew}). "
                "Ctrl-C stops it."
            )
            tree.watch(crews.look, LOOK_SECONDS)
        except Stopped:
            console.say("facematch stops …")
            return 0
        except Failed as error:
            console.mute()
            console.say(f"facematch: {error}")
        finally:
            folder.withdraw()
            tree.stop()
    return 1


def _start(
    tree: Tree,
    crews: Crews,
    folder: DataFolder,
    variables: dict[str, str],
    port_of: Callable[[str], dict[str, str]],
    host: str,
    port: int,
) -> Service:
    """Start everything beside Valkey and wait until it is ready. Raises Failed, Stopped."""
    there = crews.editions()
    index_url = variables["FACEMATCH_INDEX_URL"]
    tree.start(_python("index", "index", variables | OVERWRITING | port_of("index")))
    with contextlib.closing(
        Sidecar(index_url, edition_name(DEFAULT, there.served.number), timeout=5)
    ) as index:
        tree.wait_for("the index", lambda: _problem_of(index.status), START_SECONDS)
        crews.begin(there)
        tree.start(_python("api", "api", variables | port_of("api")))
        tree.wait_for("the index", lambda: _problem_of(index.check), START_SECONDS, crews.look)
    reached = _WILDCARDS.get(host, host)
    tree.wait_for("the api", lambda: _problem_of_api(reached, port), START_SECONDS, crews.look)
    name = f"[{reached}]" if ":" in reached else reached
    redis_url = variables["FACEMATCH_REDIS_URL"]
    return Service(os.getpid(), f"http://{name}:{port}", redis_url, index_url)


def _finish_emptying(collections: Collections) -> None:
    """Until that is done nothing is told of the default collection, not even which workers it
    takes. Raises Failed."""
    try:
        while not collections.drop_some(DEFAULT):
            pass
    except Unavailable as error:
        raise Failed(str(error)) from error


def _check_guarded(host: str, keys: Keys, settings: Settings, folder: DataFolder) -> None:
    """Raises Misconfigured, Failed."""
    create = f"facematch keys create NAME --data {shlex.quote(str(folder.path))}"
    try:
        check_guarded(host, keys, settings, create)
    except Unavailable as error:
        raise Failed(str(error)) from error


def _start_valkey(tree: Tree, folder: DataFolder) -> str:
    place = _valkey_socket(folder)
    # It prolongs the claim on the folder: two servers can never write the same files.
    command, keep = valkey.command(folder.valkey, place), (folder.lock,)
    tree.start(Part("valkey", command, dict(os.environ), quiet=True, keep=keep))
    tree.wait_for("Valkey", lambda: valkey.problem(valkey.url(place)), START_SECONDS)
    return valkey.url(place)


def _valkey_socket(folder: DataFolder) -> Path:
    return folder.sockets / "valkey.sock"


def _python(name: str, package: str, variables: Mapping[str, str]) -> Part:
    # -P: a folder of the same name where the user happens to be must not be taken for the part.
    return Part(name, [sys.executable, "-P", "-m", package], variables)


def _metrics_ports(settings: Settings) -> Callable[[str], dict[str, str]]:
    """The setting of each process by its name: a port of its own, which it keeps when it is started
    again."""
    numbers = {"api": 0, "index": 1}

    def port_of(name: str) -> dict[str, str]:
        if settings.metrics_port == 0:
            return {}
        number = numbers.setdefault(name, len(numbers))
        return {f"{PREFIX}METRICS_PORT": str(settings.metrics_port + number)}

    return port_of


def environment(**ours: str) -> dict[str, str]:
    """That of this process, our settings put over it, and our packages findable."""
    variables = {"FACEMATCH_LOGS": "text", **os.environ, **ours, "PYTHONUNBUFFERED": "1"}
    home = str(Path(facematch.__file__).parent.parent)
    if home != sysconfig.get_path("purelib"):
        path = variables.get("PYTHONPATH", "")
        variables["PYTHONPATH"] = f"{path}{os.pathsep}{home}" if path else home
    return variables


def _problem_of(question: Callable[[], object]) -> str:
    try:
        question()
    except Unavailable as error:
        return str(error)
    return ""


def _problem_of_api(host: str, port: int) -> str:
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", "/readyz")
        with connection.getresponse() as response:
            if response.status == http.HTTPStatus.OK:
                return ""
            return f"it answers {response.status}: {response.read(500).decode(errors='replace')}"
    except (OSError, http.client.HTTPException) as error:
        return f"no answer ({error})"
    finally:
        connection.close()
