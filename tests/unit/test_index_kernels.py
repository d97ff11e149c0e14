"""The compiled loops: kept for the next start, anew when damaged, done without a folder."""

import os
import shutil
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


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of a process that had to compile."""
    cache = tmp_path_factory.mktemp("compiled")
    assert starts(cache) == ("0", "")
    return cache


@pytest.fixture
def cache(compiled: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    copy: Path = shutil.copytree(compiled, tmp_path / "cache")
    return copy


def test_it_is_compiled_once_and_anew_when_damaged(cache: Path) -> None:
    assert starts(cache) == ("1", "")
    (code,) = cache.rglob("kernels.search-*.nbc")
    code.write_bytes(code.read_bytes()[:-1])
    hits, logged = starts(cache)
    assert hits == "0"
    assert "compiled anew" in logged
    assert starts(cache) == ("1", "")


def test_without_a_folder_of_its_own_it_is_compiled_each_time(tmp_path: Path) -> None:
    (tmp_path / "facematch").write_text("")
    hits, logged = starts(tmp_path)
    assert hits == "0"
    assert "cannot be kept" in logged


def test_in_a_folder_that_others_can_write_to_it_is_compiled_each_time(cache: Path) -> None:
    for folder in (cache / "facematch").iterdir():
        folder.chmod(0o777)
    hits, logged = starts(cache)
    assert hits == "0"
    assert "cannot be kept" in logged
