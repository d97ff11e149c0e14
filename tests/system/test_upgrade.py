"""Two versions side by side: a former one, out of the repository's own history, and this one."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import requests
from cluster import ROOT, Cluster
from coming_and_going import PEOPLE, Ledger, coming_and_going, wait_for_all
from patience import patient
from planted import PLANTED, people, pictures_of, planted_picture
from rabbit_server import RabbitServer
from served import Served
from servers import RedisServer
from waiting import eventually

from facematch.faces import image_hash
from facematch.job import VERSION, new_job_id
from facematch.rabbit_broker import RabbitBroker
from facematch.redis_connection import connect
from facematch.redis_schema import RedisSchema
from facematch.redis_scripts import SCHEMA

#: The last one that knew of no schema.
FORMER = "020c148e0e684ff13c8e37991f91fddf7f9b7f17"
SEED = 7

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def former(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of the former version."""
    folder = tmp_path_factory.mktemp("former")
    made = subprocess.run(
        ["git", "-C", str(ROOT), "archive", "--format=tar", FORMER],
        capture_output=True,
        check=False,
    )
    if made.returncode != 0:
        pytest.skip(f"no git history here that has {FORMER[:7]}: a former version is needed")
    subprocess.run(["tar", "-x", "-C", str(folder)], input=made.stdout, check=True)
    return folder


@pytest.fixture
def cluster(
    tmp_path: Path, former: Path, redis_server: RedisServer, rabbitmq_server: RabbitServer
) -> Iterator[Cluster]:
    """Two workers and the api of the former version."""
    urls = redis_server.url, rabbitmq_server.url
    with Cluster(tmp_path, *urls, root=former, encoder=PLANTED) as running:
        running.root = ROOT
        yield running


@dataclass(frozen=True)
class NewerMessage:
    """As a version to come will send it."""

    def encode(self) -> bytes:
        return f'{{"v": {VERSION + 1}, "task": "{new_job_id()}"}}'.encode()


def replace(cluster: Cluster, *names: str) -> None:
    """Stop these processes in good order, and start them in the version of today."""
    for name in names:
        cluster.stop(name)
    for name in reversed(names):
        cluster.start(name)
    for name in names:
        if name.startswith("worker"):
            cluster.wait_worker(name)


def all_is_there(cluster: Cluster, ledger: Ledger) -> None:
    """Nothing acknowledged is lost, and every match set is what it is to be."""
    wait_for_all(cluster.url, ledger)
    for owner in range(PEOPLE):
        live = ledger.live_of(owner)
        for image in live:
            address = f"{cluster.url}/v1/images/{image}/matches"
            shown = patient("GET", address, params={"limit": 10_000}).json()
            assert {match["hash"] for match in shown["matches"]} == live - {image}
    for image in ledger.erased:
        assert requests.get(f"{cluster.url}/v1/images/{image}", timeout=10).status_code == 410
    cluster.fsck()


