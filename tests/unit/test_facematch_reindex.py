"""Driving a reindex, and comparing what it changed."""

import threading
from dataclasses import replace

import pytest
from histories import Switch
from submitting import MODEL, link, submit

from facematch import parity
from facematch.broker import MemoryBroker
from facematch.errors import Conflict
from facematch.faces import image_hash
from facematch.job import RangeMessage
from facematch.memory_reindexing import MemoryReindexing
from facematch.memory_store import MemoryStore
from facematch.parity import Parity, Sample, compare
from facematch.policy import PolicyChange
from facematch.reindex import begin_or_go_on, judge, publish_due, wait_until_built
from facematch.reindexing import Matched, Phase, RangeLink, Reindex
from facematch.store import Bounds, Linked

IMAGES = [b"a", b"b", b"c", b"d"]
PAIRS = [(2, 1, 0.3), (3, 1, 0.4), (3, 2, 0.55), (4, 3, 0.45)]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "_SETTLE_SECONDS", 0)
    monkeypatch.setattr("facematch.reindex._LOOK_SECONDS", 0.01)


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.create(MODEL, 0.6)
    for number, image in enumerate(IMAGES):
        place = submit(store, image)
        link(store, image, place, *[pair[1:] for pair in PAIRS if pair[0] == number + 1])
    return store


@pytest.fixture
def reindexing(store: MemoryStore) -> MemoryReindexing:
    return MemoryReindexing(store)


def silent(done: int, total: int) -> None:
    assert 0 <= done <= total


def build(
    store: MemoryStore,
    reindexing: MemoryReindexing,
    threshold: float,
    *pairs: tuple[int, int, float],
) -> Reindex:
    made = reindexing.begin(threshold)
    whole = RangeLink(made.id, 1, store.collection().tail, "t", 0, Matched.of(pairs), last=True)
    assert reindexing.link(whole) is Linked.DONE
    return replace(made, left=0, phase=Phase.BUILT)


def test_ranges_are_published_once_and_again_when_nobody_looks_after_them(
    reindexing: MemoryReindexing,
) -> None:
    broker = MemoryBroker()
    assert publish_due(reindexing, broker, 0) == 0
    made = reindexing.begin(0.5, span=2)
    assert publish_due(reindexing, broker, 30) == 2
    assert publish_due(reindexing, broker, 30) == 0
    assert publish_due(reindexing, broker, -1) == 2
    delivery = broker.receive(0)
    assert delivery is not None
    assert RangeMessage.decode(delivery.body) == RangeMessage(made.id, 1)


