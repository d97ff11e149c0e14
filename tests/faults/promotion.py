"""A replica is promoted that lacks the last of what the primary took, as when its link was cut."""

import time
from pathlib import Path

import numpy as np
import redis
from coming_and_going import Client, Ledger, coming_and_going
from patience import patient
from servers import RedisServer
from waiting import eventually

from benchmarks.servers import redis_binary
from faults.book import Outcome
from faults.service import Service, service


def run(seed: int, promotions: int = 3) -> Outcome:
    """So many, one after the other."""
    outcome = Outcome("promotion", f"{promotions} promotions", seed)
    ledger, rng = Ledger(), np.random.default_rng(seed)
    with service(workers=2) as made:
        servers = []
        try:
            for number in range(promotions):
                replica = _replica_of(made.redis, made.folder / f"replica-{number}")
                servers.append(replica)
                _start(replica)
                _promote(made, replica, ledger, rng, outcome)
            made.judge(ledger, outcome)
        finally:
            for server in servers:
                server.stop()
    return outcome


def _replica_of(primary: RedisServer, folder: Path) -> RedisServer:
    return RedisServer(
        redis_binary(),
        folder,
        *("--replicaof", "127.0.0.1", str(primary.port), "--repl-diskless-sync-delay", "0"),
    )


def _start(replica: RedisServer) -> None:
    replica.start()

    def in_step() -> bool:
        with redis.Redis(port=replica.port) as client:
            return client.info("replication")["master_link_status"] == "up"

    eventually(in_step, "the replica is in step", 30)


def _promote(
    made: Service,
    replica: RedisServer,
    ledger: Ledger,
    rng: np.random.Generator,
    outcome: Outcome,
) -> None:
    primary = made.redis
    with coming_and_going(made.url, ledger, int(rng.integers(2**31)), pause=0.02):
        time.sleep(2 + 2 * float(rng.random()))
        with redis.Redis(port=replica.port) as client:
            client.replicaof("NO", "ONE")  # its link is cut here; the primary goes on
        cut = made.store.collection().tail.position
        time.sleep(0.5 + 2 * float(rng.random()))
        eventually(lambda: made.store.collection().tail.position > cut, "something is lost", 60)
    made.wait_for_indexes(outcome)  # they have what will be lost
    before = made.store.collection().tail
    primary.kill()
    made.use(replica)
    made.cluster.wait_ready()
    # What nobody heard of any more is noticed as what it is, and submitted again.
    after = made.store.collection().tail
    start = made.store.log(before.position, 0).start
    forked = (after.position, after.chain) != (before.position, before.chain) and start != before
    outcome.counts["forks"] += forked
    _submit_again(made, ledger, outcome)
    wrong = len(outcome.violations)
    made.judge(ledger, outcome)
    outcome.counts["forks healed"] += forked and len(outcome.violations) == wrong


def _submit_again(made: Service, ledger: Ledger, outcome: Outcome) -> None:
    client = Client(made.url, ledger, np.random.default_rng(0))
    known = [
        job for job in ledger.jobs if patient("GET", f"{made.url}/v1/jobs/{job}").status_code != 404
    ]
    outcome.counts["jobs that the replica lacked"] += len(ledger.jobs) - len(known)
    ledger.jobs[:] = known
    for image, picture in list(ledger.pictures.items()):
        if image in ledger.erased:
            continue
        if patient("GET", f"{made.url}/v1/images/{image}").status_code == 404:
            client.send(image, picture, ledger.person[image])
