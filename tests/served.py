"""`facematch serve` as a process, for tests that use it from outside."""

import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import requests
from waiting import eventually

ROOT = Path(__file__).resolve().parents[1]
READY = re.compile(r"facematch serves on (http://\S+) \(data in (.+), 2 workers\)")


class Served:
    """A running service, or one that is about to say why it does not run."""

    def __init__(
        self, data: Path, log: Path, *options: str, root: Path = ROOT, **settings: str
    ) -> None:
        """`root`: where its code is; another checkout is another version."""
        self.data = data
        self.ready = False
        self._log = log
        environment = os.environ | {
            "PYTHONPATH": f"{root}{os.pathsep}{root / 'tests'}",
            **{f"FACEMATCH_{name.upper()}": value for name, value in settings.items()},
        }
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "facematch",
                    "serve",
                    "--data",
                    str(data),
                    "--workers",
                    "2",
                    *options,
                ],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment,
                cwd=log.parent,
            )

    def url(self) -> str:
        """Where it serves, once it does."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        ready = READY.match(line)
        assert ready, f"{line!r}, and on the console:\n{self.console()}"
        assert ready[2] == str(self.data)
        self.ready = True
        return ready[1]

    def wait_for_workers(self) -> None:
        """Where it has data already, it serves before its workers are ready."""
        eventually(lambda: self.console().count("[info     ] ready") >= 2, "both are ready")

    def console(self) -> str:
        """What is on its console."""
        return self._log.read_text()

    def parts(self) -> dict[str, list[psutil.Process]]:
        """Its processes but the parent, by what they run."""
        found: dict[str, list[psutil.Process]] = {}
        for process in psutil.process_iter():
            try:
                words = process.cmdline()
                ours = process.environ().get("FACEMATCH_LEDGER") == f"{self.data}/ledger"
                if ours or process.cwd() == f"{self.data}/valkey":
                    name = words[words.index("-m") + 1] if "-m" in words else process.name()
                    found.setdefault(name, []).append(process)
            except psutil.Error:
                continue
        return found

    def end(self, timeout: float = 60) -> int:
        """Its exit code."""
        self.process.communicate(timeout=timeout)
        return self.process.returncode

    def own_lines(self) -> list[str]:
        """What the parent said on the console, but for what it waits for where all takes long."""
        lines = self.console().splitlines()
        return [one for one in lines if one.startswith("facematch") and "waits for" not in one]


def submit(url: str, name: str, picture: bytes) -> str:
    """Submit a picture under a name; its hash."""
    answer = requests.post(f"{url}/scan/image/{name}", data=picture, timeout=30)
    assert answer.status_code < 300, answer.text
    return str(answer.json()["hash"])


def matches(url: str, image: str) -> list[str]:
    """The images that match this one, once it is done."""
    answer = requests.get(f"{url}/v1/images/{image}/matches", params={"wait": 30}, timeout=60)
    assert answer.status_code == 200, answer.text
    return [match["hash"] for match in answer.json()["matches"]]