def test_no_more_is_published_than_the_queue_shall_hold(
    reindexing: MemoryReindexing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facematch.reindex.QUEUE_ENOUGH", 3)
    broker = MemoryBroker()
    reindexing.begin(0.5, span=1)
    assert publish_due(reindexing, broker, 30) == 3
    assert publish_due(reindexing, broker, -1) == 0


def test_one_that_is_there_is_gone_on_with(
    store: MemoryStore, reindexing: MemoryReindexing
) -> None:
    def ask(threshold: float | None = None, share: float | None = None) -> Reindex:
        return begin_or_go_on(store, reindexing, PolicyChange(threshold), share)

    made = ask(0.5, 0.25)
    assert (made.threshold, made.share) == (0.5, 0.25)
    assert ask() == ask(0.5) == made
    assert ask(share=1.0).id == made.id
    assert ask().share == 1.0
    with pytest.raises(Conflict, match=r"threshold 0\.5") as raised:
        ask(0.4)
    assert raised.value.code == "reindex_exists"
    reindexing.pause(made.id)
    with pytest.raises(Conflict, match="resume"):
        ask()
    reindexing.resume(made.id)
    tail = store.collection().tail
    reindexing.link(RangeLink(made.id, 1, tail, "t", 0, Matched.of(()), last=True))
    reindexing.switch(made.id)
    assert ask(0.5).phase is Phase.SWITCHED
    for other in (None, 0.6):
        with pytest.raises(Conflict, match="drop"):
            ask(other)
    reindexing.drop(made.id)
    again = ask()
    assert (again.threshold, again.share) == (0.5, 1.0)


def test_it_is_waited_for_with_its_progress(
    store: MemoryStore, reindexing: MemoryReindexing
) -> None:
    made = reindexing.begin(0.5, span=2)
    seen = list[tuple[int, int]]()

    def work() -> None:
        """Each time it is looked at, one range more is done."""
        for first in reindexing.due_ranges(1, age=-1):
            tail = store.collection().tail
            reindexing.link(RangeLink(made.id, first, tail, "t", 0, Matched.of(()), last=True))

    def progress(done: int, total: int) -> None:
        seen.append((done, total))

    assert wait_until_built(reindexing, made.id, work, progress).phase is Phase.BUILT
    assert seen == [(0, 4), (2, 4), (4, 4)]


def test_nobody_waits_for_one_that_was_given_up(reindexing: MemoryReindexing) -> None:
    made = reindexing.begin(0.5)
    threading.Timer(0.05, lambda: reindexing.cancel(made.id)).start()
    with pytest.raises(Conflict) as raised:
        wait_until_built(reindexing, made.id, lambda: None, silent)
    assert raised.value.code == "no_reindex"


def test_what_the_threshold_changes_is_expected(
    store: MemoryStore, reindexing: MemoryReindexing
) -> None:
    made = build(store, reindexing, 0.42, *PAIRS[:2])
    _, b, c, d = map(image_hash, IMAGES)
    lost = (Sample(c, b, 0.55), Sample(d, c, 0.45))
    expected = Parity(
        unchanged=2,
        moved=0,
        most_moved=0.0,
        gained=0,
        lost=2,
        unexpected=0,
        samples_gained=(),
        samples_lost=lost,
    )
    assert compare(store, made, silent) == expected
    assert expected.share_unexpected == 0
    reindexing.switch(made.id)
    reindexing.drop(made.id)
    made = build(store, reindexing, 0.6, *PAIRS)
    gained = replace(expected, lost=0, gained=2, samples_lost=(), samples_gained=lost)
    assert compare(store, made, silent) == gained


def test_any_other_change_is_not(store: MemoryStore, reindexing: MemoryReindexing) -> None:
    made = build(store, reindexing, 0.5, (2, 1, 0.3), (3, 1, 0.44), (4, 1, 0.2))
    found = compare(store, made, silent)
    assert (found.unchanged, found.moved, found.gained, found.lost) == (1, 1, 1, 2)
    assert found.most_moved == pytest.approx(0.04)
    # (3, 1) was moved, (4, 1) is new, (4, 3) is gone; (3, 2) was to go.
    assert found.unexpected == 3
    assert found.share_unexpected == pytest.approx(3 / 5)


def test_what_the_bounds_change_is_expected(
    store: MemoryStore, reindexing: MemoryReindexing
) -> None:
    store._links[0] = store.linked([1, 2, 3, 4], 0)
    store._generations[0] = replace(store._generations[0], scored=False)
    store._calibration = "dlib-1"
    made = reindexing.begin(0.6, bounds=Bounds(max_false_matches=1))
    # Of four faces up to code 15397.
    codes = [9000, 15_397, 15_398, 16_000]
    pairs = Matched.of(PAIRS, codes)
    whole = RangeLink(
        *(made.id, 1, store.collection().tail, "t", 0, pairs), last=True, calibration="dlib-1"
    )
    assert reindexing.link(whole) is Linked.DONE
    found = compare(store, made, silent)
    # What the former match sets do not know a rate of may have gone for it.
    assert (found.unchanged, found.lost, found.unexpected) == (2, 2, 0)
    reindexing.switch(made.id)
    reindexing.drop(made.id)

    made = reindexing.begin(0.6, bounds=Bounds(max_false_matches=1e-5))
    seen = store.collection().tail
    none = RangeLink(made.id, 1, seen, "t", 0, Matched.of(()), last=True, calibration="dlib-1")
    assert reindexing.link(none) is Linked.DONE
    # Of these bounds the one with code 9000 should be there still.
    found = compare(store, made, silent)
    assert (found.unchanged, found.lost, found.unexpected) == (0, 2, 1)


def test_what_was_left_out_for_better_matches_is_expected_to_be_gone(
    store: MemoryStore, reindexing: MemoryReindexing
) -> None:
    made = reindexing.begin(0.6, bounds=Bounds(max_matches=1))
    seen = store.collection().tail
    whole = RangeLink(made.id, 1, seen, "t", 0, Matched.of(PAIRS), last=True)
    assert reindexing.link(whole) is Linked.DONE
    found = compare(store, made, silent)
    assert (found.gained, found.unexpected) == (0, 0)
    assert found.lost > 0


def test_what_changes_while_it_is_looked_at_is_looked_at_again(
    store: MemoryStore, reindexing: MemoryReindexing
) -> None:
    made = build(store, reindexing, 0.6, *PAIRS)
    switch = Switch(store)
    place = submit(store, b"e")

    def between() -> None:
        """The former match sets were read without it, the new ones are read with it."""
        link(store, b"e", place, (1, 0.2))

    switch.after["scores"] = between
    found = compare(switch, made, silent)
    assert (found.unchanged, found.gained, found.unexpected) == (5, 0, 0)


@pytest.mark.parametrize("check", [True, False])
def test_the_switch_is_stopped_by_findings_or_by_changes(
    store: MemoryStore, reindexing: MemoryReindexing, check: bool
) -> None:
    # Nothing of this is true: all faces are the same here.
    made = build(store, reindexing, 0.6, *PAIRS[1:])

    def judged(most_change: float) -> str:
        outcome = judge(store, made, most_change, check=check, shown=lambda unit: silent)
        assert (outcome.fsck is not None) is check
        return outcome.stopped

    assert ("findings" if check else "25.00%") in judged(0.1)
    assert bool(judged(0.3)) is check


def test_what_an_approximate_index_missed_does_not_stop_it(
    store: MemoryStore, reindexing: MemoryReindexing
) -> None:
    made = reindexing.begin(0.6)
    tail = store.collection().tail
    link_all = RangeLink(made.id, 1, tail, "t", 0, Matched.of(()), last=True, exact=False)
    assert reindexing.link(link_all) is Linked.DONE
    outcome = judge(store, made, 1.0, check=True, shown=lambda unit: silent)
    assert outcome.fsck is not None
    kinds = {(found.invariant, found.generation) for found in outcome.fsck.findings}
    assert ("approximate", 1) in kinds
    assert ("completeness", 1) not in kinds
    assert outcome.stopped == ""
