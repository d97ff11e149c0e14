"""The compiled loops: kept for the next start, anew when damaged, done without a folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = """
import numpy as np
from facematch.encoding_model import encoding_model
from index import kernels
from index.engine import Engine

engine, faces = Engine(), encoding_model().draw(3, np.random.default_rng(1))
faces.flags.writeable = False
engine.add(np.arange(3), faces)
assert engine.within(faces[1:2], 1e-3, 1).tolist() == [1]
print(sum(kernels.search.stats.cache_hits.values()))
"""


def starts(cache: Path) -> tuple[str, str]:
    """What a process that uses an engine prints: how often it found code, and what it logs."""
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    *logged, hits = done.stdout.splitlines()
    return hits, "\n".join(logged)


def test_it_is_compiled_once_and_anew_when_damaged(tmp_path: Path) -> None:
    assert starts(tmp_path) == ("0", "")
    assert starts(tmp_path) == ("1", "")
    (code,) = tmp_path.rglob("kernels.search-*.nbc")
    code.write_bytes(code.read_bytes()[:-1])
    hits, logged = starts(tmp_path)
    assert hits == "0"
    assert "compiled anew" in logged
    assert starts(tmp_path) == ("1", "")


@pytest.mark.parametrize("mode", ["file", "open"])
def test_without_a_folder_of_its_own_it_is_compiled_each_time(tmp_path: Path, mode: str) -> None:
    if mode == "file":
        (tmp_path / "facematch").write_text("")
    else:
        starts(tmp_path)
        for folder in (tmp_path / "facematch").iterdir():
            folder.chmod(0o777)
    hits, logged = starts(tmp_path)
    assert hits == "0"
    assert "cannot be kept" in logged
