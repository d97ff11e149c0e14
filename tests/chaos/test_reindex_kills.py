"""A reindex while pictures come and go and workers, the api and RabbitMQ are killed: at its end
both generations are what one worker would have made of the pictures, one after the other."""

import contextlib
import json
import os
import time
from pathlib import Path

import pytest
from cluster import Cluster
from coming_and_going import Ledger, coming_and_going, wait_for_all
from killing import bytes_of, killing, replay, stored
from planted import PLANTED
from rabbit_server import RabbitServer
from servers import RedisServer
from waiting import eventually

from facematch.errors import Conflict
from facematch.redis_connection import Redis, connect
from facematch.redis_reindexing import RedisReindexing
from facematch.redis_store import RedisStore
from facematch.reindexing import Phase

SECONDS = float(os.environ.get("CHAOS_SECONDS", "12"))
SEED = int(os.environ.get("CHAOS_SEED") or time.time())
FORMER, NEW = 0.6, 0.25
#: Pictures before it begins; of a range; and the share of their time that makes a few ranges take
#: as long as the test.
BEFORE, SPAN, SHARE = 100, 5, 0.03

pytestmark = pytest.mark.timeout(2 * SECONDS + 400)

VICTIMS = ("worker-1", "worker-2", "api", "rabbitmq", "worker-1", "index-1", "worker-2", "index-2")


def match_sets(client: Redis, generation: int) -> dict[bytes, bytes]:
    """The match sets of a generation as Redis would write them to its disk."""
    name = f"matches.{generation}" if generation else "matches"
    return bytes_of(client, f"fm:{{default}}:{name}")


def phase_of(reindexing: RedisReindexing) -> Phase | None:
    there = reindexing.current()
    return there.phase if there else None


def test_a_reindex_comes_to_its_end_whatever_is_killed(
    tmp_path: Path, redis_server: RedisServer, rabbitmq_server: RabbitServer
) -> None:
    print(f"CHAOS_SEED={SEED}")
    ledger = Ledger()
    client = connect(redis_server.url)
    store, reindexing = RedisStore(client), RedisReindexing(client)
    with Cluster(tmp_path, redis_server.url, rabbitmq_server.url, encoder=PLANTED) as cluster:
        with coming_and_going(cluster.url, ledger, SEED + 1, pause=0):
            while len(ledger.jobs) < BEFORE:
                time.sleep(0.05)
        wait_for_all(cluster.url, ledger)
        begun = time.monotonic()
        with (
            coming_and_going(cluster.url, ledger, SEED + 2, pause=0.2) as errors,
            killing(cluster, rabbitmq_server, VICTIMS, SEED) as killed,
        ):
            made = reindexing.begin(NEW, SHARE, SPAN)
            while not errors and time.monotonic() < begun + 10 * SECONDS:
                time.sleep(0.2)
                there = reindexing.current()
                assert there is not None
                if time.monotonic() > begun + SECONDS and set(VICTIMS) <= set(killed):
                    if there.phase is Phase.BUILT:
                        break
                    with contextlib.suppress(Conflict):  # built meanwhile
                        reindexing.resume(made.id, 1.0)
        cluster.wait_ready()
        wait_for_all(cluster.url, ledger)
        # Where nothing was killed for as long as a worker takes to start, it is built by now.
        with contextlib.suppress(Conflict):
            reindexing.resume(made.id, 1.0)
        eventually(lambda: phase_of(reindexing) is Phase.BUILT, "it is built", 120)
        there = reindexing.current()
        assert there is not None
        print(
            f"{len(ledger.person)} pictures, {len(ledger.erased)} erased, killed {killed}, {there}"
        )
        cluster.fsck()

        images = store.snapshot().positions
        assert set(images.values()) == ledger.person.keys() - ledger.erased
        pictures = [ledger.pictures[images[position]] for position in sorted(images)]
        assert stored(store, made.generation) == replay(pictures, NEW)
        served = stored(store, made.former)
        assert served == replay(pictures, FORMER)

        assert cluster.command("reindex", "switch").returncode == 0
        assert store.collection().threshold == NEW
        assert cluster.command("reindex", "rollback").returncode == 0
        assert store.collection().threshold == FORMER
        assert stored(store, made.former) == served
        before = match_sets(client, made.former)
        assert cluster.command("reindex", "cancel").returncode == 0
        assert match_sets(client, made.former) == before
        assert match_sets(client, made.generation) == {}
        cluster.fsck()

        # There and back: the bytes are the same, whoever wrote them, and in whatever order.
        for threshold in (NEW, FORMER):
            changed = cluster.command("--json", "reindex", "--threshold", str(threshold))
            assert changed.returncode == 0, changed.stdout + changed.stderr
            assert json.loads(changed.stdout)["parity"]["unexpected"] == 0
            assert cluster.command("reindex", "drop").returncode == 0
        back = match_sets(client, store.collection().generations[0].number)
        assert sorted(back.values()) == sorted(before.values())
        cluster.fsck()
    client.close()
