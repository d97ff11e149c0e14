"""A short form of every benchmark, one after the other: whether all of it works on this machine."""

import importlib.util
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

#: Asks for a browser and for what drives it: where these are not, it is left out.
_BROWSED = "browse"
_NAMES = (
    "quality",
    "encode",
    "index",
    "join",
    "sizing",
    "match-sets",
    "read",
    "search",
    "reindex",
    "scale",
    "flood",
)
_DRAWN = "200"


def commands(data: Path) -> dict[str, list[str]]:
    """What is run, by what its result is called. Pictures are taken in, too, where `data` has
    some."""
    found = {name: [name] for name in _NAMES} | {"ingest-drawn": ["ingest", "--drawn", _DRAWN]}
    if importlib.util.find_spec("playwright") and shutil.which("chromium"):
        found[_BROWSED] = [_BROWSED]
    if (data / "lfw").is_dir():
        found["ingest"] = ["ingest", "--pictures", str(data / "lfw")]
    return found


def run(commands: Mapping[str, Sequence[str]], results: Path) -> list[str]:
    """Run them, and keep each result in the folder `results`; those that failed."""
    results.mkdir(parents=True, exist_ok=True)
    failed = []
    for number, (name, arguments) in enumerate(commands.items(), 1):
        click.echo(f"[{number} of {len(commands)}] {name}")
        began = time.monotonic()
        command = [sys.executable, "-m", "benchmarks", *arguments, "--short"]
        done = subprocess.run([*command, "--json", str(results / f"{name}.json")], check=False)
        word = "passed" if done.returncode == 0 else f"FAILED with {done.returncode}"
        click.echo(
            f"[{number} of {len(commands)}] {name} {word} in {time.monotonic() - began:.0f} s\n"
        )
        if done.returncode != 0:
            failed.append(name)
    return failed
