"""A reindex to another encoder while pictures come and go and everything is killed, who drives it
included: at its end both editions are what one worker of each model would have made of the
pictures, and nothing of that changes what is served."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from cluster import ROOT, Cluster
from coming_and_going import Ledger, coming_and_going, wait_for_all
from killing import bytes_of, killing, replay, stored
from planted import OTHER_PLANTED, PLANTED, OtherPlantedEncoder
from rabbit_server import RabbitServer
from servers import RedisServer
from waiting import eventually

from facematch.redis_connection import connect
from facematch.redis_reencoding import RedisReencoding
from facematch.redis_store import RedisStore
from facematch.reindexing import Phase

SECONDS = float(os.environ.get("CHAOS_SECONDS", "12"))
SEED = int(os.environ.get("CHAOS_SEED") or time.time())
THRESHOLD = 0.6
#: Pictures before it begins, and the share of its time that makes it take as long as the test.
BEFORE, SHARE = 80, 0.5
VICTIMS = ("worker-2", "driver", "worker-1", "api", "driver", "rabbitmq", "worker-2", "index-2")

pytestmark = [pytest.mark.timeout(2 * SECONDS + 400), pytest.mark.long]


class Driver:
    """`facematch reindex --encoder …`, run again whenever it was killed, until it has ended."""

    def __init__(self, cluster: Cluster, pictures: Path) -> None:
        self._cluster = cluster
        self._options = ("--encoder", OTHER_PLANTED, "--pictures", str(pictures))
        self._process: subprocess.Popen[str] | None = None
        self._until = time.monotonic() + SECONDS
        self.runs = 0
        self.said = ""
        self.thread = threading.Thread(target=self._run)

    def kill(self) -> None:
        """kill -9, for the time of the test: it needs a few seconds to begin again."""
        if self._process is not None and time.monotonic() < self._until:
            self._process.kill()

    def _run(self) -> None:
        status = -signal.SIGKILL
        while status == -signal.SIGKILL:
            self.runs += 1
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "facematch", "reindex", *self._options),
                    *("--share", str(SHARE), "--most-change", "1", "--no-switch", "--no-fsck"),
                ],
                cwd=ROOT,
                env=self._cluster.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            self.said, _ = self._process.communicate()
            status = self._process.returncode
        assert status == 0, self.said


def test_a_change_of_encoder_comes_to_its_end_whatever_is_killed(
    tmp_path: Path, redis_server: RedisServer, rabbitmq_server: RabbitServer
) -> None:
    print(f"CHAOS_SEED={SEED}")
    ledger = Ledger()
    client = connect(redis_server.url)
    reencoding, store = RedisReencoding(client), RedisStore(client)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    with Cluster(
        tmp_path, redis_server.url, rabbitmq_server.url, workers=1, encoder=PLANTED
    ) as cluster:
        cluster.own["worker-2"] = {"encoder": OTHER_PLANTED}
        with coming_and_going(cluster.url, ledger, SEED + 1, pause=0):
            while len(ledger.jobs) < BEFORE:
                time.sleep(0.05)
        wait_for_all(cluster.url, ledger)
        for image in ledger.person.keys() - ledger.erased:
            (pictures / f"{image}.png").write_bytes(ledger.pictures[image])
        driver = Driver(cluster, pictures)
        begun = time.monotonic()
        driver.thread.start()
        eventually(lambda: reencoding.editions().other, "another edition is begun", 30)
        cluster.start("index-2")
        cluster.start("worker-2")
        with (
            coming_and_going(cluster.url, ledger, SEED + 2, pause=0.2) as errors,
            killing(cluster, rabbitmq_server, VICTIMS, SEED, {"driver": driver.kill}) as killed,
        ):
            while not errors and time.monotonic() < begun + 10 * SECONDS:
                time.sleep(0.2)
                long_enough = time.monotonic() > begun + SECONDS and set(VICTIMS) <= set(killed)
                if long_enough and not driver.thread.is_alive():
                    break
        cluster.wait_ready()
        wait_for_all(cluster.url, ledger)
        driver.thread.join(60)
        print(
            f"{len(ledger.person)} pictures, {len(ledger.erased)} erased, killed {killed},"
            f" driven {driver.runs} times\n{driver.said}"
        )
        there = reencoding.editions()
        assert there.phase is Phase.BUILT
        eventually(lambda: not reencoding.lag(1).behind, "the new edition has followed", 60)
        cluster.fsck()

        other = RedisStore(client, "default~1")
        live = ledger.person.keys() - ledger.erased
        for edition, encoder in ((store, None), (other, OtherPlantedEncoder())):
            images = edition.snapshot().positions
            assert set(images.values()) == live
            ordered = [ledger.pictures[images[position]] for position in sorted(images)]
            assert stored(edition, 0) == replay(ordered, THRESHOLD, encoder)

        before = bytes_of(client, "fm:{default}:matches")
        assert cluster.command("reindex", "switch").returncode == 0
        assert reencoding.editions().served.model == OtherPlantedEncoder.model
        assert cluster.command("reindex", "rollback").returncode == 0
        assert bytes_of(client, "fm:{default}:matches") == before
        assert cluster.command("reindex", "cancel").returncode == 0
        assert bytes_of(client, "fm:{default}:matches") == before
        assert client.keys("fm:{default}:~*") == []
        cluster.fsck()
    client.close()
