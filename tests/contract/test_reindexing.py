"""One contract for a reindex: in memory, in Redis, in Valkey."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from submitting import MODEL, link, listed, submit

from facematch import memory_reindexing, redis_reindexing
from facematch.errors import Conflict, Unavailable
from facematch.faces import image_hash
from facematch.memory_reindexing import MemoryReindexing
from facematch.memory_store import MemoryStore
from facematch.redis_connection import connect
from facematch.redis_reindexing import RedisReindexing
from facematch.redis_store import RedisStore
from facematch.reindexing import Matched, Phase, RangeLink, Reindex, Reindexing
from facematch.store import Generation, Link, Linked, Store

IMAGES = [b"a", b"b", b"c"]
#: Every pair of the images at positions 1, 2 and 3.
PAIRS = [(2, 1, 0.3), (3, 1, 0.4), (3, 2, 0.55)]


@pytest.fixture(params=["memory", "redis", "valkey"])
def fresh(request: pytest.FixtureRequest) -> Iterator[tuple[Store, Reindexing]]:
    """A store without a collection."""
    if request.param == "memory":
        memory = MemoryStore()
        yield memory, MemoryReindexing(memory)
        return
    client = connect(request.getfixturevalue(f"{request.param}_url"))
    yield RedisStore(client), RedisReindexing(client)
    client.close()


@pytest.fixture
def store(fresh: tuple[Store, Reindexing]) -> Store:
    """Three images, all linked at the threshold 0.6."""
    store = fresh[0]
    store.create(MODEL, 0.6)
    for number, image in enumerate(IMAGES):
        place = submit(store, image)
        link(store, image, place, *[pair[1:] for pair in PAIRS if pair[0] == number + 1])
    return store


@pytest.fixture
def reindexing(fresh: tuple[Store, Reindexing]) -> Reindexing:
    return fresh[1]


def chunk(
    store: Store, made: Reindex, first: int, *pairs: tuple[int, int, float], offset: int = 0
) -> RangeLink:
    """All of a range's pairs, in one chunk."""
    seen = store.collection().tail
    return RangeLink(made.id, first, seen, "t", offset, Matched.of(pairs), last=True)


def build(store: Store, reindexing: Reindexing, threshold: float) -> Reindex:
    """A reindex in one range."""
    made = reindexing.begin(threshold)
    pairs = [pair for pair in PAIRS if pair[2] <= threshold]
    assert reindexing.link(chunk(store, made, 1, *pairs)) is Linked.DONE
    return made


def current(reindexing: Reindexing) -> Reindex:
    found = reindexing.current()
    assert found is not None
    return found


def test_a_second_generation_is_built_while_the_first_is_served(
    store: Store, reindexing: Reindexing
) -> None:
    assert reindexing.current() is None
    made = reindexing.begin(0.5, share=0.25, span=2)
    assert made == current(reindexing)
    assert (made.phase, made.generation, made.threshold) == (Phase.BUILDING, 1, 0.5)
    assert (made.former, made.former_threshold, made.base) == (0, 0.6, 3)
    assert (made.span, made.ranges, made.left, made.share) == (2, 2, 2, 0.25)
    collection = store.collection()
    assert (collection.threshold, collection.reach, collection.numbers) == (0.6, 0.6, {0, 1})
    assert collection.generations[1] == Generation(1, 0.5, building_to=3)

    one, other = (reindexing.take(made.id, first) for first in (1, 3))
    assert one is not None
    assert other is not None
    assert [(one.first, one.last), (other.first, other.last)] == [(1, 2), (3, 3)]
    assert (one.reindex, one.threshold, one.share) == (made.id, 0.5, 0.25)
    assert reindexing.link(chunk(store, made, 3, (3, 1, 0.4))) is Linked.DONE
    assert (current(reindexing).phase, current(reindexing).left) == (Phase.BUILDING, 1)
    assert reindexing.link(chunk(store, made, 1, (2, 1, 0.3))) is Linked.DONE
    assert (current(reindexing).phase, current(reindexing).left) == (Phase.BUILT, 0)

    assert store.collection().generations[1] == Generation(1, 0.5)
    assert store.linked([1, 2, 3], 1) == {1: {2: 0.3, 3: 0.4}, 2: {1: 0.3}, 3: {1: 0.4}}
    assert store.linked([3], 0) == {3: {1: 0.4, 2: 0.55}}
    assert listed(store, b"c") == [(image_hash(b"a"), 0.4), (image_hash(b"b"), 0.55)]


