"""One contract for what a match set takes: in memory, in Redis, in Valkey."""

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
from submitting import MODEL, RATED, place, rated, submit

from facematch.errors import Conflict
from facematch.faces import image_hash
from facematch.match_scores import UNRATED, most_code, rate_of, scores_of
from facematch.memory_reindexing import MemoryReindexing
from facematch.memory_store import MemoryStore
from facematch.redis_connection import connect
from facematch.redis_reindexing import RedisReindexing
from facematch.redis_store import RedisStore
from facematch.reindexing import Matched, RangeLink, Reindexing
from facematch.store import (
    NO_BOUNDS,
    Bounds,
    Chances,
    Committed,
    Filter,
    Generation,
    Link,
    Linked,
    State,
    Store,
)

NAMES = [b"a", b"b", b"c", b"d", b"e", b"f"]


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
    return fresh[0]


@pytest.fixture
def reindexing(fresh: tuple[Store, Reindexing]) -> Reindexing:
    return fresh[1]


def filled(store: Store, bounds: Bounds, *codes: int) -> list[Committed]:
    """Images each of which matches the first one, with these codes; all are done."""
    store.create(MODEL, 0.6, RATED, bounds)
    places = [place(store, NAMES[0])]
    rated(store, NAMES[0], places[0])
    for data, code in zip(NAMES[1:], codes, strict=False):
        places.append(place(store, data))
        assert rated(store, data, places[-1], (1, 0.5, code)) is Linked.DONE
    return places


def listed(store: Store, data: bytes = NAMES[0], only: Filter | None = None) -> list[int]:
    page = store.matches(image_hash(data), 100, only=only or Filter())
    return [match.position for match in page.matches]


def test_a_match_has_its_rate_and_the_most_certain_come_first(store: Store) -> None:
    filled(store, Bounds(), 9000, 3000, 9000, 12_000)
    assert listed(store) == [3, 2, 4, 5]
    page = store.matches(image_hash(NAMES[0]), 100)
    assert [match.false_match_rate for match in page.matches] == [
        rate_of(code) for code in (3000, 9000, 9000, 12_000)
    ]
    assert [match.score for match in page.matches] == [
        float(scores_of(code, 0.5)) for code in (3000, 9000, 9000, 12_000)
    ]
    assert store.linked([1], 0) == {1: dict.fromkeys((2, 3, 4, 5), 0.5)}
    assert store.scores([3], 0) == {3: {1: float(scores_of(3000, 0.5))}}
    assert (page.threshold, page.bounds, page.truncated) == (0.6, Bounds(), False)


def test_pages_go_on_behind_the_last_match_whatever_the_order_of_distances(store: Store) -> None:
    store.create(MODEL, 0.6, RATED)
    places = [place(store, b"%d" % number) for number in range(30)]
    pairs = [(at.position, (at.position * 7 % 29) / 50, at.position % 4) for at in places[:-1]]
    rated(store, b"29", places[-1], *pairs)
    expected = [p for p, _, _ in sorted(pairs, key=lambda one: (one[2], one[1], str(one[0])))]
    seen: list[int] = []
    cursor = None
    while True:
        page = store.matches(image_hash(b"29"), 4, cursor)
        seen += [match.position for match in page.matches]
        cursor = page.next
        if cursor is None:
            break
    assert seen == expected


def test_without_a_calibration_no_rate_is_known_of(store: Store) -> None:
    store.create(MODEL, 0.6)
    first, second = submit(store, b"a"), submit(store, b"b")
    tail = store.collection().tail
    store.link(Link(image_hash(b"b"), second, tail, "t", 0, [(first.position, 0.5)], last=True))
    store.link(Link(image_hash(b"a"), first, tail, "t", 0, (), last=True))
    page = store.matches(image_hash(b"a"), 10)
    assert [match.false_match_rate for match in page.matches] == [None]
    assert page.chances is None
    assert listed(store, b"a", Filter(max_distance=0.5)) == [2]
    assert listed(store, b"a", Filter(max_distance=0.49)) == []
    with pytest.raises(Conflict) as raised:
        store.matches(image_hash(b"a"), 10, only=Filter(max_false_matches=1))
    assert raised.value.code == "no_rates"


def test_what_has_no_rates_where_there_are_some_is_linked_anew(store: Store) -> None:
    places = filled(store, Bounds(), 9000)
    late = place(store, b"late")
    tail = store.collection().tail
    unrated = Link(image_hash(b"late"), late, tail, "t", 0, [(1, 0.5)], last=True)
    assert store.link(unrated) is Linked.MOVED
    assert store.image(image_hash(b"late")).state is State.INDEXED
    assert rated(store, b"late", late, (1, 0.5, 9000)) is Linked.DONE
    assert listed(store) == [places[1].position, late.position]


