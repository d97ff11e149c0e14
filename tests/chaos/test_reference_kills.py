"""The reference pictures through the clustered service, with a worker killed every 20 seconds.

Takes minutes and needs the reference pictures, so it runs only where CHAOS_SECONDS is set.
"""

import os
import threading
import time
from pathlib import Path

import pytest
from cluster import Cluster
from rabbit_server import RabbitServer
from real_pictures import reference_data
from servers import RedisServer

from benchmarks.reference import compare

KILL_EVERY = 20.0


@pytest.mark.skipif("CHAOS_SECONDS" not in os.environ, reason="only in the long form of chaos")
@pytest.mark.timeout(3600)
def test_the_match_sets_are_those_of_the_reference(
    tmp_path: Path,
    redis_server: RedisServer,
    rabbitmq_server: RabbitServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = reference_data()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with Cluster(tmp_path, redis_server.url, rabbitmq_server.url) as cluster:
        ended = threading.Event()

        def ingest() -> None:
            done = cluster.command("ingest", "--strict", str(data / "lfw"), seconds=3000)
            print(done.stdout, done.stderr[-500:])
            codes.append(done.returncode)
            ended.set()

        codes: list[int] = []
        thread = threading.Thread(target=ingest)
        thread.start()
        kills = 0
        while not ended.wait(KILL_EVERY):
            worker = f"worker-{1 + kills % 2}"
            cluster.kill(worker)
            cluster.start(worker)
            kills += 1
        thread.join()
        assert codes == [0]
        began = time.monotonic()
        cluster.fsck()
        found = compare(cluster.url, data / "lfw", data / "lfw-reference.npz")
        print(f"{kills} kills; {found}; compared in {time.monotonic() - began:.0f} s")
        assert (found.missing, found.surplus) == ((), ())
