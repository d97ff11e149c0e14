"""fsck finds each kind of damage, and nothing where there is none."""

import math
from dataclasses import replace

import numpy as np
import pytest
from interleaving import Crash
from worlds import HASHES, World, code_of, distance_of

from facematch import failpoints, fsck, fsck_faces, fsck_sets
from facematch.errors import Unavailable
from facematch.faces import pack_encodings
from facematch.log import Tail
from facematch.match_scores import scores_of
from facematch.memory_store import MemoryStore
from facematch.store import NO_BOUNDS, Bounds, Generation
from facematch.stored_faces import StoredFaces
from worker.pipeline import process


@pytest.fixture
def store() -> MemoryStore:
    """Pictures 0, 1 and 2 match each other and 4; 3 matches 4; in the order of their numbers."""
    store = MemoryStore()
    world = World(store)
    for picture in range(5):
        world.submit(picture)
        process(world.jobs[-1], world.parts[0])
    return store


def found(store: MemoryStore) -> set[str]:
    return {finding.invariant for finding in fsck.run(store).findings}


def test_a_sound_collection_has_no_findings(store: MemoryStore) -> None:
    report = fsck.run(store)
    assert report.findings == ()
    assert (report.images, report.faces, report.pairs) == (5, 6, 15)
    assert report.matches == 7
    assert report.unfinished == 0