def test_what_was_looked_for_less_far_than_a_match_set_goes_is_linked_anew(store: Store) -> None:
    filled(store, Bounds(max_false_matches=1), 9000)
    late = place(store, b"late")
    most = int(most_code(1, 3))
    assert rated(store, b"late", late, codes_to=most - 1) is Linked.MOVED
    assert rated(store, b"late", late, codes_to=most) is Linked.DONE


def test_a_match_is_kept_by_the_faces_there_were_and_listed_by_those_there_are(
    store: Store,
) -> None:
    # Of 2, 3, 4 and 5 faces the highest codes are 15698, 15522, 15397 and 15301.
    filled(store, Bounds(max_false_matches=1), 15_698, 15_523, 15_301, 15_301)
    assert set(store.scores([1], 0)[1]) == {2, 4, 5}
    assert listed(store) == [4, 5]
    more = place(store, b"more", faces=3)
    assert rated(store, b"more", more) is Linked.DONE
    assert listed(store) == []
    assert listed(store, NAMES[4]) == []
    store.erase(image_hash(b"more"))
    # Faces that are gone count: what was left out for them meanwhile does not come back.
    assert listed(store) == []


def test_the_order_of_arrival_does_not_tell_what_is_listed(store: Store) -> None:
    code = int(most_code(1, 4))
    filled(store, Bounds(max_false_matches=1), code, code, code + 1)
    assert listed(store) == [2, 3]
    assert set(store.scores([1], 0)[1]) == {2, 3}


def test_filters_leave_out_what_is_not_asked_for(store: Store) -> None:
    store.create(MODEL, 0.6, RATED)
    places = [place(store, data) for data in NAMES]
    pairs = [
        (1, 0.2, 15_900),
        (2, 0.3, 15_000),
        (3, 0.4, 14_000),
        (4, 0.55, 9000),
        (5, 0.1, 15_221),
    ]
    rated(store, NAMES[5], places[5], *pairs)
    for data, at in zip(NAMES[:5], places, strict=False):
        rated(store, data, at)

    def shown(distance: float | None = None, false: float | None = None) -> list[int]:
        return listed(store, NAMES[5], Filter(distance, false))

    assert shown() == [4, 3, 2, 5, 1]
    assert shown(0.4) == [3, 2, 5, 1]
    assert shown(0.399999) == [2, 5, 1]
    # With six faces, one false match is a rate of a sixth: code 15221.
    assert shown(false=1) == [4, 3, 2, 5]
    assert shown(false=0.99) == [4, 3, 2]
    assert shown(0.3, 1) == [2, 5]
    assert shown(false=1e-9) == []
    assert shown(false=6) == [4, 3, 2, 5, 1]
    page = store.matches(image_hash(NAMES[5]), 1, only=Filter(0.3, 1))
    assert page.next is not None
    rest = store.matches(image_hash(NAMES[5]), 10, page.next, Filter(0.3, 1))
    assert ([match.position for match in rest.matches], rest.next) == ([5], None)


def test_a_page_says_what_the_false_matches_to_be_expected_follow_from(store: Store) -> None:
    store.create(MODEL, 0.6, RATED)
    places = [place(store, NAMES[0], faces=2), place(store, NAMES[1], faces=3)]
    assert store.matches(image_hash(NAMES[0]), 1).chances == Chances(
        RATED, ((0.5, 0.125), (0.5, 0.125)), size=5, others=3
    )
    for data, at in zip(NAMES, places, strict=False):
        rated(store, data, at)
    store.erase(image_hash(NAMES[1]))
    chances = store.matches(image_hash(NAMES[0]), 1).chances
    assert chances is not None
    assert (chances.size, chances.others) == (5, 0)
    assert store.matches(image_hash(NAMES[1]), 1).chances is None


def test_of_too_many_matches_the_least_certain_goes_from_both_images(store: Store) -> None:
    filled(store, Bounds(max_matches=2), 5000, 7000, 6000)
    assert listed(store) == [2, 4]
    assert store.scores([1, 2, 3, 4], 0) == {
        1: {2: float(scores_of(5000, 0.5)), 4: float(scores_of(6000, 0.5))},
        2: {1: float(scores_of(5000, 0.5))},
        3: {},
        4: {1: float(scores_of(6000, 0.5))},
    }
    assert store.limits(0) == {1: float(scores_of(7000, 0.5)), 3: math.inf}
    said = [store.matches(image_hash(data), 10).truncated for data in NAMES[:4]]
    assert said == [True, False, True, False]
    # What is no better than what was left out is left out, too; and what is better is not.
    for data, code in ((NAMES[4], 7000), (NAMES[5], 1000)):
        at = place(store, data)
        assert rated(store, data, at, (1, 0.5, code)) is Linked.DONE
    assert listed(store) == [6, 2]
    assert store.limits(0) == {
        1: float(scores_of(6000, 0.5)),
        **dict.fromkeys((3, 4, 5), math.inf),
    }


