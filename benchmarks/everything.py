"""A short form of every benchmark, one after the other: whether all of it works on this machine."""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

#: In this order; what needs the longest is last.
NAMES = ("quality", "encode", "index", "join", "sizing", "read", "reindex", "ingest")


def run(names: Sequence[str], results: Path) -> list[str]:
    """Run them, and keep each result in the folder `results`; those that failed."""
    results.mkdir(parents=True, exist_ok=True)
    failed = []
    for number, name in enumerate(names, 1):
        click.echo(f"[{number} of {len(names)}] {name}")
        began = time.monotonic()
        command = [sys.executable, "-m", "benchmarks", name, "--short"]
        done = subprocess.run([*command, "--json", str(results / f"{name}.json")], check=False)
        word = "passed" if done.returncode == 0 else f"FAILED with {done.returncode}"
        click.echo(
            f"[{number} of {len(names)}] {name} {word} in {time.monotonic() - began:.0f} s\n"
        )
        if done.returncode != 0:
            failed.append(name)
    return failed
