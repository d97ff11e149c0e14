"""The clustered service for tests: api, and workers with an index each or one Milvus, as real
processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import requests
from servers import LOG_TAIL, end, spawn
from waiting import eventually

from benchmarks.servers import free_port
from facematch.embedded import OVERWRITING

ROOT = Path(__file__).resolve().parents[1]
#: In either form of the log.
_READY = (b"[info     ] ready", b'"event": "ready"')
_SERVING = (b"[info     ] serving", b'"event": "serving"')
_FAILPOINT = (b"[warning  ] failpoint reached", b'"event": "failpoint reached"')


#: For `sweep_age`, where what a sweeper publishes again would be counted or told twice, or is not
#: to help: longer than any test.
NO_SWEEPS = "3600"


class Cluster:
    """Processes by name: api, index-1, worker-1, index-2, worker-2 …"""

    def __init__(
        self,
        folder: Path,
        redis_url: str,
        broker_url: str,
        workers: int = 2,
        root: Path = ROOT,
        **settings: str,
    ) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.workers = workers
        self._folder = folder
        self._sidecars = "index_url" not in settings
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        #: Where the code is that is started from now on: another checkout is another version.
        self.root = root
        #: Settings that one process has besides, by its name.
        self.own: dict[str, dict[str, str]] = {}
        #: Bytes that were in each log when its process was started.
        self._logged: dict[str, int] = {}
        #: Of `facematch` against this service, and of its processes.
        self.environment = os.environ | {
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests"))),
            "OMP_NUM_THREADS": "1",
            "FACEMATCH_REDIS_URL": redis_url,
            "FACEMATCH_BROKER_URL": broker_url,
            "FACEMATCH_HOST": "127.0.0.1",
            "FACEMATCH_PORT": self.url.rpartition(":")[2],
            "FACEMATCH_LEDGER": str(folder / "ledger"),
            "FACEMATCH_LOGS": "text",
            "FACEMATCH_SWEEP_SECONDS": "0.5",
            "FACEMATCH_SWEEP_AGE": "2",
            "FACEMATCH_URL": self.url,
            **{f"FACEMATCH_{name.upper()}": value for name, value in settings.items()},
        }

    def __enter__(self) -> "Cluster":
        try:
            self.start("api")
            for number in range(1, self.workers + 1):
                if self._sidecars:
                    self.start(f"index-{number}")
                self.start(f"worker-{number}")
            self.wait_ready()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def start(self, name: str, failpoint: str = "") -> None:
        """Start a process that is not running, perhaps with a failpoint."""
        part, _, number = name.partition("-")
        own = {f"FACEMATCH_{key.upper()}": value for key, value in self.own.get(name, {}).items()}
        environment = self.environment | own | {"FACEMATCH_FAILPOINT": failpoint}
        if part == "index":
            environment |= OVERWRITING
        environment["PYTHONPATH"] = os.pathsep.join((str(self.root), str(self.root / "tests")))
        if self._sidecars:
            environment["FACEMATCH_INDEX_URL"] = f"unix:{self._folder / f'index-{number}.sock'}"
        log = self._folder / f"{name}.log"
        self._logged[name] = log.stat().st_size if log.exists() else 0
        self._processes[name] = spawn(
            [sys.executable, "-m", part],
            log,
            cwd=self.root,
            env=environment,
            start_new_session=True,
        )

    def wait_ready(self) -> None:
        """Until the api is ready and every worker says that it is."""

        def ready() -> bool:
            for name in self._processes:
                self._assert_alive(name)
            try:
                return requests.get(f"{self.url}/readyz", timeout=5).ok
            except requests.RequestException:
                return False

        eventually(ready, "the api is ready", 60)
        for name in self._processes:
            if name.startswith("worker"):
                self.wait_worker(name)

    def wait_worker(self, name: str) -> None:
        """Until a worker says that it is ready: from then on it stops in good order."""

        def ready() -> bool:
            said = self.has_begun(name)
            if not said:
                self._assert_alive(name)
            return said

        eventually(ready, f"{name} is ready", 60)

    def has_begun(self, name: str) -> bool:
        """Whether a worker or an index has said since its start that it is at work."""
        return self._has_said(name, _SERVING if name.startswith("index") else _READY)

    def reached_failpoint(self, name: str) -> bool:
        """Whether a process has come to its failpoint since its start."""
        return self._has_said(name, _FAILPOINT)

    def died_at_failpoint(self, name: str) -> bool:
        """Whether a process was killed there: other deaths are none of a failpoint."""
        killed = self._processes[name].poll() == -signal.SIGKILL
        return killed and self.reached_failpoint(name)

    def _has_said(self, name: str, words: Sequence[bytes]) -> bool:
        new = (self._folder / f"{name}.log").read_bytes()[self._logged[name] :]
        return any(word in new for word in words)

    def _assert_alive(self, name: str) -> None:
        assert self.alive(name), f"{name} died:\n{self.log(name)[-LOG_TAIL:]}"

    def alive(self, name: str) -> bool:
        """Whether it runs."""
        return self._processes[name].poll() is None

    def pid(self, name: str) -> int:
        """The id of a process that runs."""
        self._assert_alive(name)
        return self._processes[name].pid

    def kill(self, name: str) -> None:
        """kill -9, with its children. AssertionError for one that has ended otherwise by itself."""
        process = self._processes[name]
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        said = f"{name} ended by itself, with {process.returncode}:"
        assert process.returncode == -signal.SIGKILL, f"{said}\n{self.log(name)[-LOG_TAIL:]}"

    def stop(self, name: str) -> None:
        """SIGTERM, in good order; AssertionError unless it ends with status 0 in 30 s."""
        process = self._processes[name]
        process.send_signal(signal.SIGTERM)
        until = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < until:
            # It may have stopped at a failpoint, and may come there only now.
            process.send_signal(signal.SIGCONT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.2)
        assert process.poll() == 0, self.log(name)[-LOG_TAIL:]

    def close(self) -> None:
        """End everything that still runs, with its children."""
        for process in self._processes.values():
            children = _children(process.pid) if process.poll() is None else []
            end(process, signal.SIGTERM, 15)
            for child in children:
                with suppress(psutil.NoSuchProcess):
                    child.kill()

    def log(self, name: str) -> str:
        """What it has logged."""
        return (self._folder / f"{name}.log").read_text(errors="replace")

    def command(self, *arguments: str, seconds: float = 300) -> subprocess.CompletedProcess[str]:
        """Run `facematch …` against this service."""
        return subprocess.run(
            [sys.executable, "-m", "facematch", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )

    def fsck(self) -> None:
        """AssertionError unless `facematch fsck` finds nothing and nothing is under way."""
        # Nobody has waited for the job of a submission whose answer was lost.
        eventually(self._has_ended, "nothing is under way", 120)
        eventually(self._people_are_right, "people are those that all faces come to", 120)

    def _has_ended(self) -> bool:
        done = self.command("--json", "fsck")
        assert done.returncode == 0, done.stdout + done.stderr
        report = json.loads(done.stdout)
        assert report["findings"] == []
        return bool(report["unfinished"] == 0)

    def _people_are_right(self) -> bool:
        return self.command("people", "check").returncode == 0


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
