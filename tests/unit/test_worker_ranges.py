"""A range of a reindex: exact matches whatever the index says, behind a fence."""

import contextlib
import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from histories import MODEL, Switch, add, erase
from worlds import REPLICATED, told

from facematch.errors import Rejected, Unavailable
from facematch.faces import FACES_PER_POSITION, Encodings, distances
from facematch.job import RangeMessage
from facematch.memory_reindexing import MemoryReindexing
from facematch.memory_store import MemoryStore
from facematch.neighbours import ExactNeighbours, Pairs, Query
from facematch.reindexing import Phase, Reindex
from facematch.store import Generation
from worker import ranges
from worker.fence import Fence
from worker.matching import find_matches
from worker.ranges import RangeParts, rebuild

THRESHOLD = 0.5
#: Images of one to three faces, of which many are about as far apart as the threshold.
_rng = np.random.default_rng(11)
IMAGES: list[Encodings] = [
    (_rng.normal(size=(1 + number % 3, 128)) * 0.0325).astype(np.float32) for number in range(24)
]


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.create(MODEL, 0.6)
    for number, encodings in enumerate(IMAGES):
        add(store, str(number), encodings)
    return store


@pytest.fixture
def parts(store: MemoryStore) -> RangeParts:
    return RangeParts(store, MemoryReindexing(store), ExactNeighbours(store))


def truth(gone: frozenset[int] = frozenset()) -> dict[int, dict[int, float]]:
    """The match sets of all images but those that are gone, by position."""
    found: dict[int, dict[int, float]] = {number + 1: {} for number in range(len(IMAGES))}
    for one, encodings in enumerate(IMAGES):
        for other in range(one):
            distance = float(distances(encodings, IMAGES[other]).min())
            if distance <= THRESHOLD and gone.isdisjoint((one + 1, other + 1)):
                found[one + 1][other + 1] = found[other + 1][one + 1] = told(distance)
    return found


def built(parts: RangeParts, made: Reindex) -> dict[int, dict[int, float]]:
    """The match sets after all ranges were worked on."""
    for first in parts.reindexing.due_ranges(1000, age=-1):
        assert rebuild(RangeMessage(made.id, first), parts) is not None
    about = parts.reindexing.current()
    assert about is not None
    assert about.phase is Phase.BUILT
    return parts.store.linked(range(1, len(IMAGES) + 1), made.generation)


def test_the_truth_has_pairs_and_lacks_some() -> None:
    pairs = sum(map(len, truth().values())) // 2
    assert 30 < pairs < len(IMAGES) * (len(IMAGES) - 1) / 2 - 30


@pytest.mark.parametrize("span", [1, 5, 1000])
@pytest.mark.parametrize("at_once", [1, 4, 1000])
@pytest.mark.parametrize("portion", [1, 7, 1000])
def test_all_ranges_together_make_the_true_match_sets(
    parts: RangeParts, monkeypatch: pytest.MonkeyPatch, span: int, at_once: int, portion: int
) -> None:
    monkeypatch.setattr(ranges, "_ENCODINGS_AT_ONCE", at_once)
    monkeypatch.setattr(ranges, "_PORTION", portion)
    monkeypatch.setattr(ranges, "RANGE_CHUNK", 3)
    made = parts.reindexing.begin(THRESHOLD, span=span)
    assert built(parts, made) == truth()


