"""Redis's disk and its memory are full: 503 and nothing acknowledged, and then on as before."""

import time

import numpy as np
import requests
from coming_and_going import Client, Ledger

from faults.book import Outcome
from faults.service import Service, service

_REFUSED = (503,)


def run(seed: int) -> Outcome:
    """Both, one after the other."""
    outcome = Outcome("full", "disk and memory", seed)
    ledger = Ledger()
    with service(workers=2) as made:
        client = Client(made.url, ledger, np.random.default_rng(seed))
        for _ in range(30):
            client.submit()
        made.redis.stop()
        file = max(one.stat().st_size for one in (made.redis.folder / "appendonlydir").iterdir())
        made.redis.disk = file + 60_000
        made.redis.start()
        made.cluster.wait_ready()
        _fill(made, client, outcome, "disk")
        # A Redis that may lose nothing ends when it cannot write; whoever runs it starts it again.
        if made.redis.pid is not None:
            outcome.violations.append("Redis did not end with a full disk")
        made.redis.kill()
        made.redis.disk = None
        made.redis.start()
        made.cluster.wait_ready()
        _send_again(client)
        made.judge(ledger, outcome)

        used = int(made.client.info()["used_memory"])
        made.client.config_set("maxmemory", used + 200_000)
        _fill(made, client, outcome, "memory")
        if "errorstat_OOM" not in made.client.info("errorstats"):
            outcome.violations.append("Redis refused nothing with full memory")
        client.erase()
        client.look(next(iter(ledger.live_of(ledger.person[next(iter(ledger.person))]))))
        made.client.config_set("maxmemory", "0")
        _send_again(client)
        made.judge(ledger, outcome)
    return outcome


def _fill(made: Service, client: Client, outcome: Outcome, what: str) -> None:
    """Submit until the service refuses; what it has taken is in the ledger."""
    until = time.monotonic() + 120
    refused = 0
    while refused < 3:
        if time.monotonic() > until:
            outcome.violations.append(f"the {what} was never full")
            return
        owner, picture, image = client.draw()
        answer = requests.post(f"{made.url}/v1/images", data=picture, timeout=30)
        if answer.status_code in (200, 202):
            client.note(image, picture, owner, answer.json()["job"])
            continue
        refused += 1
        client.refused.append((image, picture, owner))
        told = answer.json()
        if answer.status_code not in _REFUSED or told["code"] != "store_unavailable":
            outcome.violations.append(f"{what} full: {answer.status_code} {told}")
        if "Retry-After" not in answer.headers:
            outcome.violations.append(f"{what} full: no Retry-After")
    outcome.counts[f"refused, {what} full"] += refused


def _send_again(client: Client) -> None:
    """What was refused may be there all the same: of that nobody is told."""
    while client.refused:
        client.send(*client.refused.pop())
