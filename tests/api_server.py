"""The api under real gunicorn, as a process of a test."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: Bytes of a picture that these servers take.
LIMIT = 1_000_000


@dataclass
class Running:
    """A server process, and what it has logged by now."""

    process: subprocess.Popen[str]
    url: str
    logged: list[str]


def start(folder: Path, command: list[str], **settings: str) -> subprocess.Popen[str]:
    """`python -m COMMAND`, on a free port."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
        "FACEMATCH_HOST": "127.0.0.1",
        "FACEMATCH_PORT": "0",
        "FACEMATCH_LEDGER": str(folder),
        **{f"FACEMATCH_{name.upper()}": value for name, value in settings.items()},
    }
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        env=environment,
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def serving(folder: Path, *patience: str, **settings: str) -> Iterator[Running]:
    """An api in memory that listens; `patience` as in api_in_memory.py."""
    command = ["api_in_memory", str(folder), *patience]
    process = start(folder, command, max_bytes=str(LIMIT), **settings)
    assert process.stderr is not None
    logged: list[str] = []
    url = ""
    for line in process.stderr:
        logged.append(line)
        if line.startswith("{") and (url := json.loads(line).get("url", "")):
            break
    assert url, logged
    reader = threading.Thread(target=logged.extend, args=(process.stderr,))
    reader.start()
    try:
        yield Running(process, url, logged)
    finally:
        process.terminate()
        process.wait(30)
        reader.join()
        process.stderr.close()
