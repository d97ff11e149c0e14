"""Every few seconds any process may be killed, while pictures come, are read and are erased."""

import time

import numpy as np
from coming_and_going import Ledger, coming_and_going

from faults.book import Outcome
from faults.service import service

EVERY = 5.0
PROBABILITY = 0.3
WORKERS = 3
#: The most between two pictures of the client, in seconds.
PAUSE = 0.1


def run(seed: int, seconds: float, every: float = EVERY, workers: int = WORKERS) -> Outcome:
    """So long, and then all that was acknowledged is looked at."""
    outcome = Outcome("crash", f"{seconds:g} s", seed)
    ledger, rng = Ledger(), np.random.default_rng(seed)
    with service(workers) as made:
        # In the order of a plan that the seed alone decides.
        victims = ["api", *made.workers, *made.indexes, "redis", "rabbitmq"]
        with coming_and_going(made.url, ledger, seed + 1, PAUSE) as errors:
            began, rounds = time.monotonic(), 0
            while time.monotonic() < began + seconds and not errors:
                rounds += 1
                time.sleep(max(0.0, began + rounds * every - time.monotonic()))
                for victim in _drawn(rng, victims):
                    made.kill(victim, outcome)
            outcome.counts["seconds"] = int(time.monotonic() - began)
            outcome.violations += [f"a client: {error}" for error in errors]
            errors.clear()
        made.judge(ledger, outcome)
    return outcome


def _drawn(rng: np.random.Generator, victims: list[str]) -> list[str]:
    """Each with the same probability."""
    return [victim for victim in victims if rng.random() < PROBABILITY]
