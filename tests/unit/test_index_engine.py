"""The engine against brute force in float64, over any float32 encodings.

Those that dlib could have made are in test_index_codes.
"""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facematch.faces import DIMENSIONS, FACES_PER_POSITION, Encodings, FaceIds, distances
from index.engine import Engine

RADIUS = 0.6
LAST = 2**63 - 1


def drawn(rng: np.random.Generator, count: int, norm: float) -> Encodings:
    """`count` encodings in random directions, of this norm."""
    points = rng.normal(size=(count, DIMENSIONS))
    return (norm * points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def shell(
    rng: np.random.Generator, centre: Encodings, count: int, low: float, high: float
) -> Encodings:
    """`count` encodings at distances between low and high from the centre, before rounding."""
    steps = drawn(rng, count, 1.0).astype(np.float64)
    return (centre + steps * rng.uniform(low, high, (count, 1))).astype(np.float32)


def ids_of(*values: int) -> FaceIds:
    """Face ids as the engine takes them."""
    return np.array(values, dtype=np.int64)


def check_against_brute_force(
    engine: Engine, held: dict[int, Encodings], queries: Encodings, radius: float, before: int
) -> None:
    """Nothing within the radius is missing, nothing beyond the margin is there."""
    found = engine.within(queries, radius, before)
    assert (np.diff(found) > 0).all()
    ids = [face for face in sorted(held) if face // FACES_PER_POSITION < before]
    nearest = (
        distances(np.stack([held[face] for face in ids]), queries).min(axis=1)
        if ids
        else np.empty(0)
    )
    outer = radius * (1 + 2.0**-16) + 1e-17
    assert set(np.array(ids, dtype=np.int64)[nearest <= radius]) <= set(found)
    assert set(found) <= set(np.array(ids, dtype=np.int64)[nearest <= outer])


@settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 2**32),
    exponent=st.floats(-22, 18),
    shift=st.sampled_from([0.0, 1e-3, 1.4, 40.0, 1e4, 1e7]),
    queries=st.integers(1, 40),
    data=st.data(),
)
def test_the_engine_finds_what_brute_force_finds_whatever_the_norms(
    seed: int, exponent: float, shift: float, queries: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    radius = RADIUS * 10**exponent
    centre = drawn(rng, 1, min(shift * radius, 1e25))
    faces = np.concatenate(
        [
            shell(rng, centre, 60, 0.999 * radius, 1.001 * radius),
            shell(rng, centre, 20, 0, 2 * radius),
            drawn(rng, 20, 1.4),
        ]
    )
    asked = np.concatenate([centre, shell(rng, centre, queries - 1, 0, radius)])
    ids = np.cumsum(rng.integers(1, 300, len(faces)))
    engine, held = Engine(), dict(zip(ids.tolist(), faces, strict=True))
    engine.add(ids, faces)
    before = data.draw(st.sampled_from([0, 1, int(ids[50]) // FACES_PER_POSITION, 2**64 - 1]))
    check_against_brute_force(engine, held, asked, radius, before)


@settings(deadline=None, max_examples=60)
@given(encodings=st.data(), scale=st.floats(1e-300, 1e300))
def test_no_finite_encoding_and_no_radius_makes_the_engine_miss_a_face(
    encodings: st.DataObject, scale: float
) -> None:
    value = st.floats(width=32, allow_nan=False, allow_infinity=False)
    few = st.lists(value, min_size=4, max_size=4)
    rows = encodings.draw(st.lists(few, min_size=1, max_size=6))
    faces = np.zeros((len(rows), DIMENSIONS), dtype=np.float32)
    faces[:, :4] = rows
    engine = Engine()
    engine.add(np.arange(len(faces), dtype=np.int64), faces)
    for radius in {scale, *distances(faces, faces[:1]).ravel().tolist()} - {0.0}:
        expected = np.flatnonzero((distances(faces, faces[:1]) <= radius).any(axis=1))
        assert set(expected) <= set(engine.within(faces[:1], radius, 1).tolist())


@pytest.mark.parametrize("norm", [0.0, 1.4, 1e6])
def test_a_face_at_exactly_the_radius_is_found(norm: float) -> None:
    rng = np.random.default_rng(7)
    for _ in range(50):
        centre = drawn(rng, 1, norm)
        face = shell(rng, centre, 1, 0.5, 0.7)
        engine = Engine()
        engine.add(ids_of(3), face)
        exact = float(distances(centre, face)[0, 0])
        assert engine.within(centre, exact, 1).tolist() == [3]
        assert engine.within(centre, exact * (1 - 1e-4), 1).tolist() == []


def test_many_encodings_in_one_query_find_the_union() -> None:
    rng = np.random.default_rng(1)
    faces = drawn(rng, 500, 1.4)
    engine = Engine()
    engine.add(np.arange(500, dtype=np.int64), faces)
    found = engine.within(faces[::-2][:256], RADIUS, LAST)
    assert found.tolist() == list(range(1, 500, 2))


class TestRemoving:
    def test_a_removed_face_is_not_found_and_its_copies_are(self) -> None:
        face = drawn(np.random.default_rng(2), 1, 1.4)
        engine = Engine()
        engine.add(ids_of(10, 11, 700), np.repeat(face, 3, axis=0))
        engine.remove(ids_of(11, 12, 9999))
        engine.remove(ids_of(11))
        assert engine.within(face, RADIUS, LAST).tolist() == [10, 700]
        assert len(engine) == 2

    def test_what_is_removed_stays_removed_near_the_origin_too(self) -> None:
        origin = np.zeros((1, DIMENSIONS), dtype=np.float32)
        engine = Engine()
        engine.add(ids_of(1, 2), np.concatenate([origin, origin]))
        engine.remove(ids_of(1))
        assert engine.within(origin, RADIUS, LAST).tolist() == [2]

    def test_random_adds_and_removes_agree_with_brute_force(self) -> None:
        rng = np.random.default_rng(3)
        engine, held, position = Engine(), {}, 0
        centre = drawn(rng, 1, 1.4)
        for _ in range(60):
            count = int(rng.integers(1, 400))
            ids = (position + np.arange(count)) * 3
            position += count
            faces = shell(rng, centre, count, 0.3, 0.9)
            engine.add(ids, faces)
            held.update(zip(ids.tolist(), faces, strict=True))
            gone = rng.choice(list(held), int(len(held) * rng.choice([0, 0.1, 0.7])), False)
            engine.remove(gone.astype(np.int64))
            for face in gone.tolist():
                del held[face]
            assert len(engine) == len(held)
            check_against_brute_force(engine, held, centre, RADIUS, LAST)

    def test_space_is_given_back_and_no_removed_byte_is_left(self) -> None:
        rng = np.random.default_rng(4)
        faces = drawn(rng, 20_000, 1.4)
        engine = Engine()
        engine.add(np.arange(20_000, dtype=np.int64), faces)
        full = engine.bytes
        gone = rng.permutation(20_000)[:19_000]
        engine.remove(np.sort(gone[:1000]))
        assert self.memory_holds(engine, 20_000, faces[gone[:1000]]) == 0
        engine.remove(gone[1000:])
        assert self.memory_holds(engine, 20_000, faces[gone]) == 0
        assert self.memory_holds(engine, 20_000, faces) == 1000
        assert engine.bytes < full / 4
        kept = np.setdiff1d(np.arange(20_000), gone)
        assert engine.within(faces[kept[:200]], 0.001, LAST).tolist() == kept[:200].tolist()
        engine.remove(kept[-10:])
        assert self.memory_holds(engine, 20_000, faces[kept[-10:]]) == 0
        engine.add(ids_of(20_000), faces[:1])
        assert 20_000 in engine.within(faces[:1], 0.001, LAST)

    @staticmethod
    def memory_holds(engine: Engine, rows: int, encodings: Encodings) -> int:
        """How many of the encodings are in FAISS's memory, unused capacity included."""
        flat = engine._flat
        size, flat._rows.used = flat._rows.used, rows
        memory = flat._encodings().copy()
        flat._rows.used = size
        present = {row.tobytes() for row in memory}
        return sum(row.tobytes() in present for row in encodings)

    def test_removing_all_leaves_an_engine_that_works(self) -> None:
        faces = drawn(np.random.default_rng(5), 6000, 1.4)
        engine = Engine()
        engine.add(np.arange(6000, dtype=np.int64), faces)
        engine.remove(np.arange(6000, dtype=np.int64))
        assert len(engine) == 0
        assert engine.within(faces[:3], RADIUS, LAST).tolist() == []
        engine.add(ids_of(6000), faces[:1])
        assert engine.within(faces[:1], RADIUS, LAST).tolist() == [6000]


def test_ids_that_do_not_ascend_are_refused_and_change_nothing() -> None:
    faces = drawn(np.random.default_rng(6), 2, 1.4)
    engine = Engine()
    engine.add(ids_of(5), faces[:1])
    for wrong in (ids_of(5), ids_of(4), ids_of(7, 7), ids_of(9, 8)):
        with pytest.raises(ValueError, match="ascending"):
            engine.add(wrong, faces[: len(wrong)])
    with pytest.raises(ValueError, match="2 ids for 1 encodings"):
        engine.add(ids_of(6, 7), faces[:1])
    assert len(engine) == 1
    assert engine.within(faces, RADIUS, LAST).tolist() == [5]


def test_an_empty_engine_and_an_empty_query_find_nothing() -> None:
    engine = Engine()
    empty = np.empty((0, DIMENSIONS), dtype=np.float32)
    engine.add(np.empty(0, dtype=np.int64), empty)
    engine.remove(ids_of(1))
    assert engine.within(np.zeros((1, DIMENSIONS), dtype=np.float32), RADIUS, LAST).tolist() == []
    engine.add(ids_of(1), np.zeros((1, DIMENSIONS), dtype=np.float32))
    assert engine.within(empty, RADIUS, LAST).tolist() == []


def test_searching_while_others_add_and_remove_sees_whole_images_only() -> None:
    face = drawn(np.random.default_rng(8), 1, 1.4)
    engine, wrong, done = Engine(), [], threading.Event()

    def search() -> None:
        while not done.is_set():
            found = engine.within(face, RADIUS, LAST)
            if len(found) % 8 or (np.diff(found) <= 0).any():
                wrong.append(found)

    searcher = threading.Thread(target=search)
    searcher.start()
    for position in range(300):
        ids = position * FACES_PER_POSITION + np.arange(8, dtype=np.int64)
        engine.add(ids, np.repeat(face, 8, axis=0))
        if position >= 100:
            engine.remove(ids - 100 * FACES_PER_POSITION)
    done.set()
    searcher.join()
    assert not wrong
    assert len(engine) == 800


def test_searches_go_on_beside_each_other() -> None:
    face = drawn(np.random.default_rng(9), 1, 1.4)
    engine = Engine()
    engine.add(ids_of(1, 2), np.repeat(face, 2, axis=0))
    found: list[FaceIds] = []

    def search() -> None:
        found.append(engine.within(face, RADIUS, LAST))
        found.append(engine.search(face, RADIUS, LAST)[1])
        found.extend(ids for _, ids in engine.pairs(face, RADIUS, 0, LAST))

    with engine._lock.reading():  # somebody else searches
        searcher = threading.Thread(target=search)
        searcher.start()
        searcher.join(10)
        assert not searcher.is_alive()
    assert np.concatenate(found).tolist() == [1, 2] * 3