def test_the_switch_changes_what_is_served_and_the_rollback_changes_it_back(
    store: Store, reindexing: Reindexing
) -> None:
    made = build(store, reindexing, 0.5)
    for _ in range(2):  # each may be said again
        reindexing.switch(made.id)
        assert current(reindexing).phase is Phase.SWITCHED
        assert store.collection().threshold == 0.5
        page = store.matches(image_hash(b"c"), 10)
        assert (page.threshold, [match.position for match in page.matches]) == (0.5, [1])
    for _ in range(2):
        reindexing.rollback(made.id)
        assert current(reindexing).phase is Phase.BUILT
        page = store.matches(image_hash(b"c"), 10)
        assert (page.threshold, [match.position for match in page.matches]) == (0.6, [1, 2])
    assert store.linked([3], 1) == {3: {1: 0.4}}


@pytest.mark.parametrize("switched", [False, True])
def test_the_end_gives_up_what_is_not_served(
    store: Store, reindexing: Reindexing, switched: bool
) -> None:
    made = build(store, reindexing, 0.5)
    end, other_end = reindexing.cancel, reindexing.drop
    if switched:
        reindexing.switch(made.id)
        end, other_end = other_end, end
    served = store.matches(image_hash(b"c"), 10)
    with pytest.raises(Conflict) as raised:
        other_end(made.id)
    assert raised.value.code == "reindex_phase"
    end(made.id)
    assert reindexing.current() is None
    kept = Generation(1, 0.5) if switched else Generation(0, 0.6)
    assert store.collection().generations == (kept,)
    while not reindexing.drop_some():
        pass
    given_up = 0 if switched else 1
    assert store.linked([1, 2, 3], given_up) == {1: {}, 2: {}, 3: {}}
    assert store.matches(image_hash(b"c"), 10) == served
    with pytest.raises(Conflict) as raised:
        end("another")
    assert raised.value.code == "no_reindex"
    end(made.id)  # said again, because the first answer was lost
    assert reindexing.begin(0.6).generation == 2


def test_match_sets_are_forgotten_in_portions(
    store: Store, reindexing: Reindexing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_reindexing, "_DROPPED_AT_ONCE", 2)
    made = build(store, reindexing, 0.6)
    submit(store, b"d")
    reindexing.cancel(made.id)
    for _ in range(10):
        if reindexing.drop_some():
            break
    assert reindexing.drop_some()
    assert store.linked([1, 2, 3], 1) == {1: {}, 2: {}, 3: {}}
    assert store.linked([1], 0) == {1: {2: 0.3, 3: 0.4}}


def test_there_is_one_reindex_at_a_time(store: Store, reindexing: Reindexing) -> None:
    made = build(store, reindexing, 0.5)
    for _ in range(2):
        with pytest.raises(Conflict) as raised:
            reindexing.begin(0.4)
        assert raised.value.code == "reindex_exists"
        reindexing.switch(made.id)
    assert store.collection().numbers == {0, 1}


def test_no_phase_is_passed_over(store: Store, reindexing: Reindexing) -> None:
    made = reindexing.begin(0.5)
    for early in (reindexing.switch, reindexing.rollback):
        with pytest.raises(Conflict) as raised:
            early(made.id)
        assert raised.value.code == "reindex_phase"
    reindexing.link(chunk(store, made, 1))
    for late in (reindexing.pause, reindexing.resume):
        with pytest.raises(Conflict, match="built"):
            late(made.id)
    for call in (reindexing.switch, reindexing.pause, reindexing.resume, reindexing.rollback):
        with pytest.raises(Conflict) as raised:
            call("another")
        assert raised.value.code == "no_reindex"


