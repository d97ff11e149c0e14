"""Processes are killed at random while pictures come and go; nothing acknowledged is lost.

CHAOS_SECONDS makes it longer, CHAOS_SEED repeats a run.
"""

import os
import time
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from cluster import Cluster
from coming_and_going import PEOPLE, Ledger, coming_and_going, wait_for_all
from milvus_server import MilvusServer
from patience import patient
from planted import PLANTED
from rabbit_server import RabbitServer
from servers import RedisServer

from facematch.job import QUEUE

SECONDS = float(os.environ.get("CHAOS_SECONDS", "20"))
SEED = int(os.environ.get("CHAOS_SEED") or time.time())
KILL_EVERY = 2.0
#: Each picture is looked at in the end: a long run has only so many, about.
PICTURES = 6000
PAUSE = max(0.02, 2 * SECONDS / PICTURES)

pytestmark = pytest.mark.timeout(SECONDS + 300)


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


#: With Milvus it takes twice as long: `make kills` and `make milvus` have it.
@pytest.fixture(params=["sidecar", pytest.param("milvus", marks=pytest.mark.long)])
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
    settings = {"encoder": PLANTED} | ({"index_url": milvus.url} if milvus else {})
    with Cluster(tmp_path, redis_server.url, rabbitmq_server.url, **settings) as cluster:
        killed = []
        with coming_and_going(cluster.url, ledger, SEED + 1, PAUSE) as errors:
            until = time.monotonic() + SECONDS
            while time.monotonic() < until and not errors:
                killed.append(kill_something(cluster, redis_server, rabbitmq_server, milvus, rng))
                time.sleep(float(rng.random()) * 2 * KILL_EVERY)
        cluster.wait_ready()
        assert ledger.jobs
        print(f"{len(ledger.person)} pictures, {len(ledger.erased)} erased, {len(killed)} kills")
        wait_for_all(cluster.url, ledger)
        for owner in range(PEOPLE):
            live = ledger.live_of(owner)
            for image in live:
                shown = patient(
                    "GET", f"{cluster.url}/v1/images/{image}/matches", params={"limit": 10_000}
                ).json()
                assert {match["hash"] for match in shown["matches"]} == live - {image}
        for image in ledger.erased:
            assert patient("GET", f"{cluster.url}/v1/images/{image}").status_code in (404, 410)
        cluster.fsck()
        if milvus:
            verified = cluster.command("index", "verify")
            assert verified.returncode == 0, verified.stdout + verified.stderr
