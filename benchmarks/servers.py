"""How Redis and RabbitMQ are run, each with its own ports and data folder: for the clustered
service that is measured, and for the servers of the tests."""

import os
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path


class ServerMissingError(Exception):
    """The server's program is not installed; the text says how to get it."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Whether something does, on a TCP port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def redis_binary() -> str:
    """Raises ServerMissingError."""
    found = shutil.which("redis-server")
    if found is None:
        raise ServerMissingError("redis-server is not installed (apt install redis-server)")
    return found


def redis_command(binary: str, folder: Path, port: int, socket: Path) -> Sequence[str]:
    """Redis or Valkey, durable: append-only file, fsync always, no eviction."""
    options = {
        "bind": "127.0.0.1",
        "port": str(port),
        "unixsocket": str(socket),
        "dir": str(folder),
        "save": "",
        "appendonly": "yes",
        "appendfsync": "always",
        "maxmemory-policy": "noeviction",
    }
    return [binary, *(text for name, value in options.items() for text in (f"--{name}", value))]


class RabbitMQ:
    """What runs a node of RabbitMQ with a name service (epmd) of its own, both children of who
    starts them, in `folder`. Raises ServerMissingError."""

    def __init__(self, folder: Path) -> None:
        self.scripts = _rabbitmq_scripts()
        self.folder = folder
        self.port, self._node_port, self.epmd_port = free_port(), free_port(), free_port()
        (folder / "plugins").write_text("[].\n")
        (folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.local = 127.0.0.1:{self.port}\nlog.file.level = warning\n"
        )

    @property
    def url(self) -> str:
        """amqp://, of the default virtual host."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/%2F"

    @property
    def data(self) -> Path:
        """The folder of its data."""
        return self.folder / "data"

    def epmd(self) -> Sequence[str]:
        """Started beforehand and as a child, or the node leaves one behind as a daemon."""
        return [
            *(shutil.which("epmd") or "epmd", "-address", "127.0.0.1"),
            *("-port", str(self.epmd_port)),
        ]

    def node(self) -> Sequence[str]:
        """The server itself."""
        return [str(self.scripts / "rabbitmq-server")]

    def environment(self) -> dict[str, str]:
        """All of it, for both and for rabbitmqctl."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),  # for the cookie
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": "facematch@localhost",
            "RABBITMQ_DIST_PORT": str(self._node_port),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.data),
            "RABBITMQ_LOG_BASE": str(self.folder / "logs"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            # The start script then becomes the server instead of watching over it, so that
            # our child is the one to kill.
            "RABBITMQ_ALLOW_INPUT": "1",
            "RABBITMQ_SERVER_START_ARGS": "-noinput",
            # Two schedulers do here, and leave the machine to others.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none",
        }


def _rabbitmq_scripts() -> Path:
    """The folder of the real rabbitmq-server and rabbitmqctl: those that Debian puts on the
    path change to another user. Raises ServerMissingError."""
    folders = [*Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin")]
    found = shutil.which("rabbitmq-server")
    if found:
        folders.append(Path(found).resolve().parent)
    if not folders or not shutil.which("epmd"):
        raise ServerMissingError("rabbitmq-server is not installed (apt install rabbitmq-server)")
    return folders[0]
