"""A service restored from a backup, by the very commands of docs/backup.md: fsck finds nothing, and
what was erased since stays erased."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from cluster import ROOT, Cluster
from patience import patient
from planted import PLANTED, people, pictures_of, planted_picture
from rabbit_server import RabbitServer
from served import Served
from servers import RedisServer

from facematch.faces import image_hash

PERSON = people(np.random.default_rng(5), 1)[0]
PICTURES = [planted_picture(one[None]) for one in pictures_of(np.random.default_rng(6), PERSON, 5)]
HASHES = [image_hash(picture) for picture in PICTURES]
#: Of the pictures: erased before the backup, erased after it, and submitted after it.
BEFORE, AFTER, NEW = 0, 1, 4


def commands(heading: str) -> str:
    """All commands in a section of docs/backup.md."""
    text = (ROOT / "docs" / "backup.md").read_text()
    section = re.split(rf"^### {heading}$", text, flags=re.MULTILINE)[1]
    section = re.split(r"^##", section, flags=re.MULTILINE)[0]
    blocks = re.findall(r"^( *)```sh\n(.*?)```", section, re.MULTILINE | re.DOTALL)
    assert blocks
    return "".join(re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in blocks)


def run(script: str, **environment: str) -> str:
    """What a shell says to these commands; AssertionError when one of them fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-eu", "-c", script],
        env=os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def submit(url: str, *numbers: int) -> None:
    for number in numbers:
        done = patient("POST", f"{url}/v1/images", data=PICTURES[number], params={"wait": 30})
        assert done.json()["state"] == "done", done.text


def erase(url: str, number: int) -> None:
    assert patient("DELETE", f"{url}/v1/images/{HASHES[number]}").status_code == 204


def assert_restored(url: str) -> None:
    """What was erased is gone; what came after the backup is unknown, and welcome again."""
    for number in (BEFORE, AFTER):
        assert patient("GET", f"{url}/v1/images/{HASHES[number]}").status_code == 410
    assert patient("GET", f"{url}/v1/images/{HASHES[NEW]}").status_code == 404
    assert matches(url, 2) == {HASHES[3]}
    submit(url, NEW)
    assert matches(url, 2) == {HASHES[3], HASHES[NEW]}


def matches(url: str, number: int) -> set[str]:
    shown = patient("GET", f"{url}/v1/images/{HASHES[number]}/matches").json()
    return {match["hash"] for match in shown["matches"]}


@pytest.mark.parametrize("ledger_is_lost", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_clustered_service_is_restored(
    tmp_path: Path,
    redis_server: RedisServer,
    rabbitmq_server: RabbitServer,
    ledger_is_lost: bool,
) -> None:
    backup, ledger = tmp_path / "backup", tmp_path / "ledger"
    backup.mkdir()
    urls = redis_server.url, rabbitmq_server.url
    with Cluster(tmp_path, *urls, workers=1, encoder=PLANTED) as cluster:
        variables = {
            "BACKUP": str(backup),
            "REDIS_DATA": str(redis_server.folder),
            **{name: cluster.environment[name] for name in cluster.environment if "FACEM" in name},
        }
        submit(cluster.url, 0, 1, 2, 3)
        erase(cluster.url, BEFORE)
        if ledger_is_lost:
            erase(cluster.url, AFTER)
        run(commands("Back up"), **variables)
        if not ledger_is_lost:
            erase(cluster.url, AFTER)
        submit(cluster.url, NEW)
        assert matches(cluster.url, 2) == {HASHES[3], HASHES[NEW]}
        for name in ("api", "worker-1", "index-1"):
            cluster.stop(name)

        redis_server.kill()
        redis_server.wipe()
        if ledger_is_lost:
            shutil.rmtree(ledger)
        put_back, check = commands("Restore").split("curl", 1)
        run(put_back, **variables)
        redis_server.start()
        for name in ("index-1", "worker-1", "api"):
            cluster.start(name)
        assert "0 findings" in run(f"curl{check}", **variables)
        assert_restored(cluster.url)
        cluster.fsck()


@contextmanager
def serving(data: Path, log: Path) -> Iterator[str]:
    """The URL of an embedded service on this folder, which is stopped in good order."""
    served = Served(data, log, "--port", "0", encoder=PLANTED)
    try:
        yield served.url()
    finally:
        served.process.terminate()
        assert served.end() == 0


@pytest.mark.long
def test_an_embedded_service_is_restored(tmp_path: Path) -> None:
    data, log = tmp_path / "data", tmp_path / "console.txt"
    variables = {"BACKUP": str(tmp_path), "DATA": str(data)}
    with serving(data, log) as url:
        submit(url, 0, 1, 2, 3)
        erase(url, BEFORE)
    run(commands("Back up the data folder"), **variables)
    with serving(data, log) as url:
        erase(url, AFTER)
        submit(url, NEW)
    put_back, check = commands("Restore the data folder").split("facematch fsck", 1)
    run(put_back, **variables)
    with serving(data, log) as url:
        assert "0 findings" in run(f"facematch fsck{check}", **variables)
        assert_restored(url)
