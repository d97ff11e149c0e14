"""The approximate engine: exact below the training size, measured above it, and nothing that was
removed left in its memory."""

from collections.abc import Iterator

import numpy as np
import pytest
from histories import add, running
from indexes import found, new_store, reflects
from waiting import eventually

from facematch.encoding_model import encoding_model
from facematch.faces import Encodings, distances
from facematch.log import Tail
from facematch.wire import Candidates, Query
from index import inverted
from index.budget import Budget, Full
from index.engine import BASE_BYTES
from index.follower import Follower
from index.inverted import FACE_BYTES, Inverted
from index.ivf import IvfEngine
from index.recall import Recall

RADIUS = 0.6
LAST = 2**62


def persons(rng: np.random.Generator, count: int, each: int) -> Encodings:
    """`each` encodings of each of `count` people, as dlib makes them: near each other."""
    centres = np.repeat(encoding_model().draw(count, rng), each, axis=0)
    noise = rng.normal(size=centres.shape)
    noise *= 0.2 / np.linalg.norm(noise, axis=1, keepdims=True)
    return (centres + noise).astype(np.float32)


def truth(faces: Encodings, asked: Encodings, radius: float = RADIUS) -> set[int]:
    return set(np.flatnonzero((distances(asked, faces) <= radius).any(axis=0)).tolist())


@pytest.fixture(scope="module")
def faces() -> Encodings:
    return persons(np.random.default_rng(0), 1000, 6)


@pytest.fixture
def engine(faces: Encodings) -> Iterator[IvfEngine]:
    made = IvfEngine(probes=16, train_from=3000)
    made.add(np.arange(len(faces), dtype=np.int64), faces)
    made.tend()
    yield made
    made.close()


def test_below_the_training_size_it_is_exact(faces: Encodings) -> None:
    engine = IvfEngine(probes=1, train_from=3000)
    few = faces[:2999]
    engine.add(np.arange(len(few), dtype=np.int64), few)
    engine.tend()
    assert engine.exact
    assert engine.measure(np.random.default_rng(0), RADIUS) == (0, 0)
    for row in range(0, 60, 7):
        assert set(engine.within(few[row : row + 1], RADIUS, LAST)) == truth(
            few, few[row : row + 1]
        )


def test_with_as_many_probes_as_lists_it_is_exact_too(faces: Encodings) -> None:
    engine = IvfEngine(probes=10_000, train_from=3000)
    engine.add(np.arange(len(faces), dtype=np.int64), faces)
    engine.tend()
    assert isinstance(engine._faces, Inverted)
    assert engine.exact
    asked = faces[:20]
    assert set(engine.within(asked, RADIUS, LAST)) == truth(faces, asked)


def test_what_it_finds_is_there_and_its_recall_is_what_it_measures(
    engine: IvfEngine, faces: Encodings
) -> None:
    assert not engine.exact
    hits = there = 0
    for row in range(0, len(faces), 60):
        asked = faces[row : row + 1]
        true, answer = truth(faces, asked), set(engine.within(asked, RADIUS, LAST).tolist())
        nearly = truth(faces, asked, RADIUS * (1 + 1e-4))
        assert answer <= nearly
        assert row in answer
        hits, there = hits + len(answer & true) - 1, there + len(true) - 1
    recall, rng = Recall(), np.random.default_rng(1)
    for _ in range(100):
        recall.note(*engine.measure(rng, RADIUS))
    assert recall.value is not None
    assert 0.3 < hits / there < 1
    assert abs(recall.value - hits / there) < 0.1


def test_the_same_person_is_nearly_always_found(engine: IvfEngine, faces: Encodings) -> None:
    same = found_too = 0
    for person in range(0, 1000, 10):
        answer = set(engine.within(faces[6 * person : 6 * person + 1], RADIUS, LAST).tolist())
        near = truth(faces[6 * person : 6 * person + 6], faces[6 * person : 6 * person + 1])
        same += len(near)
        found_too += len({6 * person + other for other in near} & answer)
    assert found_too / same > 0.95


def test_positions_and_removed_faces_are_left_out(engine: IvfEngine, faces: Encodings) -> None:
    asked = faces[1500:1501]
    all_of_them = engine.within(asked, RADIUS, LAST)
    assert engine.within(asked, RADIUS, 5).tolist() == [i for i in all_of_them if i < 5 * 256]
    gone = all_of_them[::2]
    engine.remove(np.append(gone, 10**9))
    engine.remove(gone)
    assert engine.within(asked, RADIUS, LAST).tolist() == all_of_them[1::2].tolist()
    assert len(engine) == len(faces) - len(gone)


def test_pairs_are_what_each_encoding_finds_alone(
    faces: Encodings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inverted, "_STEP", 20_000)
    engine, asked = IvfEngine(probes=16, train_from=6000), faces[1000:1100]
    engine.add(np.arange(len(faces), dtype=np.int64), faces)
    for _ in range(2):  # first all are compared, then some lists of them
        found = list(engine.pairs(asked, RADIUS, 300, 5000))
        numbers, ids = map(np.concatenate, zip(*found, strict=True))
        for number, row in enumerate(asked):
            alone = engine.within(row[None], RADIUS, LAST)
            near = alone[(alone >= 300) & (alone < 5000)]
            assert sorted(ids[numbers == number].tolist()) == near.tolist()
        assert len(found) > 1
        engine.tend()
    assert not engine.exact


