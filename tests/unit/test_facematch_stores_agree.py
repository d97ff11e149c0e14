"""The two stores, told the same, know the same of match sets: whatever the policy, with images
erased, chunks repeated, a reindex under way, and more matches than an image may have."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from submitting import MODEL, RATED, place
from turning import turn

from facematch import memory_store, redis_store
from facematch.faces import image_hash
from facematch.match_scores import codes_of
from facematch.memory_people import MemoryPeople
from facematch.memory_reindexing import MemoryReindexing
from facematch.memory_store import MemoryStore
from facematch.people import People
from facematch.redis_connection import connect
from facematch.redis_people import RedisPeople
from facematch.redis_reindexing import RedisReindexing
from facematch.redis_store import RedisStore
from facematch.reindexing import Matched, RangeLink, Reindexing
from facematch.store import Bounds, Committed, Cursor, Filter, Link, MatchPage, Store

BOUNDS = (
    Bounds(max_matches=2),
    Bounds(max_matches=1),
    Bounds(max_false_matches=1.5, max_matches=3),
    Bounds(max_false_matches=1, max_matches=None),
)
THRESHOLDS = (0.6, 0.3)
#: Rates that a few faces make the difference for, some of them twice.
CODES = (*codes_of([1, 1 / 2, 1 / 3, 1 / 5, 1 / 8, 1 / 13]).tolist(), 9000, 9000, 3000)
#: So many that the order of positions is not that of their texts.
FIRST = 8


@dataclass
class Side:
    store: Store
    reindexing: Reindexing
    people: People


class Pair:
    """Two stores that are told the same."""

    def __init__(self, sides: tuple[Side, Side], bounds: Bounds) -> None:
        self.sides = sides
        self.places: list[tuple[bytes, Committed]] = []
        self.offsets: dict[int, int] = {}
        self.erased: list[int] = []
        for side in sides:
            side.store.create(MODEL, 0.6, RATED, bounds)
        for number in range(FIRST):
            self.add(number)

    def add(self, number: int) -> None:
        data = b"%d" % len(self.places)
        first, second = (place(side.store, data, 1 + number % 2) for side in self.sides)
        assert first.position == second.position
        self.places.append((data, first))

    def link(self, number: int) -> None:
        """A chunk of what an image matches with, or all of it; now and then one again."""
        at = number % len(self.places)
        data, where = self.places[at]
        found = self.found(where.position)
        if number % 3:
            found.sort(key=lambda one: one[2])
        offset = self.offsets.get(at, 0)
        stop = len(found) if number % 2 else min(len(found), offset + 2)
        chunk = found[offset:stop]
        results = []
        for side in self.sides:
            nonce = side.store.image(image_hash(data)).nonce
            link = Link(
                *(image_hash(data), Committed(where.state, where.position, nonce)),
                *(side.store.collection().tail, "t", offset),
                *([one[:2] for one in chunk], stop == len(found)),
                codes=[one[2] for one in chunk],
                calibration=RATED,
            )
            results.append(side.store.link(link))
            if number % 5 == 0 and offset == 0:
                side.store.link(link)
        assert results[0] is results[1]
        self.offsets[at] = stop

    def found(self, position: int) -> list[tuple[int, float, int]]:
        """Whom an image matches: a third of those before it do not."""
        return [
            (other, (1 + (other * position) % 7) / 11, CODES[other * position % len(CODES)])
            for other in range(1, position)
            if (other + position) % 3
        ]

    def erase(self, number: int) -> None:
        data, where = self.places[number % len(self.places)]
        for side in self.sides:
            side.store.erase(image_hash(data))
        if where.position not in self.erased:
            self.erased.append(where.position)

    def unlink(self, number: int) -> None:
        if self.erased:
            for side in self.sides:
                side.store.unlink(self.erased[number % len(self.erased)])

    def reindex(self, number: int) -> None:
        for side in self.sides:
            about = side.reindexing.current()
            if about is None:
                bounds = BOUNDS[number // 2 % len(BOUNDS)]
                side.reindexing.begin(THRESHOLDS[number % 2], span=3, bounds=bounds)
            elif not turn(side.reindexing, about, ends=number % 11 == 0):
                self.build(side, about.id, 1 + 3 * (number % about.ranges))

    def build(self, side: Side, reindex: str, first: int) -> None:
        work = side.reindexing.take(reindex, first)
        if work is None:
            return
        rows = [(at, *one) for at in range(first, work.last + 1) for one in self.found(at) if at]
        pairs = Matched.of([row[:3] for row in rows], [row[3] for row in rows])
        seen = side.store.collection().tail
        for start in range(0, len(pairs), 2):
            chunk = pairs.part(start, start + 2)
            link = RangeLink(reindex, first, seen, "t", start, chunk, False, calibration=RATED)
            side.reindexing.link(link)
        last = RangeLink(
            reindex, first, seen, "t", len(pairs), Matched.of(()), True, calibration=RATED
        )
        side.reindexing.link(last)

    def check(self) -> None:
        """What there is to be seen when erasures have ended is the same, and mutual."""
        for side in self.sides:
            for position in side.store.erasing():
                while not side.store.unlink(position):
                    pass
        one, other = (self.seen(side) for side in self.sides)
        assert one == other

    def seen(self, side: Side) -> object:
        store = side.store
        live = [at.position for data, at in self.places if at.position not in self.erased]
        numbers = sorted(store.collection().numbers)
        scores = {}
        for number in numbers:
            kept = scores[number] = store.scores(live, number)
            for at, own in kept.items():
                assert all(kept[to][at] == score for to, score in own.items())
        limits = {number: store.limits(number) for number in numbers}
        assert all(own.keys() <= set(live) for own in limits.values())
        pages = [
            self.pages(store, data, only)
            for data, at in self.places
            if at.position in live
            for only in (
                Filter(),
                Filter(max_distance=0.3),
                Filter(max_false_matches=0.7),
                Filter(0.4, 2.0),
            )
        ]
        marks = [at for at in sorted(side.people.due(1000).marks) if at in live]
        return scores, limits, pages, marks

    def pages(self, store: Store, data: bytes, only: Filter) -> object:
        """All pages, two at a time, which together are those of one."""
        whole = store.matches(image_hash(data), 1000, only=only)
        found: list[object] = []
        cursor: Cursor | None = None
        page: MatchPage | None = None
        while page is None or cursor is not None:
            page = store.matches(image_hash(data), 2, cursor, only)
            found += page.matches
            cursor = page.next
        assert found == list(whole.matches)
        about = (whole.truncated, whole.bounds, whole.threshold, whole.chances, whole.exact)
        return about, whole.complete_through, [(m.position, m.score) for m in whole.matches]


History: TypeAlias = list[tuple[Callable[[Pair, int], None], int]]

ACTIONS = (
    *(Pair.link, Pair.link, Pair.link, Pair.link, Pair.add, Pair.reindex, Pair.reindex),
    *(Pair.erase, Pair.unlink, Pair.unlink),
)
steps = st.tuples(st.sampled_from(ACTIONS), st.integers(0, 1000))
quiet = [HealthCheck.too_slow, HealthCheck.data_too_large]


def test_what_both_stores_were_told_they_both_know(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (memory_store, redis_store):
        monkeypatch.setattr(module, "LINK_CHUNK", 2)
    client = connect(redis_url)

    @settings(max_examples=30, deadline=None, suppress_health_check=quiet)
    @given(st.sampled_from(BOUNDS), st.lists(steps, min_size=20, max_size=60))
    def agree(bounds: Bounds, history: History) -> None:
        client.flushall()
        memory = MemoryStore()
        pair = Pair(
            (
                Side(memory, MemoryReindexing(memory), MemoryPeople(memory)),
                Side(RedisStore(client), RedisReindexing(client), RedisPeople(client)),
            ),
            bounds,
        )
        for action, number in history:
            action(pair, number)
        pair.check()

    agree()
    client.close()
