"""A real RabbitMQ for tests; see servers.py."""

import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pika
import pika.exceptions
from servers import Server, end
from waiting import eventually

from benchmarks.servers import RabbitMQ, listens


class RabbitServer(Server):
    """RabbitMQ, a node of its own with its own name service (epmd), also a child."""

    boot_seconds = 150.0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._run = RabbitMQ(folder)
        self._epmd: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """amqp://, of the default virtual host."""
        return self._run.url

    def start(self) -> None:
        """See Server."""
        if self._epmd is None:
            self._epmd = self._spawn(self._run.epmd(), "epmd.log")
            eventually(lambda: listens(self._run.epmd_port), "epmd listens")
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
            [str(self._run.scripts / "rabbitmqctl"), "--quiet", *arguments],
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

    def depth(self, queue: str) -> int:
        """How many messages wait in it; 0 where there is no such queue."""
        try:
            with self._channel() as channel:
                return int(channel.queue_declare(queue, passive=True).method.message_count)
        except pika.exceptions.ChannelClosedByBroker:
            return 0

    def wipe(self) -> None:
        """See Server."""
        shutil.rmtree(self._run.data, ignore_errors=True)

    def _channel(self) -> "_RabbitChannel":
        return _RabbitChannel(self.url)

    def _command(self) -> Sequence[str]:
        return self._run.node()

    def _environment(self) -> dict[str, str]:
        return self._run.environment()

    def _answers(self) -> bool:
        if not listens(self._run.port):
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
