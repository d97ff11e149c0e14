"""What `make chaos` counts, keeps and does again."""

from collections import Counter
from pathlib import Path

import pytest
import structlog
from cluster import Cluster
from faults.book import Book, Outcome, table, targets
from faults.steps import ELSEWHERE, STEPS
from waiting import eventually

from facematch import failpoints
from facematch.failpoints import NAMES


def test_every_failpoint_is_one_of_a_run_or_has_a_test_elsewhere() -> None:
    runs = {name for names in STEPS.values() for name in names}
    assert runs | ELSEWHERE == set(NAMES)
    assert not runs & ELSEWHERE


def test_what_ended_well_is_not_done_again_and_what_did_not_is(tmp_path: Path) -> None:
    file = tmp_path / "build" / "outcomes.jsonl"
    Book(file).add(Outcome("cuts", "", 1, Counter(cuts=20, **{"cuts healed": 20})))
    Book(file).add(Outcome("cuts", "", 2, Counter(cuts=20), ["I3: a lacks 1"]))
    book = Book(file)
    assert book.has("cuts", "", 1)
    assert not book.has("cuts", "", 2)
    assert not book.has("steps", "api", 1)
    book.add(Outcome("cuts", "", 2, Counter(cuts=20)))
    assert Book(file).has("cuts", "", 2)
    again = Book(file)
    assert [one.seed for one in again.outcomes] == [1, 2]
    # It is not forgotten for that.
    assert "| 1; cuts seed 2 | no |" in table(again.outcomes, again.failed_before)


def test_targets_are_met_only_by_enough_without_a_loss() -> None:
    enough = [
        Outcome("steps", "worker", 1, Counter(kills=500, accepted=9000, stops=50)),
        Outcome("redis", "", 1, Counter({"redis kills": 100, "acknowledged": 2000})),
        Outcome("crash", "", 1, Counter(seconds=3600)),
        Outcome("cuts", "", 1, Counter({"cuts": 200, "cuts healed": 200})),
    ]
    assert not all(one.met for one in targets(enough))  # no log has forked
    enough.append(Outcome("promotion", "", 1, Counter({"forks": 1, "forks healed": 1})))
    assert all(one.met for one in targets(enough))
    for counts in ({"lost": 1}, {"acknowledged lost": 1}, {"cuts": 1}, {"stops over 30 s": 1}):
        assert not all(one.met for one in targets([*enough, Outcome("x", "", 1, Counter(counts))]))
    wrong = Outcome("crash", "", 2, violations=["fsck: symmetry: …"])
    assert [one.met for one in targets([*enough, wrong])].count(False) == 2


def test_the_table_has_a_row_for_each_target() -> None:
    assert len(table([]).splitlines()) == 2 + len(targets([]))


def test_who_comes_to_a_failpoint_says_so_once() -> None:
    failpoints.arm("after_accept:raise:2")
    try:
        with structlog.testing.capture_logs() as logged:
            failpoints.reached("after_publish")
            failpoints.reached("after_accept")
            assert logged == []
            with pytest.raises(failpoints.FailpointError):
                failpoints.reached("after_accept")
            failpoints.reached("after_accept")
    finally:
        failpoints.set_hook(None)
    [line] = logged
    assert (line["event"], line["place"]) == ("failpoint reached", "after_accept")


def test_a_process_that_ended_by_itself_is_not_taken_for_one_that_was_killed(
    tmp_path: Path,
) -> None:
    cluster = Cluster(tmp_path, "redis://127.0.0.1:1/0", "amqp://127.0.0.1:1/%2F")
    cluster.start("index-1", failpoint="nowhere:kill")
    eventually(lambda: not cluster.alive("index-1"), "it ends")
    assert not cluster.reached_failpoint("index-1")
    with pytest.raises(AssertionError, match="ended by itself, with 1"):
        cluster.kill("index-1")
