"""The OpenAPI document is true: schemathesis, with all its checks, finds nothing to the contrary.

`make openapi OPENAPI_SECONDS=600` lets it look for longer.
"""

import os
import subprocess
import sys
from pathlib import Path

from api_server import ROOT, serving

TESTS = ROOT / "tests"
SECONDS = os.environ.get("OPENAPI_SECONDS")


def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    long = ("--max-time", SECONDS, "--max-examples", "10000") if SECONDS else ("--seed", "1")
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", TESTS / "schemathesis.toml"),
        *("run", "--checks", "all", "--no-color"),
        *("--generation-database", "none", "--warnings", "off", "--max-examples", "3", *long),
    ]
    with serving(tmp_path) as server:
        found = subprocess.run(
            [*command, f"{server.url}/openapi.json"],
            env={**os.environ, "SCHEMATHESIS_HOOKS": str(TESTS / "schemathesis_hooks.py")},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert found.returncode == 0, found.stdout + found.stderr
    # Of each kind of its tests, some: whoever finds no operation finds nothing wrong either.
    for phase in ("Coverage", "Fuzzing", "Stateful"):
        assert f"✅ {phase}" in found.stdout, found.stdout
    assert not [line for line in server.logged if "nobody planned" in line]