def test_nothing_is_begun_while_it_is_paused(store: Store, reindexing: Reindexing) -> None:
    made = reindexing.begin(0.5, span=1)
    assert len(reindexing.due_ranges(10, age=0)) == 3
    reindexing.pause(made.id)
    assert current(reindexing).phase is Phase.PAUSED
    assert reindexing.due_ranges(10, age=-1) == []
    assert reindexing.take(made.id, 1) is None
    # What was begun before is finished.
    assert reindexing.link(chunk(store, made, 1)) is Linked.DONE
    reindexing.resume(made.id, 0.5)
    assert (current(reindexing).phase, current(reindexing).share) == (Phase.BUILDING, 0.5)
    assert sorted(reindexing.due_ranges(10, age=5)) == [2, 3]
    reindexing.resume(made.id, 1.0)
    assert current(reindexing).share == 1.0
    assert reindexing.due_ranges(10, age=5) == []


def test_ranges_are_handed_out_again_when_nobody_looks_after_them(
    store: Store, reindexing: Reindexing
) -> None:
    made = reindexing.begin(0.5, span=1)
    assert len(reindexing.due_ranges(2, age=60)) == 2
    assert len(reindexing.due_ranges(5, age=60)) == 1
    assert reindexing.due_ranges(5, age=60) == []
    assert sorted(reindexing.due_ranges(5, age=-1)) == [1, 2, 3]
    assert reindexing.take(made.id, 2) is not None
    assert reindexing.take(made.id, 4) is None
    assert reindexing.take("another", 2) is None
    reindexing.link(chunk(store, made, 2))
    assert reindexing.take(made.id, 2) is None
    assert sorted(reindexing.due_ranges(5, age=-1)) == [1, 3]


def test_the_chunks_of_one_attempt_go_together(store: Store, reindexing: Reindexing) -> None:
    made = reindexing.begin(0.6)
    whole = chunk(store, made, 1, *PAIRS)

    def part(token: str, offset: int, last: bool) -> Linked:
        pairs = Matched.of(PAIRS[offset : offset + 1])
        return reindexing.link(replace(whole, token=token, offset=offset, pairs=pairs, last=last))

    assert part("t", 1, False) is Linked.SUPERSEDED
    assert part("t", 0, False) is Linked.WRITTEN
    assert part("t", 2, True) is Linked.SUPERSEDED
    assert part("u", 0, False) is Linked.WRITTEN
    assert part("t", 1, False) is Linked.SUPERSEDED
    assert part("u", 1, False) is Linked.WRITTEN
    assert part("u", 2, True) is Linked.DONE
    assert part("u", 2, True) is Linked.DONE
    assert reindexing.link(whole) is Linked.DONE
    assert store.linked([1, 2, 3], 1) == store.linked([1, 2, 3], 0)


def test_a_range_behind_another_log_is_refused(store: Store, reindexing: Reindexing) -> None:
    made = reindexing.begin(0.6)
    good = chunk(store, made, 1, *PAIRS)
    forged = replace(good, seen=replace(good.seen, chain="0" * 40))
    assert reindexing.link(forged) is Linked.MOVED
    assert reindexing.link(replace(good, reindex="another")) is Linked.GONE
    assert store.linked([1], 1) == {1: {}}
    submit(store, b"d")
    assert reindexing.link(good) is Linked.DONE


def test_what_is_linked_meanwhile_is_linked_in_both(store: Store, reindexing: Reindexing) -> None:
    reindexing.begin(0.7)
    link(store, b"d", submit(store, b"d"), (1, 0.45), (2, 0.55), (3, 0.65))
    assert store.linked([4], 0) == {4: {1: 0.45, 2: 0.55}}
    assert store.linked([4], 1) == {4: {1: 0.45, 2: 0.55, 3: 0.65}}
    assert store.linked([3], 1) == {3: {4: 0.65}}