def test_blocks_of_any_size_find_the_same(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fsck.run(store)
    monkeypatch.setattr(fsck_faces, "_BLOCK", 2)
    monkeypatch.setattr(fsck_faces, "_PORTION", 1)
    monkeypatch.setattr(fsck_faces, "_COMPARED", 1)
    monkeypatch.setattr(fsck_sets, "_PORTION", 1)
    monkeypatch.setattr(fsck, "_PORTION", 1)
    assert fsck.run(store) == whole


def bounded(store: MemoryStore, bounds: Bounds) -> None:
    """From now on the policy says so, too."""
    store._generations[0] = replace(store._generations[0], bounds=bounds)


def drop(store: MemoryStore, one: int, other: int) -> float:
    """Take a pair out; its score."""
    del store._links[0][one][other]
    return store._links[0][other].pop(one)


def test_what_was_left_out_for_better_matches_need_not_be_there(store: MemoryStore) -> None:
    bounded(store, Bounds(max_matches=4))
    score = drop(store, 2, 3)
    store._limits[0] = {2: score, 3: math.inf}
    assert found(store) == set()
    store._limits[0] = {2: score + 1, 3: math.inf}
    assert found(store) == {"completeness"}
    store._limits[0] = {2: score}
    assert found(store) == {"bounds"}
    store._limits[0] = {2: score, 3: min(store._links[0][3].values())}
    assert found(store) == {"bounds"}


def test_what_an_approximate_index_did_not_find_need_not_be_said_to_be_left_out(
    store: MemoryStore,
) -> None:
    bounded(store, Bounds(max_matches=4))
    store._limits[0] = {2: drop(store, 2, 3)}
    store._generations[0] = replace(store._generations[0], approximate_since=3)
    assert found(store) == {"approximate"}
    store._limits[0][3] = math.inf
    assert found(store) == set()


def test_more_matches_than_are_kept_are_found(store: MemoryStore) -> None:
    bounded(store, Bounds(max_matches=4))
    assert found(store) == set()
    bounded(store, Bounds(max_matches=3))
    assert found(store) == {"bounds"}


def test_what_is_not_sure_enough_may_not_be_there_and_what_is_must(store: MemoryStore) -> None:
    # With threshold 2.5 the strangers match, too, if so many may be false.
    store._generations[0] = replace(
        store._generations[0], threshold=2.5, bounds=Bounds(max_false_matches=100)
    )
    assert found(store) == {"completeness"}
    bounded(store, Bounds(max_false_matches=1e-6))
    assert found(store) == set()
    for other in (1, 2, 3):
        code = code_of(3, other - 1)
        score = float(scores_of(code, distance_of(3, other - 1)))
        store._links[0][4][other] = store._links[0][other][4] = score
    assert found(store) == {"soundness"}
    bounded(store, Bounds(max_false_matches=100))
    assert found(store) == set()


def test_a_match_with_another_rate_is_found(store: MemoryStore) -> None:
    score = drop(store, 1, 2)
    store._links[0][1][2] = store._links[0][2][1] = score + 2**21
    assert found(store) == {"soundness"}


def test_match_sets_from_before_there_were_rates_are_sound_as_they_are(store: MemoryStore) -> None:
    store._generations[0] = replace(store._generations[0], scored=False, bounds=NO_BOUNDS)
    assert found(store) == {"soundness"}
    for one, links in store._links[0].items():
        for other in links:
            links[other] = distance_of(one - 1, other - 1)
    for position, data in store._faces.items():
        store._faces[position] = replace(StoredFaces.unpack(data), norms=None).pack()
    assert found(store) == set()


def test_lost_and_changed_norms_are_found(store: MemoryStore) -> None:
    whole = StoredFaces.unpack(store._faces[2])
    assert whole.norms is not None
    store._faces[2] = replace(whole, norms=None).pack()
    assert found(store) == {"norms"}
    store._faces[2] = replace(whole, norms=whole.norms * np.float32(1.01)).pack()
    assert "norms" in found(store)


def test_rates_by_a_calibration_of_a_newer_version_are_not_judged(store: MemoryStore) -> None:
    store._calibration = "dlib-2000"
    with pytest.raises(Unavailable) as raised:
        fsck.run(store)
    assert raised.value.code == "newer_data"


def test_matches_of_faces_that_are_given_norms_meanwhile_are_no_findings(
    store: MemoryStore,
) -> None:
    store._generations[0] = replace(store._generations[0], building_to=5)
    store._faces[2] = replace(StoredFaces.unpack(store._faces[2]), norms=None).pack()
    score = drop(store, 1, 2)
    store._links[0][1][2] = store._links[0][2][1] = score + 2**21
    assert found(store) == set()


def test_wrong_counters_are_found(store: MemoryStore) -> None:
    store._live_faces += 1
    assert found(store) == {"counters"}
    store._live_faces -= 1
    store._size -= 1
    assert found(store) == {"counters"}
    store._size = store._live_faces = 0
    assert found(store) == {"counters"}


def test_a_missing_pair_is_found(store: MemoryStore) -> None:
    store._links[0][1].pop(2)
    store._links[0][2].pop(1)
    assert found(store) == {"completeness"}


def test_a_half_pair_is_found(store: MemoryStore) -> None:
    store._links[0][2].pop(1)
    assert "symmetry" in found(store)


def test_a_pair_with_a_wrong_distance_is_found(store: MemoryStore) -> None:
    store._links[0][1][2] = store._links[0][2][1] = 0.59
    assert found(store) == {"soundness"}


def test_a_pair_of_strangers_is_found(store: MemoryStore) -> None:
    store._links[0][1][4] = store._links[0][4][1] = 0.5
    assert found(store) == {"soundness"}


def test_a_match_with_an_erased_image_is_found(store: MemoryStore) -> None:
    erased = store.erase(HASHES[0])
    while not store.unlink(erased.position):
        pass
    assert fsck.run(store).findings == ()
    store._links[0][2][erased.position] = 0.3
    assert found(store) == {"erasure"}


def test_an_erasure_under_way_is_no_finding(store: MemoryStore) -> None:
    store.erase(HASHES[0])
    report = fsck.run(store)
    assert (report.findings, report.unfinished) == ((), 1)


def test_lost_faces_are_found(store: MemoryStore) -> None:
    del store._faces[3]
    assert "faces" in found(store)


def test_changed_faces_are_found(store: MemoryStore) -> None:
    store._faces[1] = pack_encodings(np.zeros((1, 128), dtype=np.float32))
    assert found(store) == {"norms", "soundness"}


def test_a_forged_log_is_found(store: MemoryStore) -> None:
    store._entries[2] = store._entries[3]
    assert "log" in found(store)


def test_a_trimmed_log_is_sound(store: MemoryStore) -> None:
    del store._entries[:3]
    store._first = 4
    assert fsck.run(store).findings == ()


def test_an_image_that_the_log_does_not_know_is_found(store: MemoryStore) -> None:
    store._positions[9] = HASHES[0]
    assert {"log", "faces"} <= found(store)


def test_an_index_of_another_history_is_found(store: MemoryStore) -> None:
    tail = store.collection().tail
    assert fsck.run(store, [tail]).findings == ()
    other = Tail(tail.position, "0" * 40)
    assert [f.invariant for f in fsck.run(store, [tail, other]).findings] == ["index"]


def test_an_image_still_being_linked_is_no_finding() -> None:
    store = MemoryStore()
    world = World(store)
    for picture in (0, 1):
        world.submit(picture)
    process(world.jobs[0], world.parts[0])

    def die(name: str) -> None:
        if name == "after_query":
            raise Crash

    failpoints.set_hook(die)
    try:
        with pytest.raises(Crash):
            process(world.jobs[1], world.parts[0])
    finally:
        failpoints.set_hook(None)
    report = fsck.run(store)
    assert (report.findings, report.unfinished) == ((), 1)


@pytest.mark.parametrize(("since", "kind"), [(2, "approximate"), (5, "completeness")])
def test_what_an_approximate_index_did_not_find_is_named_so(
    store: MemoryStore, since: int, kind: str
) -> None:
    store._generations[0] = replace(store._generations[0], approximate_since=since)
    for one, other in ((1, 3), (3, 1)):
        del store._links[0][one][other]
    assert [finding.positions for finding in fsck.run(store).findings] == [(1, 3)]
    assert found(store) == {kind}


def test_what_is_being_built_is_not_complete_yet_and_need_not_be_mutual(
    store: MemoryStore,
) -> None:
    store._generations[1] = Generation(1, 0.6, building_to=4)
    store._links[1] = {2: {1: store._links[0][2][1]}}
    # 5 matches all others, and was linked in both.
    found = fsck.run(store).findings
    assert {finding.generation for finding in found} == {1}
    assert {5} == {max(finding.positions) for finding in found}
    store._links[1][2][1] = 0.59
    store._links[1][1] = {2: 0.59}
    assert "soundness" in {finding.invariant for finding in fsck.run(store).findings}
