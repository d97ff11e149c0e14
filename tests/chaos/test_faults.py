"""Pieces of `make chaos`: a service is broken in each way there is, and loses nothing.

CHAOS_SEED repeats a run. Those marked `long` take a minute or two each; `python -m faults` does all
of them for many seeds.
"""

import os
import shutil
import time

import pytest
from faults import broker, clocks, crash, cuts, frozen, full, promotion, steps, store
from faults.book import Outcome

SEED = int(os.environ.get("CHAOS_SEED") or time.time())

# Each has servers of its own: the fixtures are for being skipped where there are none.
pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("redis_process")]
_RABBITMQ = pytest.mark.usefixtures("rabbitmq_process")


@pytest.fixture(autouse=True)
def _say_seed() -> None:
    """Beforehand: a run may end in an error."""
    print(f"CHAOS_SEED={SEED}")


def assert_right(outcome: Outcome, *counted: str) -> None:
    """AssertionError for violations, and where nothing of these was done."""
    print(outcome)
    assert outcome.violations == []
    assert all(outcome.counts[name] for name in counted)


def test_an_append_only_file_cut_anywhere_is_healed() -> None:
    outcome = cuts.run(SEED, 10)
    assert_right(outcome, "cuts healed", "cuts that changed the log")
    assert outcome.counts["cuts healed"] == outcome.counts["cuts"]


@_RABBITMQ
def test_a_redis_killed_again_and_again_keeps_what_it_acknowledged() -> None:
    outcome = store.run(SEED, 4)
    assert_right(outcome, "acknowledged", "redis kills")
    assert outcome.counts["acknowledged lost"] == 0


@_RABBITMQ
@pytest.mark.parametrize(
    ("part", "some"),
    [
        ("worker", ("after_commit",)),
        *(pytest.param(part, (), marks=pytest.mark.long) for part in steps.STEPS),
    ],
)
def test_whoever_is_killed_or_told_to_end_at_a_failpoint_loses_nothing(
    part: str, some: tuple[str, ...]
) -> None:
    outcome = steps.run(part, SEED, some, ("stop",) if some else ("kill", "stop"))
    assert_right(outcome, "stops")
    assert outcome.counts["stops over 30 s"] == 0


@_RABBITMQ
@pytest.mark.long
def test_a_replica_that_lacks_the_last_writes_is_promoted_and_matches_stay_right() -> None:
    assert_right(promotion.run(SEED), "forks healed")


@_RABBITMQ
@pytest.mark.long
def test_rabbitmq_is_killed_wiped_and_alarmed_and_submitting_goes_on() -> None:
    assert_right(broker.run(SEED), "disks wiped", "alarms")


@_RABBITMQ
@pytest.mark.long
def test_indexes_and_workers_are_frozen_and_starved() -> None:
    assert_right(frozen.run(SEED), "freezes", "starved")


@_RABBITMQ
@pytest.mark.long
def test_a_service_with_a_full_redis_refuses_and_goes_on() -> None:
    assert_right(full.run(SEED), "refused, disk full", "refused, memory full")


@_RABBITMQ
@pytest.mark.long
@pytest.mark.skipif(shutil.which("cc") is None, reason="no compiler (apt install gcc)")
def test_clocks_that_are_wrong_and_jump_change_nothing() -> None:
    assert_right(clocks.run(SEED), "clocks moved", "erased and submitted again")


@_RABBITMQ
@pytest.mark.long
def test_any_process_is_killed_at_random() -> None:
    assert_right(crash.run(SEED, 60), "kills", "accepted", "erased")
