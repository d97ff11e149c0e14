"""What `make chaos` counts, keeps and does again."""

from collections import Counter
from pathlib import Path

from faults.book import Book, Outcome, table, targets
from faults.steps import ELSEWHERE, STEPS

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
    assert [one.seed for one in Book(file).outcomes] == [1, 2]


def test_targets_are_met_only_by_enough_without_a_loss() -> None:
    enough = [
        Outcome("steps", "worker", 1, Counter(kills=500, accepted=9000, stops=50)),
        Outcome("redis", "", 1, Counter({"redis kills": 100, "acknowledged": 2000})),
        Outcome("crash", "", 1, Counter(seconds=3600)),
        Outcome("cuts", "", 1, Counter({"cuts": 200, "cuts healed": 200})),
    ]
    assert all(one.met for one in targets(enough))
    for counts in ({"lost": 1}, {"acknowledged lost": 1}, {"cuts": 1}, {"stops over 30 s": 1}):
        assert not all(one.met for one in targets([*enough, Outcome("x", "", 1, Counter(counts))]))
    wrong = Outcome("crash", "", 2, violations=["fsck: symmetry: …"])
    assert [one.met for one in targets([*enough, wrong])].count(False) == 2


def test_the_table_has_a_row_for_each_target() -> None:
    assert len(table([]).splitlines()) == 2 + len(targets([]))