def test_an_image_told_by_its_first_face_alone_is_compared_as_a_whole(
    store: MemoryStore,
) -> None:
    class FirstFaces(ExactNeighbours):
        def pairs(self, query: Query) -> Pairs:
            found = super().pairs(query)
            return replace(found, faces=found.faces // FACES_PER_POSITION * FACES_PER_POSITION)

    parts = RangeParts(store, MemoryReindexing(store), FirstFaces(store))
    assert built(parts, parts.reindexing.begin(THRESHOLD)) == truth()


def test_an_approximate_answer_says_which_images_and_not_how_far_apart(
    store: MemoryStore,
) -> None:
    class Farthest(ExactNeighbours):
        """Of each pair of images, it finds the two faces that are the farthest apart."""

        def pairs(self, query: Query) -> Pairs:
            wide = super().pairs(replace(query, radius=THRESHOLD + 0.2))
            worst: dict[tuple[int, int], tuple[int, int]] = {}
            for number, face in zip(wide.numbers.tolist(), wide.faces.tolist(), strict=True):
                worst[number, face // FACES_PER_POSITION] = (number, face)
            numbers, faces = zip(*worst.values(), strict=True)
            return replace(wide, numbers=np.array(numbers), faces=np.array(faces), exact=False)

    parts = RangeParts(store, MemoryReindexing(store), Farthest(store))
    assert built(parts, parts.reindexing.begin(THRESHOLD)) == truth()


@pytest.mark.parametrize("most", [0, 5, 50])
def test_an_answer_that_would_be_too_large_is_asked_for_bit_by_bit(
    store: MemoryStore, most: int
) -> None:
    class Short(ExactNeighbours):
        def pairs(self, query: Query) -> Pairs:
            found = super().pairs(query)
            if len(found.faces) > most:
                raise Rejected("answer_too_large")
            return found

    parts = RangeParts(store, MemoryReindexing(store), Short(store))
    assert built(parts, parts.reindexing.begin(THRESHOLD)) == truth()


def test_what_is_erased_before_or_meanwhile_is_left_out(
    store: MemoryStore, parts: RangeParts
) -> None:
    erase(store, "3")
    made = parts.reindexing.begin(THRESHOLD, span=4)
    switch = Switch(store)
    # Between the answer of the index and the look at the faces that it names.
    switch.after["collection"] = lambda: erase(store, "5")
    switch.before["log"] = lambda: erase(store, "9")
    assert built(replace(parts, store=switch), made) == truth(frozenset({4, 6, 10}))


def test_jobs_are_given_way_before_each_piece_of_work(
    parts: RangeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "RANGE_CHUNK", 5)
    monkeypatch.setattr(ranges, "_ENCODINGS_AT_ONCE", 16)
    steps = list[str]()
    link, index = Switch(parts.reindexing), Switch(parts.neighbours)
    link.before["link"] = lambda: steps.append("link")
    made = parts.reindexing.begin(THRESHOLD)
    giving = replace(parts, reindexing=link, neighbours=index, give_way=lambda: steps.append("way"))
    built(giving, made)
    pairs = sum(map(len, truth().values())) // 2
    assert steps[0] == "way"
    assert steps.index("link") > 1
    assert steps.count("way") == index.calls["pairs"] + link.calls["link"] > pairs / 5


def test_a_range_without_an_image_is_done(store: MemoryStore, parts: RangeParts) -> None:
    for number in range(len(IMAGES)):
        erase(store, str(number))
    made = parts.reindexing.begin(THRESHOLD, span=5)
    assert built(parts, made) == truth(frozenset(range(1, len(IMAGES) + 1)))


def test_there_is_nothing_to_do_for_a_range_that_is_done_or_given_up(parts: RangeParts) -> None:
    made = parts.reindexing.begin(THRESHOLD, span=12)
    assert rebuild(RangeMessage(made.id, 1), parts) is not None
    assert rebuild(RangeMessage(made.id, 1), parts) is None
    assert rebuild(RangeMessage("another", 13), parts) is None
    parts.reindexing.pause(made.id)
    assert rebuild(RangeMessage(made.id, 13), parts) is None
    parts.reindexing.cancel(made.id)
    assert rebuild(RangeMessage(made.id, 13), parts) is None


def test_an_index_that_lacks_an_image_of_the_range_is_waited_for(
    store: MemoryStore, parts: RangeParts
) -> None:
    made = parts.reindexing.begin(THRESHOLD, span=12)
    behind = ExactNeighbours(store)
    behind.limit = 20
    lagging = replace(parts, neighbours=behind)
    assert rebuild(RangeMessage(made.id, 1), lagging) is not None
    with pytest.raises(Unavailable) as raised:
        rebuild(RangeMessage(made.id, 13), lagging)
    assert raised.value.code == "index_behind"
    behind.limit = 24
    assert built(lagging, made) == truth()


def test_an_approximate_answer_is_remembered(store: MemoryStore) -> None:
    class Approximate(ExactNeighbours):
        def pairs(self, query: Query) -> Pairs:
            return replace(super().pairs(query), exact=query.before != 25)

    parts = RangeParts(store, MemoryReindexing(store), Approximate(store))
    made = parts.reindexing.begin(THRESHOLD, span=8)
    built(parts, made)
    assert store.collection().generations[1] == Generation(made.generation, THRESHOLD, 17)


_Act = Callable[[], None]


def _losing(store: MemoryStore, number: int) -> tuple[_Act, _Act]:
    """(erases an image, takes the store back to before that)."""
    kept: dict[str, object] = {}

    def erase_it() -> None:
        kept.update(copy.deepcopy({n: v for n, v in vars(store).items() if n in REPLICATED}))
        erase(store, str(number))

    return erase_it, lambda: vars(store).update(copy.deepcopy(kept))


def _missing_in_the_range(erase_it: _Act, lose_it: _Act, store: Switch, link: Switch) -> None:
    store.before["faces_as_of"], store.after["faces_as_of"] = erase_it, lose_it


def _missing_near_it(erase_it: _Act, lose_it: _Act, store: Switch, link: Switch) -> None:
    def then() -> None:
        store.before["faces_as_of"], store.after["faces_as_of"] = erase_it, lose_it

    store.after["faces_as_of"] = then


def _missing_in_the_index(erase_it: _Act, lose_it: _Act, store: Switch, link: Switch) -> None:
    store.after["faces_as_of"] = erase_it
    store.before["log"] = lose_it


def _missing_until_it_is_written(
    erase_it: _Act, lose_it: _Act, store: Switch, link: Switch
) -> None:
    store.after["faces_as_of"] = erase_it
    link.before["link"] = lose_it


@pytest.mark.parametrize(
    "how",
    [_missing_in_the_range, _missing_near_it, _missing_in_the_index, _missing_until_it_is_written],
)
def test_an_erasure_that_is_lost_with_the_stores_tail_does_not_hide_an_image(
    store: MemoryStore, parts: RangeParts, how: Callable[[_Act, _Act, Switch, Switch], None]
) -> None:
    made = parts.reindexing.begin(THRESHOLD)
    erase_it, lose_it = _losing(store, 5)
    switch, link = Switch(store), Switch(parts.reindexing)
    how(erase_it, lose_it, switch, link)
    with contextlib.suppress(Unavailable):
        rebuild(RangeMessage(made.id, 1), replace(parts, store=switch, reindexing=link))
    assert not switch.before
    assert not switch.after
    assert not link.before
    assert store.faces([6])
    assert built(parts, made) == truth()


def test_nor_does_it_from_the_query_of_a_single_image(store: MemoryStore) -> None:
    erase_it, lose_it = _losing(store, 5)
    switch = Switch(store)
    switch.before["faces_as_of"], switch.after["faces_as_of"] = erase_it, lose_it
    found = find_matches(switch, ExactNeighbours(store), IMAGES[23], 24, THRESHOLD)
    assert 6 in truth()[24]
    assert 6 not in dict(found.pairs)
    # So a link behind this fence is refused, and the query repeated.
    assert store.log(found.seen.position, 0).start != found.seen


def test_a_log_that_moves_under_every_query_is_no_endless_loop(
    store: MemoryStore, parts: RangeParts
) -> None:
    made = parts.reindexing.begin(THRESHOLD)

    class Forger(MemoryReindexing):
        def link(self, link):  # type: ignore[no-untyped-def]
            return super().link(replace(link, seen=replace(link.seen, chain="0" * 40)))

    with pytest.raises(Unavailable) as raised:
        rebuild(RangeMessage(made.id, 1), replace(parts, reindexing=Forger(store)))
    assert raised.value.code == "index_diverged"


def test_a_fence_is_the_furthest_place_of_one_log(store: MemoryStore) -> None:
    first, second = (store.log(position, 0).start for position in (3, 7))
    assert first is not None
    assert second is not None
    fence = Fence(second)
    fence.add(first)
    assert fence.settle(store) == second
    fence.add(replace(first, chain="0" * 40))
    with pytest.raises(Unavailable) as raised:
        fence.settle(store)
    assert raised.value.code == "index_diverged"


def test_a_fence_that_rests_on_what_was_trimmed_is_no_fence() -> None:
    store = MemoryStore(log_keep=2)
    store.create(MODEL, 0.6)
    tails = []
    for number in range(5):
        add(store, str(number), IMAGES[number])
        tails.append(store.collection().tail)
    fence = Fence(tails[0])
    fence.add(tails[-1])
    with pytest.raises(Unavailable) as raised:
        fence.settle(store)
    assert raised.value.code == "index_behind"
