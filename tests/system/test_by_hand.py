"""The commands of docs/by-hand.md for who has no systemd, as they are."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.servers import free_port

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder() -> Iterator[Path]:
    """With a path so short that a socket fits into it; whoever is left running is killed."""
    with tempfile.TemporaryDirectory(prefix="fm-") as name:
        yield Path(name)
        for file in Path(name).glob("*.pid"):
            with suppress(OSError, ValueError):
                os.kill(int(file.read_text()), 9)


@pytest.mark.long
def test_what_the_page_says_starts_the_service_and_stops_it(folder: Path, redis_url: str) -> None:
    del redis_url  # for skipping where there is no Redis
    page = (ROOT / "docs" / "by-hand.md").read_text().split("\n## Without systemd\n")[1]
    start, stop = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    ports = {"7379": str(free_port()), "5050": str(free_port())}
    for port, free in ports.items():
        assert port in start
        start = start.replace(port, free)
    start = start.replace(".venv/bin/", f"{Path(sys.executable).parent}/")

    def run(script: str) -> str:
        log = folder / "script.log"
        with log.open("w") as out:
            done = subprocess.run(
                ["sh", "-eu", "-c", script],
                cwd=ROOT,
                env={**os.environ, "RUN": str(folder)},
                stdout=out,
                stderr=subprocess.STDOUT,
                timeout=200,
            )
        assert done.returncode == 0, log.read_text()
        return log.read_text()

    assert " 0 wrong" in f" {run(start).splitlines()[-1]}"
    pids = [int(file.read_text()) for file in folder.glob("*.pid")]
    assert len(pids) == 4
    assert "No such process" not in run(stop)
    for pid in pids:
        assert not Path(f"/proc/{pid}").exists()
    for part in ("api", "index", "worker"):
        assert "Traceback" not in (folder / f"{part}.log").read_text()
    assert '"stopped"' in (folder / "worker.log").read_text()