def test_trained_between_two_portions_it_goes_on(faces: Encodings) -> None:
    engine = IvfEngine(probes=10_000, train_from=6000)
    engine.add(np.arange(len(faces), dtype=np.int64), faces)
    found: set[tuple[int, int]] = set()
    for numbers, ids in engine.pairs(faces[:100], RADIUS, 0, LAST):
        found.update(zip(numbers.tolist(), ids.tolist(), strict=True))
        engine.tend()
    assert isinstance(engine._faces, Inverted)
    assert len({number for number, _ in found}) == 100
    for number in range(0, 100, 9):
        there = truth(faces, faces[number : number + 1])
        assert {face for each, face in found if each == number} == there


def memory_of(engine: IvfEngine) -> Encodings:
    """What FAISS holds in its lists."""
    lists = engine._faces
    assert isinstance(lists, Inverted)
    return np.concatenate([lists._of_list(number)[1] for number in range(lists.lists)])


def test_no_removed_encoding_is_left_and_the_rows_are_given_back(faces: Encodings) -> None:
    budget = Budget(10**9)
    engine = IvfEngine(budget, probes=16, train_from=3000)
    many = np.concatenate([faces, faces + np.float32(0.25)])
    engine.add(np.arange(len(many), dtype=np.int64), many)
    engine.tend()
    full = budget.used
    gone = np.random.default_rng(2).permutation(len(many))[:7000].astype(np.int64)
    engine.remove(gone)
    left = {row.tobytes() for row in memory_of(engine)}
    assert not any(row.tobytes() in left for row in many[gone])
    assert sum(row.tobytes() in left for row in many) == 5000
    assert budget.used == full
    engine.tend()
    assert len(memory_of(engine)) == 5000
    assert budget.used == engine.taken
    assert engine.taken - BASE_BYTES < (full - BASE_BYTES) * 0.7
    kept = np.setdiff1d(np.arange(len(many)), gone)
    for row in kept[:50].tolist():
        assert row in engine.within(many[row : row + 1], 0.001, LAST)
    engine.close()
    assert budget.used == 0


def test_it_is_trained_anew_when_it_has_grown(faces: Encodings) -> None:
    engine = IvfEngine(probes=16, train_from=1000)
    lists = []
    for start in range(0, 6000, 500):
        engine.add(np.arange(start, start + 500, dtype=np.int64), faces[start : start + 500])
        engine.tend()
        lists.append(engine._faces.lists if isinstance(engine._faces, Inverted) else 0)
    assert lists == [0, *[126] * 6, *[252] * 5]
    assert len(engine) == 6000


def test_without_room_for_training_it_stays_exact(faces: Encodings) -> None:
    budget = Budget(BASE_BYTES + len(faces) * (FACE_BYTES + 200))
    engine = IvfEngine(budget, probes=1, train_from=3000)
    engine.add(np.arange(len(faces), dtype=np.int64), faces)
    engine.tend()
    engine.tend()
    assert engine.exact
    assert budget.used == engine.taken
    with pytest.raises(Full):
        engine.add(np.arange(10**6, 10**6 + 6000, dtype=np.int64), faces)
    assert set(engine.within(faces[:5], RADIUS, LAST)) == truth(faces, faces[:5])


def test_ids_that_do_not_ascend_are_refused(engine: IvfEngine, faces: Encodings) -> None:
    for wrong in ([5], [7000, 7000]):
        with pytest.raises(ValueError, match="ascending"):
            engine.add(np.array(wrong, dtype=np.int64), faces[: len(wrong)])
    with pytest.raises(ValueError, match="2 ids for 1"):
        engine.add(np.array([7000, 7001], dtype=np.int64), faces[:1])
    assert engine.within(faces[:0], RADIUS, LAST).tolist() == []


def test_a_follower_says_whether_its_answers_are_exact(faces: Encodings) -> None:
    store = new_store()
    for start in range(0, 3200, 100):
        add(store, str(start), faces[start : start + 100])
    follower = Follower(store, new_engine=lambda budget: IvfEngine(budget, 4, 3500))
    rng = np.random.default_rng(0)
    with running(follower.run):
        eventually(lambda: reflects(follower, store), "it has loaded")
        follower.sample(rng)
        assert (follower.status().exact, follower.status().recall) == (True, None)
        for start in range(3200, 6000, 100):
            add(store, str(start), faces[start : start + 100])
        eventually(lambda: reflects(follower, store), "it has followed")
        eventually(lambda: not follower.status().exact, "it is trained")
        assert found(follower, faces[:1])
        assert not follower.pairs(Query(faces[:3], RADIUS, LAST)).exact
        for _ in range(30):
            follower.sample(rng)
        recall = follower.status().recall
        assert recall is not None
        assert 0 < recall < 1


def test_recall_is_of_the_last_hundred_samples_with_a_face_to_find() -> None:
    recall = Recall()
    recall.note(0, 0)
    assert recall.value is None
    for _ in range(200):
        recall.note(0, 1)
    for _ in range(75):
        recall.note(4, 4)
    assert recall.value == pytest.approx(300 / 325)


@pytest.mark.parametrize("exact", [True, False])
def test_the_reply_frame_says_whether_it_is_exact(exact: bool) -> None:
    answer = Candidates(np.array([3, 9]), Tail(7, "ab" * 20), exact)
    frame = answer.encode()
    assert Candidates.decode(frame).exact is exact
    with pytest.raises(ValueError, match="version 2"):
        Candidates.decode(frame[:8] + b"\x02\0\0\0" + frame[12:])
    with pytest.raises(ValueError, match="where '2' is spoken"):
        Candidates.decode(b"FMR1" + frame[4:])
