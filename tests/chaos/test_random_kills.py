"""Processes are killed at random while pictures come and go; nothing acknowledged is lost.

CHAOS_SECONDS makes it longer, CHAOS_SEED repeats a run.
"""

import hashlib
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from cluster import Cluster
from milvus_server import MilvusServer
from patience import patient
from planted import PLANTED, people, pictures_of, planted_picture
from rabbit_server import RabbitServer
from servers import RedisServer

from facematch.job import QUEUE

SECONDS = float(os.environ.get("CHAOS_SECONDS", "30"))
SEED = int(os.environ.get("CHAOS_SEED") or time.time())
PEOPLE = 20
KILL_EVERY = 2.0
#: Each picture is looked at in the end: a long run has only so many, about.
PICTURES = 6000
PAUSE = max(0.02, 2 * SECONDS / PICTURES)

pytestmark = pytest.mark.timeout(SECONDS + 300)


@dataclass
class Ledger:
    """What the service has acknowledged: pictures taken, jobs, images erased."""

    person: dict[str, int] = field(default_factory=dict)
    jobs: list[str] = field(default_factory=list)
    erased: set[str] = field(default_factory=set)

    def live_of(self, person: int) -> set[str]:
        return {h for h, owner in self.person.items() if owner == person and h not in self.erased}


def come_and_go(
    cluster: Cluster, ledger: Ledger, rng: np.random.Generator, stop: threading.Event
) -> None:
    persons = people(np.random.default_rng(0), PEOPLE)
    while not stop.is_set():
        owner = int(rng.integers(PEOPLE))
        picture = planted_picture(pictures_of(rng, persons[owner], 1))
        image = hashlib.sha256(picture).hexdigest()
        answer = patient("POST", f"{cluster.url}/v1/images", data=picture)
        assert answer.status_code in (200, 202), answer.text
        ledger.person[image] = owner
        ledger.jobs.append(answer.json()["job"])
        if rng.random() < 0.1:
            old = sorted(ledger.person.keys() - ledger.erased)
            gone = old[int(rng.integers(len(old)))]
            answer = patient("DELETE", f"{cluster.url}/v1/images/{gone}")
            assert answer.status_code == 204, answer.text
            ledger.erased.add(gone)
        shown = patient("GET", f"{cluster.url}/v1/images/{image}/matches").json()
        assert not ledger.erased & {match["hash"] for match in shown.get("matches") or ()}
        time.sleep(float(rng.random()) * PAUSE)


def kill_something(
    cluster: Cluster,
    redis: RedisServer,
    rabbitmq: RabbitServer,
    milvus: MilvusServer | None,
    rng: np.random.Generator,
) -> str:
    index = ["milvus"] if milvus else ["index-1", "index-2"]
    name = str(rng.choice(["worker-1", "worker-2", *index, "api", "redis", "queue"]))
    if name == "redis":
        redis.kill()
        redis.start()
    elif milvus and name == "milvus":
        milvus.kill()
        milvus.start()
    elif name == "queue":
        rabbitmq.delete_queues(QUEUE)
        time.sleep(1)  # RabbitMQ 3.10 may lose a queue that it has only just made again
    else:
        cluster.kill(name)
        cluster.start(name)
    return name


@pytest.fixture(params=["sidecar", "milvus"])
def milvus(request: pytest.FixtureRequest) -> MilvusServer | None:
    """The index of all workers, unless each has its own."""
    if request.param == "sidecar":
        return None
    return cast(MilvusServer, request.getfixturevalue("milvus_server"))


def test_nothing_acknowledged_is_lost(
    tmp_path: Path,
    redis_server: RedisServer,
    rabbitmq_server: RabbitServer,
    milvus: MilvusServer | None,
) -> None:
    print(f"CHAOS_SEED={SEED}")
    rng = np.random.default_rng(SEED)
    ledger = Ledger()
    stop = threading.Event()
    errors: list[BaseException] = []
    settings = {"encoder": PLANTED} | ({"index_url": milvus.url} if milvus else {})
    with Cluster(tmp_path, redis_server.url, rabbitmq_server.url, **settings) as cluster:

        def work() -> None:
            try:
                come_and_go(cluster, ledger, np.random.default_rng(SEED + 1), stop)
            except BaseException as error:
                errors.append(error)

        client = threading.Thread(target=work)
        client.start()
        until = time.monotonic() + SECONDS
        killed = []
        try:
            while time.monotonic() < until and not errors:
                killed.append(kill_something(cluster, redis_server, rabbitmq_server, milvus, rng))
                time.sleep(float(rng.random()) * 2 * KILL_EVERY)
        finally:
            stop.set()
            client.join()
        assert not errors, errors[0]
        assert ledger.jobs
        print(f"{len(ledger.person)} pictures, {len(ledger.erased)} erased, {len(killed)} kills")
        until = time.monotonic() + 120
        for job in ledger.jobs:
            while True:
                shown = patient("GET", f"{cluster.url}/v1/jobs/{job}", params={"wait": 10}).json()
                if shown["state"] in ("done", "erased"):
                    break
                assert shown["state"] != "failed", shown
                assert time.monotonic() < until, shown
        for owner in range(PEOPLE):
            live = ledger.live_of(owner)
            for image in live:
                shown = patient(
                    "GET", f"{cluster.url}/v1/images/{image}/matches", params={"limit": 10_000}
                ).json()
                assert {match["hash"] for match in shown["matches"]} == live - {image}
        cluster.fsck()
        if milvus:
            verified = cluster.command("index", "verify")
            assert verified.returncode == 0, verified.stdout + verified.stderr