def test_an_image_that_brings_too_many_matches_keeps_the_most_certain(store: Store) -> None:
    store.create(MODEL, 0.6, RATED, Bounds(max_matches=2))
    places = [place(store, data) for data in NAMES]
    codes = (4000, 2000, 5000, 1000, 3000)
    pairs = [(at.position, 0.5, code) for at, code in zip(places, codes, strict=False)]
    assert rated(store, NAMES[5], places[5], *pairs) is Linked.DONE
    assert listed(store, NAMES[5]) == [4, 2]
    assert store.limits(0) == {6: float(scores_of(3000, 0.5)), **dict.fromkeys((1, 3, 5), math.inf)}
    assert store.scores([1, 3, 5], 0) == {1: {}, 3: {}, 5: {}}


def test_what_was_left_out_is_forgotten_with_an_erased_image(store: Store) -> None:
    filled(store, Bounds(max_matches=1), 5000, 4000)
    assert set(store.limits(0)) == {1, 2}
    store.erase(image_hash(NAMES[0]))
    while not store.unlink(1):
        pass
    assert store.limits(0) == {2: math.inf}
    assert store.scores([1, 2, 3], 0) == {1: {}, 2: {}, 3: {}}


def test_a_reindex_has_bounds_of_its_own(store: Store, reindexing: Reindexing) -> None:
    filled(store, NO_BOUNDS, 15_698, 15_000, 15_400, 14_000)
    bounds = Bounds(max_false_matches=1, max_matches=2)
    made = reindexing.begin(0.6, bounds=bounds)
    assert (made.bounds, made.former_bounds) == (bounds, NO_BOUNDS)
    assert store.collection().generations[1] == Generation(1, 0.6, building_to=5, bounds=bounds)
    work = reindexing.take(made.id, 1)
    assert work is not None
    assert (work.scored, work.max_false_matches) == (True, 1)

    pairs = [(at, 1, 0.5) for at in (2, 3, 4, 5)]
    codes = [15_698, 15_000, 15_400, 14_000]
    tail = store.collection().tail
    link = RangeLink(made.id, 1, tail, "t", 0, Matched.of(pairs, codes), last=True)
    assert reindexing.link(link) is Linked.MOVED
    assert reindexing.link(replace(link, calibration=RATED)) is Linked.DONE
    # 4 had come with one face too many, and 2 is the least certain.
    assert set(store.scores([1], 1)[1]) == {3, 5}
    assert set(store.scores([1], 0)[1]) == {2, 3, 4, 5}
    assert store.limits(1) == {1: float(scores_of(15_698, 0.5)), 2: math.inf}
    reindexing.switch(made.id)
    assert store.matches(image_hash(NAMES[0]), 10).bounds == bounds
    reindexing.rollback(made.id)
    reindexing.cancel(made.id)
    while not reindexing.drop_some():
        pass
    assert store.limits(1) == {}
    assert store.collection().generations == (Generation(0, 0.6, bounds=NO_BOUNDS),)


def test_without_a_calibration_false_matches_cannot_be_bounded(
    store: Store, reindexing: Reindexing
) -> None:
    store.create(MODEL, 0.6)
    with pytest.raises(Conflict) as raised:
        reindexing.begin(0.6, bounds=Bounds(max_false_matches=1))
    assert raised.value.code == "no_rates"
    assert reindexing.begin(0.6, bounds=Bounds(max_matches=3)).bounds == Bounds(max_matches=3)


@pytest.mark.parametrize("false", [0.0, -1.0, math.nan, math.inf])
def test_what_is_no_bound_is_refused(false: float) -> None:
    with pytest.raises(ValueError, match="false"):
        Bounds(max_false_matches=false)
    with pytest.raises(ValueError, match="matches"):
        Bounds(max_matches=0)


def test_how_sure_a_match_must_be_where_there_is_no_room_is_told(store: Store) -> None:
    filled(store, Bounds(max_matches=2), 9000, 3000, 5000)
    pages = [store.matches(image_hash(data), 1) for data in NAMES[:3]]
    assert [page.truncated for page in pages] == [True, True, False]
    told = [page.chances.codes_to for page in pages if page.chances]
    assert told == [9000, UNRATED, UNRATED]


def test_what_an_image_has_no_room_for_takes_nothing_from_others(store: Store) -> None:
    places = filled(store, Bounds(max_matches=1), 9000)
    for data in NAMES[2:4]:
        places.append(place(store, data))
    assert rated(store, NAMES[2], places[2]) is Linked.DONE
    assert rated(store, NAMES[3], places[3], (3, 0.5, 3000), (1, 0.5, 8000)) is Linked.DONE
    assert [listed(store, data) for data in NAMES[:4]] == [[2], [1], [4], [3]]
    assert store.limits(0) == {1: math.inf, 4: float(scores_of(8000, 0.5))}
