"""A nursery has the face detector compiled, and its children change over to it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from drawn import encoded
from drawn_faces import face
from PIL import Image
from planted import PLANTED
from telling import TELLING
from waiting import eventually

from facematch import compiled_cache as cache
from worker.fetch import FetchLimits
from worker.frames import ChildSettings
from worker.looking import PictureLimits
from worker.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
COMPILING_SECONDS = 250.0


@pytest.fixture
def cold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache folder with nothing in it."""
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'tests'}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("FACEMATCH_REDIS_URL", "redis://:a-password@localhost")
    return tmp_path


@contextmanager
def sandbox(encoder: str = TELLING) -> Iterator[Sandbox]:
    limits, fetch = PictureLimits(10**6, 0, 100), FetchLimits(10**6, 2.0, 3)
    settings = ChildSettings(encoder, "hog", limits, fetch, memory=2**30, cpu_seconds=10)
    with Sandbox(settings, lookers=2, fetchers=1) as made:
        yield made


def look(made: Sandbox) -> tuple[int, bool, bool]:
    """The child that looked; whether with the compiled detector; whether it had it already."""
    seen = made.look(encoded(Image.fromarray(face(180)), "PNG"))
    assert seen.total == 1
    child, compiled, before = seen.crops[0]
    return int(child), bool(compiled), bool(before)


def nursery(child: int) -> psutil.Process:
    parent = psutil.Process(child).parent()
    assert parent is not None
    return parent


def compilers(of: psutil.Process) -> list[psutil.Process]:
    return [process for process in of.children() if "worker.hog" in process.cmdline()]


def compiler_of(of: psutil.Process) -> psutil.Process:
    """A process that has only just begun does not say yet what it is."""
    eventually(lambda: compilers(of), "it compiles")
    (compiler,) = compilers(of)
    return compiler


def test_children_change_over_when_the_detector_is_compiled(cold: Path) -> None:
    with sandbox() as made:
        child, compiled, _ = look(made)
        assert not compiled
        compiler = compiler_of(nursery(child))
        assert compiler.environ().keys().isdisjoint({"FACEMATCH_REDIS_URL"})
        assert compiler.net_connections("all") == []
        lower = min(19, psutil.Process().nice() + 10)
        eventually(lambda: compiler.nice() == lower)
        # Another one at the same time does no harm: whichever is later finds nothing to do.
        second = subprocess.run(
            [sys.executable, "-P", "-m", "worker.hog"],
            capture_output=True,
            text=True,
            check=True,
            timeout=COMPILING_SECONDS,
        )
        assert "compiled" in second.stdout
        (folder,) = (cold / "facematch").glob("hog-*")
        cache.check(folder)
        # It loads what is there now with its next picture.
        assert look(made) == (child, True, False)
        assert look(made) == (child, True, True)
        # It was waited for, though nobody has asked the nursery for anything.
        eventually(lambda: [p.pid for p in nursery(child).children()] == [child])
        psutil.Process(child).kill()
        # The next one has it from the nursery.
        fresh, compiled, before = look(made)
        assert fresh != child
        assert (compiled, before) == (True, True)
    with sandbox() as made:
        child, compiled, before = look(made)
        assert (compiled, before) == (True, True)
        assert [p.pid for p in nursery(child).children()] == [child]


def test_compiling_ends_with_the_nursery(cold: Path) -> None:
    with sandbox() as made:
        child, _, _ = look(made)
        compiler = compiler_of(nursery(child))
    eventually(lambda: not compiler.is_running())
    assert [path.name for path in (cold / "facematch").rglob("complete.json")] == []


def test_an_encoder_that_needs_no_compiling_has_none(cold: Path) -> None:
    with sandbox(PLANTED) as made:
        made.look(encoded(Image.new("RGB", (8, 8)), "PNG"))
        (started,) = [
            process
            for process in psutil.Process(os.getpid()).children()
            if "worker.nursery" in process.cmdline()
        ]
        assert compilers(started) == []
    assert not (cold / "facematch").exists()
