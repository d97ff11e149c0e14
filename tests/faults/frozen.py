"""Indexes and workers that are frozen, or starved: a delay, and the same matches."""

import time

import numpy as np
from coming_and_going import Ledger, coming_and_going

from faults.book import Outcome
from faults.service import Service, service

#: Of the time that a starved process gets.
SHARE = 0.05
_TURN = 0.2
#: Longer than a job is left to who took it: see FACEMATCH_SWEEP_AGE in cluster.py.
FROZEN_SECONDS = 6.0


def run(seed: int, rounds: int = 2) -> Outcome:
    """Each of the ways so often."""
    outcome = Outcome("frozen", f"{rounds} rounds", seed)
    ledger, rng = Ledger(), np.random.default_rng(seed)
    with service(workers=2) as made:
        with coming_and_going(made.url, ledger, seed + 1, pause=0.05) as errors:
            for _ in range(rounds):
                one = int(rng.integers(2))
                _freeze(made, [made.indexes[one]], outcome)
                _freeze(made, made.indexes, outcome)
                _freeze(made, [made.workers[1 - one]], outcome)
                _starve(made, made.indexes, outcome)
            outcome.violations += [f"a client: {error}" for error in errors]
            errors.clear()
        made.judge(ledger, outcome)
    return outcome


def _freeze(made: Service, names: list[str], outcome: Outcome) -> None:
    with made.frozen(names):
        time.sleep(FROZEN_SECONDS)
    outcome.counts["freezes"] += len(names)


def _starve(made: Service, names: list[str], outcome: Outcome) -> None:
    until = time.monotonic() + FROZEN_SECONDS
    while time.monotonic() < until:
        with made.frozen(names):
            time.sleep((1 - SHARE) * _TURN)
        time.sleep(SHARE * _TURN)
    outcome.counts["starved"] += len(names)