def test_what_is_erased_is_erased_in_both(store: Store, reindexing: Reindexing) -> None:
    made = reindexing.begin(0.6)
    late = chunk(store, made, 1, *PAIRS)
    gone = store.erase(image_hash(b"a"))
    assert reindexing.link(late) is Linked.DONE
    assert store.linked([1, 2, 3], 1) == {1: {}, 2: {3: 0.55}, 3: {2: 0.55}}
    also_gone = store.erase(image_hash(b"b"))
    for erased in (gone, also_gone):
        while not store.unlink(erased.position):
            pass
    for generation in (0, 1):
        assert store.linked([1, 2, 3], generation) == {1: {}, 2: {}, 3: {}}
    assert store.erasing() == []


def test_a_range_that_may_lack_matches_says_so(store: Store, reindexing: Reindexing) -> None:
    made = reindexing.begin(0.6, span=2)
    assert reindexing.link(replace(chunk(store, made, 3), exact=False)) is Linked.DONE
    assert reindexing.link(chunk(store, made, 1)) is Linked.DONE
    assert [one.approximate_since for one in store.collection().generations] == [None, 3]
    assert store.matches(image_hash(b"a"), 10).exact
    reindexing.switch(made.id)
    assert not store.matches(image_hash(b"a"), 10).exact


def test_an_empty_collection_is_built_at_once(fresh: tuple[Store, Reindexing]) -> None:
    store, reindexing = fresh
    with pytest.raises(Unavailable):
        reindexing.begin(0.5)
    store.create(MODEL, 0.6)
    made = reindexing.begin(0.5)
    assert (made.phase, made.ranges, made.left) == (Phase.BUILT, 0, 0)
    reindexing.switch(made.id)
    assert store.collection().generations == (Generation(1, 0.5), Generation(0, 0.6))


def test_a_large_collection_has_larger_ranges(
    store: Store, reindexing: Reindexing, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (redis_reindexing, memory_reindexing):
        monkeypatch.setattr(module, "MOST_RANGES", 2)
    made = reindexing.begin(0.5, span=1)
    assert (made.base, made.span, made.ranges) == (3, 2, 2)
    found = reindexing.take(made.id, 3)
    assert found is not None
    assert (found.first, found.last) == (3, 3)


@pytest.mark.parametrize("threshold", [float("nan"), float("inf"), 0.0, -1.0])
def test_what_is_no_threshold_is_refused(
    store: Store, reindexing: Reindexing, threshold: float
) -> None:
    with pytest.raises(ValueError, match="threshold"):
        reindexing.begin(threshold)
    assert reindexing.current() is None


@pytest.mark.parametrize("share", [float("nan"), 0.0, -1.0, 1.1])
def test_what_is_no_share_is_refused(store: Store, reindexing: Reindexing, share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        reindexing.begin(0.5, share)


def test_what_looked_less_far_than_the_new_match_sets_is_linked_anew(
    store: Store, reindexing: Reindexing
) -> None:
    place = submit(store, b"d")
    early = Link(
        *(image_hash(b"d"), place, store.collection().tail, "t", 0, [(1, 0.5)]),
        last=True,
        reach=0.6,
    )
    reindexing.begin(0.7)
    assert store.link(early) is Linked.MOVED
    assert store.link(replace(early, reach=0.7)) is Linked.DONE


def test_a_range_in_hand_is_not_handed_out_again(store: Store, reindexing: Reindexing) -> None:
    made = reindexing.begin(0.5, span=2)
    assert len(reindexing.due_ranges(5, age=0)) == 2
    reindexing.hold("another", 1)
    reindexing.hold(made.id, 1)
    reindexing.hold(made.id, 2)  # there is no such range
    assert current(reindexing).left == 2


def test_images_are_known_by_their_positions(store: Store) -> None:
    store.erase(image_hash(b"b"))
    expected = {1: image_hash(b"a"), 3: image_hash(b"c")}
    assert store.images_at([1, 2, 3, 9]) == expected
    assert store.images_at([]) == {}
