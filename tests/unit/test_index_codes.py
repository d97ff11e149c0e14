"""Faces where dlib's encodings lie, against brute force in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facematch.encoding_model import encoding_model
from facematch.faces import DIMENSIONS, Encodings, FaceIds, distances
from index import codes
from index.codes import Codes, Points, Space
from index.engine import Engine

LAST = 2**63 - 1
BASIS = encoding_model().basis
#: What is kept, and a distance computed from it, are off by less.
KEPT = 3e-7


def moved(
    rng: np.random.Generator, faces: Encodings, distance: float, beside: float = 0.0
) -> Encodings:
    """Each face moved by about this distance within the space, and out of it by `beside`."""
    steps = rng.standard_normal((len(faces), BASIS.shape[1]))
    inside = (steps / np.linalg.norm(steps, axis=1, keepdims=True)) @ BASIS.T
    outside = rng.standard_normal((len(faces), DIMENSIONS))
    outside -= outside @ BASIS @ BASIS.T
    outside /= np.linalg.norm(outside, axis=1, keepdims=True)
    return (faces + distance * inside + beside * outside).astype(np.float32)


def beside(encodings: Encodings) -> np.ndarray:
    """How far they are from the space."""
    rest = encodings.astype(np.float64) - encoding_model().mean
    return np.linalg.norm(rest - rest @ BASIS @ BASIS.T, axis=1)


def portions(
    engine: Engine, asked: Encodings, radius: float, low: int = 0, high: int = LAST
) -> list[tuple[int, int]]:
    """The pairs that are found portion by portion."""
    return [
        (int(number), int(face))
        for numbers, faces in engine.pairs(asked, radius, low, high)
        for number, face in zip(numbers, faces, strict=True)
    ]


def check(engine: Engine, ids: FaceIds, faces: Encodings, asked: Encodings, radius: float) -> None:
    """Each query finds all that brute force finds, and what it finds besides is hardly farther."""
    numbers, found = engine.search(asked, radius, LAST)
    pairs = list(zip(numbers.tolist(), found.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    assert sorted(portions(engine, asked, radius)) == sorted(pairs)
    exact = distances(asked, faces)
    expected = {(int(n), int(ids[face])) for n, face in np.argwhere(exact <= radius)}
    assert expected <= set(pairs)
    apart = 4 * np.outer(beside(asked), np.minimum(beside(faces), 2.0**-8))
    outer = np.sqrt(radius**2 * (1 + 2.0**-16) + apart) + KEPT
    allowed = {(int(n), int(ids[face])) for n, face in np.argwhere(exact <= outer)}
    assert set(pairs) <= allowed


@settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 2**32),
    radius=st.floats(0.3, 0.7) | st.sampled_from([1e-9, 1e-3, 1.0, 2.0, 50.0]),
    queries=st.integers(1, 40),
    foreign=st.sampled_from([0.0, 0.0005, 0.01, 0.5]),
    ulps=st.integers(-1, 1),
)
def test_no_face_is_missing_at_any_radius_and_few_are_found_beyond_it(
    seed: int, radius: float, queries: int, foreign: float, ulps: int
) -> None:
    rng = np.random.default_rng(seed)
    asked = encoding_model().draw(queries, rng)
    asked[::2] = moved(rng, asked[::2], 0.0, foreign)
    near = [
        moved(rng, asked, radius * factor, outside)
        for factor in (0.0, 0.999, 1.0, 1.001)
        for outside in (0.0, 0.001, 0.3)
    ]
    faces = np.concatenate([*near, encoding_model().draw(50, rng)])[
        rng.permutation(12 * queries + 50)
    ]
    ids = np.cumsum(rng.integers(1, 300, len(faces)))
    engine = Engine()
    for rows in np.split(np.arange(len(faces)), sorted(rng.integers(0, len(faces), 3))):
        engine.add(ids[rows], faces[rows])
    gone = rng.random(len(faces)) < 0.2
    engine.remove(ids[gone])
    ids, faces = ids[~gone], faces[~gone]
    # The very distance of a pair, and the numbers next to it.
    exact = distances(asked, faces)
    at = float(exact.ravel()[np.abs(exact - radius).argmin()])
    for limit in (radius, np.nextafter(at, np.inf if ulps > 0 else 0) if ulps else at):
        if limit > 0:
            check(engine, ids, faces, asked, float(limit))


def test_drawn_faces_are_held_as_codes_and_take_little_memory() -> None:
    faces = encoding_model().draw(20_000, np.random.default_rng(1))
    engine = Engine()
    engine.add(np.arange(len(faces), dtype=np.int64), faces)
    assert len(engine) == len(faces)
    assert len(engine._codes) > 0.999 * len(faces)
    assert engine.bytes / len(faces) < 306


@pytest.mark.parametrize("factor", [4.9, 5.1, 8.0, 1e3, 1e30])
@pytest.mark.parametrize("direction", [0, 47, 48, 79])
def test_faces_and_queries_at_the_edge_of_what_codes_reach(factor: float, direction: int) -> None:
    model = encoding_model()
    step = model.deviations()[direction] * model.basis[:, direction]
    edge, inner = (
        (model.mean + np.stack([times * step, -times * step])).astype(np.float32)
        for times in (factor, 4.9)
    )
    faces = np.concatenate([edge, model.draw(100, np.random.default_rng(2)), edge, inner])
    engine = Engine()
    engine.add(np.arange(len(faces), dtype=np.int64), faces)
    for radius in (1e-6, 0.6, float(distances(edge[:1], edge[1:])[0, 0])):
        check(engine, np.arange(len(faces)), faces, faces, radius)


def test_a_query_whose_squares_are_beyond_float32_is_decided_as_any() -> None:
    space, model = Space(), encoding_model()
    held = Codes(space)
    held.add(np.arange(10), space.project(model.draw(10, np.random.default_rng(6))))
    asked = (model.mean + 1e30 * model.basis[:, -1:].T).astype(np.float32)
    for radius, count in ((0.9e30, 0), (1.1e30, 10)):
        assert len(held.search(space.project(asked), radius**2, 0, LAST)[1]) == count


class TestChunks:
    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(codes, "CHUNK", 64)
        monkeypatch.setattr(codes, "QUERIES_AT_ONCE", 7)
        monkeypatch.setattr(codes, "_FOUND", 128)
        monkeypatch.setattr(codes, "_own", codes._Buffers())
        monkeypatch.setattr(codes, "_STEP", 20)

    @pytest.mark.parametrize("seed", range(8))
    def test_adds_and_removes_in_any_order_agree_with_brute_force(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        people = encoding_model().draw(30, rng)
        engine, held, last = Engine(), {}, 0
        for _ in range(40):
            count = int(rng.choice([1, 5, 63, 64, 65, 200]))
            ids = last + np.cumsum(rng.integers(1, 4, count))
            last = int(ids[-1])
            faces = moved(rng, people[rng.integers(0, 30, count)], 0.3)
            engine.add(ids, faces)
            held.update(zip(ids.tolist(), faces, strict=True))
            share = rng.choice([0.0, 0.1, 0.5, 0.95])
            gone = rng.choice(list(held), int(len(held) * share), replace=False)
            engine.remove(np.sort(gone))
            engine.remove(gone[:3])
            for face in gone.tolist():
                del held[face]
            assert len(engine) == len(held)
            chunks = engine._codes._chunks
            assert sum(chunk.rows for chunk in chunks) <= 2 * max(64, len(held)) + 64
            if held:
                ids = np.array(sorted(held), dtype=np.int64)
                check(engine, ids, np.stack([held[face] for face in ids.tolist()]), people, 0.6)

    def test_a_face_below_the_limit_only(self) -> None:
        face = encoding_model().draw(1, np.random.default_rng(3))
        engine = Engine()
        engine.add(np.arange(0, 300 * 256, 256), np.repeat(face, 300, axis=0))
        for before in (0, 1, 63, 64, 65, 299, 300, 2**64 - 1):
            found = engine.within(face, 0.1, before)
            assert found.tolist() == list(range(0, min(before, 300) * 256, 256))

    def test_portions_of_faces_with_ids_between_two_only(self) -> None:
        rng = np.random.default_rng(7)
        face = encoding_model().draw(1, rng)
        ids = np.cumsum(rng.integers(1, 4, 300))
        engine = Engine()
        engine.add(ids, np.repeat(face, 300, axis=0))
        engine.remove(ids[ids % 5 == 0])
        asked = np.repeat(face, 9, axis=0)
        for _ in range(60):
            low, high = np.sort(rng.integers(0, ids[-1] + 3, 2)).tolist()
            there = [int(face) for face in ids if low <= face < high and face % 5]
            expected = [(number, face) for number in range(9) for face in there]
            assert sorted(portions(engine, asked, 0.1, low, high)) == expected

    @pytest.mark.parametrize("seed", range(20))
    def test_between_two_portions_it_may_change(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        # Some are kept as codes, the others whole.
        faces = np.repeat(encoding_model().draw(1, rng), 500, axis=0)
        faces[rng.random(500) < 0.05] += np.float32(0.01)
        engine, there = Engine(), set(range(500))
        engine.add(np.arange(500), faces)
        asked, last, found = faces[:20], 500, []
        for numbers, ids in engine.pairs(asked, 0.3, 0, LAST):
            found += list(zip(numbers.tolist(), ids.tolist(), strict=True))
            if rng.random() < 0.5:
                gone = rng.choice(sorted(there), int(rng.integers(0, 60)) % len(there), False)
                engine.remove(np.sort(gone))
                there -= set(gone.tolist())
                count = int(rng.integers(1, 40))
                # Some of these are kept less exactly than any before.
                came = encoding_model().draw(count, rng)
                engine.add(np.arange(last, last + count), np.concatenate([faces[:1], came])[:count])
                last += count
        assert len(set(found)) == len(found)
        assert {(number, face) for number in range(20) for face in there} <= set(found)
        assert {face for _, face in found} <= set(range(500))
        assert len(there) < 400

    def test_what_is_joined_is_known_as_well_as_before(self) -> None:
        rng = np.random.default_rng(5)
        drawn = encoding_model().draw(200, rng)
        # Out of the space in one direction, and the queries as well, but farther.
        away = rng.standard_normal(DIMENSIONS)
        away -= BASIS @ (BASIS.T @ away)
        away /= np.linalg.norm(away)
        drawn = drawn - ((drawn - encoding_model().mean) @ away)[:, None] * away
        faces = (drawn + 0.003 * away).astype(np.float32)
        asked = moved(rng, (drawn + 0.3 * away).astype(np.float32), 0.5)
        engine, ids = Engine(), np.arange(200)
        engine.add(ids, faces)
        engine.remove(ids[1::2])
        assert len(engine._codes._chunks) == 2
        for row in range(0, 200, 2):
            exact = float(distances(asked[row : row + 1], faces[row : row + 1])[0, 0])
            check(engine, ids[::2], faces[::2], asked[row : row + 1], exact)

    def test_nothing_is_left_of_what_is_removed_nor_where_it_was(self) -> None:
        rng = np.random.default_rng(4)
        space = Space()
        held = Codes(space)
        points = space.project(encoding_model().draw(1000, rng))
        held.add(np.arange(1000), points)
        old = list(held._chunks)
        gone = np.sort(rng.permutation(1000)[:900])
        held.remove(gone)
        assert len(held) == 100
        assert len(held._chunks) <= 4
        for chunk in old:
            alive = np.zeros(64, dtype=np.bool_)
            if chunk in held._chunks:
                alive[: chunk.rows] = chunk.alive()
            held_ = chunk.held
            coarse = held_.coarse.transpose(0, 2, 1, 3).reshape(64, -1)
            for array in (coarse, held_.leading, held_.trailing, held_.rest, held_.outside):
                assert not array[~alive].any()
        kept = np.setdiff1d(np.arange(1000), gone)
        asked = Points(points.inside[kept], points.outside[kept])
        numbers, ids = held.search(asked, 1e-12, 0, LAST)
        assert kept[numbers].tolist() == ids.tolist()
        assert sorted(ids.tolist()) == kept.tolist()