def test_both_versions_leave_what_is_not_for_them(
    cluster: Cluster, redis_server: RedisServer, rabbitmq_server: RabbitServer
) -> None:
    """A former worker and one of today meet a message, and one of today data, that are newer."""
    replace(cluster, "worker-2", "index-2")
    pictures = [planted_picture(np.full((1, 128), n / 10, dtype=np.float32)) for n in (1, 2)]
    submitted = f"{cluster.url}/v1/images"
    with (
        connect(redis_server.url) as client,
        closing(RabbitBroker(rabbitmq_server.url)) as broker,
    ):
        # More than one worker takes at once.
        for _ in range(40):
            broker.publish(NewerMessage())  # type: ignore[arg-type]
        for name, said in (
            ("worker-1", "not a message of this queue"),
            ("worker-2", "left to a newer worker"),
        ):
            eventually(lambda name=name, said=said: said in cluster.log(name), said, 60)
        done = patient("POST", submitted, data=pictures[0], params={"wait": 20}).json()
        assert done["state"] == "done"

        replace(cluster, "api")
        cluster.stop("worker-1")
        assert patient("GET", f"{cluster.url}/readyz").json()["status"] == "ready"
        client.hset("fm:{default}:editions", "schema", SCHEMA + 1)
        assert requests.get(f"{cluster.url}/readyz", timeout=10).status_code == 503
        refused = requests.post(submitted, data=b"another", timeout=10)
        assert (refused.status_code, refused.json()["code"]) == (503, "newer_data")
        eventually(lambda: "newer_data" in cluster.log("worker-2"), "the worker waits")
        eventually(lambda: "data of this version" in cluster.log("index-2"), "the index waits")
        assert cluster.alive("worker-2")
        assert cluster.alive("index-2")
        cluster.start("worker-1")
        eventually(lambda: not cluster.alive("worker-1"), "a worker does not start")
        assert "a newer version of facematch" in cluster.log("worker-1")
        assert cluster.command("fsck").returncode == 1

        client.hdel("fm:{default}:editions", "schema")
        done = patient("POST", submitted, data=pictures[1], params={"wait": 30}).json()
        assert done["state"] == "done"
        cluster.fsck()


def test_an_embedded_service_is_upgraded_taken_back_and_migrated(
    former: Path, tmp_path: Path
) -> None:
    data, log = tmp_path / "data", tmp_path / "console.txt"
    person = people(np.random.default_rng(SEED), 1)[0]
    pictures = [
        planted_picture(one[None]) for one in pictures_of(np.random.default_rng(SEED), person, 5)
    ]
    hashes = [image_hash(picture) for picture in pictures]
    for number, root in enumerate((former, ROOT, former, ROOT)):
        served = Served(data, log, "--port", "0", root=root, encoder=PLANTED)
        try:
            url = served.url()
            parameters = {"wait": 30}
            done = patient("POST", f"{url}/v1/images", data=pictures[number], params=parameters)
            assert done.json()["state"] == "done"
            shown = patient("GET", f"{url}/v1/images/{hashes[number]}/matches").json()
            assert {match["hash"] for match in shown["matches"]} == set(hashes[:number])
        finally:
            served.process.terminate()
            assert served.end() == 0
    for command, said in (
        (["migrate"], "is of schema 0"),
        (["migrate", "--apply"], "Done: it is of schema"),
        (["migrate"], "nothing to do"),
        (["fsck"], "0 findings"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "facematch", *command, "--data", str(data)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, said in done.stdout) == (0, True), done.stdout + done.stderr


def test_a_rolling_upgrade_loses_nothing(
    cluster: Cluster, redis_server: RedisServer, rabbitmq_server: RabbitServer
) -> None:
    ledger, taken = Ledger(), [0]
    with connect(redis_server.url) as client:
        schema = RedisSchema(client)

        def go_on() -> None:
            """Until some more pictures have been taken, by whichever versions there are."""
            taken.append(len(ledger.jobs))
            eventually(lambda: errors or len(ledger.jobs) > taken[-1] + 15, "pictures are taken")

        with coming_and_going(cluster.url, ledger, SEED, pause=0.05) as errors:
            go_on()
            for names in (("worker-1", "index-1"), ("api",), ("worker-2", "index-2")):
                replace(cluster, *names)
                go_on()
            assert schema.standing().schema == 0
        all_is_there(cluster, ledger)

        told = cluster.command("migrate")
        assert (told.returncode, "Nothing was changed" in told.stdout) == (0, True)
        with coming_and_going(cluster.url, ledger, SEED + 1, pause=0.05) as errors:
            go_on()
            assert cluster.command("migrate", "--apply").returncode == 0
            go_on()
        assert schema.standing().schema == SCHEMA
        print(f"{len(ledger.jobs)} jobs, {len(ledger.erased)} erased")
        all_is_there(cluster, ledger)
