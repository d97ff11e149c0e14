"""A real RabbitMQ for tests; see servers.py."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pika
import pika.exceptions
from servers import Server, ServerMissingError, end, free_port
from waiting import eventually


class RabbitServer(Server):
    """RabbitMQ, a node of its own with its own name service (epmd), also a child."""

    boot_seconds = 60.0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._scripts = rabbitmq_scripts()
        self.port, self._node_port, self._epmd_port = free_port(), free_port(), free_port()
        self._epmd: subprocess.Popen[bytes] | None = None
        (folder / "plugins").write_text("[].\n")
        (folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.local = 127.0.0.1:{self.port}\nlog.file.level = warning\n"
        )

    @property
    def url(self) -> str:
        """amqp://, of the default virtual host."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/%2F"

    def start(self) -> None:
        """See Server."""
        if self._epmd is None:
            # Started beforehand and as our child, or the node leaves one behind as a daemon.
            command = ["epmd", "-address", "127.0.0.1", "-port", str(self._epmd_port)]
            self._epmd = self._spawn(command, "epmd.log")
            eventually(lambda: _listens(self._epmd_port), "epmd listens")
        super().start()

    def close(self) -> None:
        """Stop it and its name service."""
        self.stop()
        if self._epmd is not None:
            end(self._epmd, signal.SIGKILL, self.stop_seconds)
            self._epmd = None

    def control(self, *arguments: str) -> str:
        """Run rabbitmqctl; its output. Takes a second or two."""
        done = subprocess.run(
            [str(self._scripts / "rabbitmqctl"), "--quiet", *arguments],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")
        return done.stdout.decode()

    def delete_queues(self, *queues: str) -> None:
        """Delete these queues, with what is in them."""
        with self._channel() as channel:
            for queue in queues:
                channel.queue_delete(queue)

    def purge(self, *queues: str) -> None:
        """Delete the messages waiting in these queues."""
        with self._channel() as channel:
            for queue in queues:
                channel.queue_purge(queue)

    def wipe(self) -> None:
        """See Server."""
        shutil.rmtree(self.folder / "data", ignore_errors=True)

    def _channel(self) -> "_RabbitChannel":
        return _RabbitChannel(self.url)

    def _command(self) -> Sequence[str]:
        return [str(self._scripts / "rabbitmq-server")]

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),  # for the cookie
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": "facematch@localhost",
            "RABBITMQ_DIST_PORT": str(self._node_port),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "logs"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            # The start script then becomes the server instead of watching over it, so that
            # our child is the one to kill.
            "RABBITMQ_ALLOW_INPUT": "1",
            "RABBITMQ_SERVER_START_ARGS": "-noinput",
            # Two schedulers do for tests, and leave the machine to others.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none",
        }

    def _answers(self) -> bool:
        if not _listens(self.port):
            return False
        try:
            with self._channel():
                return True
        except pika.exceptions.AMQPError:
            return False


class _RabbitChannel:
    def __init__(self, url: str) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(url))

    def __enter__(self) -> "pika.adapters.blocking_connection.BlockingChannel":
        return self._connection.channel()

    def __exit__(self, *error: object) -> None:
        self._connection.close()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def rabbitmq_scripts() -> Path:
    """The folder of the real rabbitmq-server and rabbitmqctl: those that Debian puts on the
    path change to another user. Raises ServerMissingError."""
    folders = [*Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin")]
    found = shutil.which("rabbitmq-server")
    if found:
        folders.append(Path(found).resolve().parent)
    if not folders or not shutil.which("epmd"):
        raise ServerMissingError("rabbitmq-server is not installed (apt install rabbitmq-server)")
    return folders[0]
