"""One contract for the index: exact numpy, the sidecar over a real socket, a real Milvus."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from histories import MODEL, THRESHOLD, add, erase
from indexes import FACE, FOREVER, ask, ask_pairs, asking, feeding, listed, positions, serving
from planted import people, pictures_of

from facematch import wire
from facematch.errors import Rejected
from facematch.faces import (
    DIMENSIONS,
    FACES_PER_POSITION,
    Encodings,
    FaceIds,
    distances,
    face_ids,
    positions_of,
)
from facematch.generation_search import GenerationSearch
from facematch.log import genesis
from facematch.memory_store import MemoryStore
from facematch.neighbours import ExactNeighbours, Neighbours, Query


@pytest.fixture
def store() -> MemoryStore:
    made = MemoryStore()
    made.create(MODEL, THRESHOLD)
    return made


@pytest.fixture(params=["exact", "sidecar", "milvus"])
def neighbours(
    request: pytest.FixtureRequest, store: MemoryStore, tmp_path: Path
) -> Iterator[Neighbours]:
    if request.param == "exact":
        yield ExactNeighbours(store)
        return
    if request.param == "milvus":
        with feeding(store, request.getfixturevalue("milvus_url")) as generations:
            yield GenerationSearch(generations)
        return
    path = tmp_path / "index.sock"
    with serving(store, path), asking(path) as sidecar:
        yield sidecar


def drawn(store: MemoryStore, rng: np.random.Generator) -> tuple[FaceIds, Encodings]:
    """The faces of 300 images of 20 people, which are put into the store."""
    persons = people(rng, 20)
    ids: list[FaceIds] = []
    held: list[Encodings] = []
    for number in range(300):
        shown = persons[rng.integers(0, 20, rng.integers(1, 6))]
        faces = np.concatenate([pictures_of(rng, person, 1) for person in shown])
        ids.append(face_ids(add(store, str(number), faces), len(faces)))
        held.append(faces)
    return np.concatenate(ids), np.concatenate(held)


class TestAnyIndex:
    def test_a_collection_without_faces_answers_nothing_at_the_first_place(
        self, neighbours: Neighbours, store: MemoryStore
    ) -> None:
        answer = ask(neighbours, store)
        assert len(answer.faces) == 0
        assert answer.faces.dtype == np.int64
        assert answer.tail == genesis(store.collection().epoch)
        neighbours.check()

    @pytest.mark.parametrize("seed", range(3))
    def test_candidates_are_what_brute_force_finds(
        self, neighbours: Neighbours, store: MemoryStore, seed: int
    ) -> None:
        rng = np.random.default_rng(seed)
        all_ids, all_faces = drawn(store, rng)
        for count, radius in ((1, 0.3), (1, THRESHOLD), (7, THRESHOLD), (256, 0.1)):
            asked = all_faces[rng.integers(0, len(all_faces), count)]
            answer = ask(neighbours, store, asked, radius).faces
            nearest = distances(asked, all_faces).min(axis=0)
            assert (np.diff(answer) > 0).all()
            assert set(all_ids[nearest <= radius]) <= set(answer)
            assert set(answer) <= set(all_ids[nearest <= radius * (1 + 1e-4)])

    def test_a_face_at_the_threshold_is_found_and_one_ulp_of_the_radius_does_not_hide_it(
        self, neighbours: Neighbours, store: MemoryStore
    ) -> None:
        rng = np.random.default_rng(5)
        for number in range(30):
            step = rng.normal(size=(1, DIMENSIONS))
            step *= THRESHOLD / np.linalg.norm(step)
            face = (FACE + step).astype(np.float32)
            position = add(store, str(number), face)
            distance = float(distances(FACE, face)[0, 0])
            for radius in (distance, np.nextafter(distance, 1)):
                assert position in positions_of(ask(neighbours, store, radius=radius).faces)
            lower = ask(neighbours, store, radius=distance * (1 - 1e-4))
            assert position not in positions_of(lower.faces)

    def test_distances_are_symmetric_to_the_last_bit(
        self, neighbours: Neighbours, store: MemoryStore
    ) -> None:
        other = pictures_of(np.random.default_rng(6), FACE[0], 1)
        radius = float(distances(FACE, other)[0, 0])
        add(store, "a", FACE)
        add(store, "b", other)
        assert positions_of(ask(neighbours, store, FACE, radius).faces) == [1, 2]
        assert positions_of(ask(neighbours, store, other, radius).faces) == [1, 2]

    def test_the_same_face_many_times_is_many_candidates_each_once(
        self, neighbours: Neighbours, store: MemoryStore
    ) -> None:
        add(store, "a", np.repeat(FACE, 100, axis=0))
        add(store, "b", np.concatenate([-FACE, FACE]))
        answer = ask(neighbours, store, np.repeat(FACE, 50, axis=0))
        assert answer.faces.tolist() == [*face_ids(1, 100).tolist(), 2 * 256 + 1]

    def test_only_images_below_the_asked_position_are_found(
        self, neighbours: Neighbours, store: MemoryStore
    ) -> None:
        for name in "abcd":
            add(store, name, np.repeat(FACE, 2, axis=0))
        for before in range(1, 6):
            answer = ask(neighbours, store, before=before)
            assert positions_of(answer.faces) == list(range(1, before))
            assert answer.tail == store.collection().tail

    def test_what_is_added_is_found_and_what_is_erased_is_not(
        self, neighbours: Neighbours, store: MemoryStore
    ) -> None:
        for name in "abcd":
            add(store, name, FACE)
        assert positions(neighbours, store) == [1, 2, 3, 4]
        erase(store, "b")
        assert positions(neighbours, store) == [1, 3, 4]
        add(store, "e", FACE)
        erase(store, "a")
        add(store, "b", FACE)
        assert positions(neighbours, store) == [3, 4, 6, 8]

    def test_answers_reflect_one_place_while_the_log_grows(
        self, neighbours: Neighbours, store: MemoryStore
    ) -> None:
        def grow() -> None:
            for number in range(300):
                add(store, str(number), FACE)

        ask(neighbours, store)
        growing = threading.Thread(target=grow)
        growing.start()
        seen: set[int] = set()
        while growing.is_alive() or 300 not in seen:
            answer = neighbours.within(Query(FACE, THRESHOLD, FOREVER))
            assert positions_of(answer.faces) == list(range(1, answer.tail.position + 1))
            assert store.log(answer.tail.position, 0).start == answer.tail
            seen.add(answer.tail.position)
        growing.join()

    def test_threads_may_share_one(self, neighbours: Neighbours, store: MemoryStore) -> None:
        faces = people(np.random.default_rng(9), 8)
        for number, face in enumerate(faces):
            add(store, str(number), face[None])
        ask(neighbours, store)
        wrong: list[object] = []

        def work(number: int) -> None:
            for _ in range(30):
                answer = neighbours.within(Query(faces[number : number + 1], THRESHOLD, FOREVER))
                if positions_of(answer.faces) != [number + 1]:
                    wrong.append(answer)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong


class TestPairs:
    def test_a_collection_without_faces_has_none(
        self, neighbours: Neighbours, store: MemoryStore
    ) -> None:
        answer = ask_pairs(neighbours, store)
        assert len(answer.numbers) == len(answer.faces) == 0
        assert answer.numbers.dtype == answer.faces.dtype == np.int64
        assert answer.tail == genesis(store.collection().epoch)
        assert answer.exact

    @pytest.mark.parametrize("seed", range(2))
    def test_they_are_what_brute_force_finds(
        self, neighbours: Neighbours, store: MemoryStore, seed: int
    ) -> None:
        rng = np.random.default_rng(seed)
        ids, faces = drawn(store, rng)
        for count, radius in ((1, THRESHOLD), (7, THRESHOLD), (300, 0.3)):
            asked = faces[rng.integers(0, len(faces), count)]
            before = int(rng.integers(1, 400))
            found = listed(ask_pairs(neighbours, store, asked, radius, before))
            assert len(set(found)) == len(found)
            exact = distances(asked, faces)
            exact[:, ids // FACES_PER_POSITION >= before] = np.inf
            for wanted, limit in ((True, radius), (False, radius * (1 + 1e-3))):
                there = {(int(n), int(ids[face])) for n, face in np.argwhere(exact <= limit)}
                assert there <= set(found) if wanted else set(found) <= there

    def test_each_encoding_has_its_own_and_the_same_one_twice_has_the_same(
        self, neighbours: Neighbours, store: MemoryStore
    ) -> None:
        other = pictures_of(np.random.default_rng(6), -FACE[0], 1)
        add(store, "a", np.repeat(FACE, 100, axis=0))
        add(store, "b", np.concatenate([-FACE, FACE]))
        asked = np.concatenate([FACE, other, np.full_like(FACE, 3.0), FACE])
        near = [*face_ids(1, 100).tolist(), 2 * 256 + 1]
        expected = [(0, face) for face in near] + [(1, 2 * 256)] + [(3, face) for face in near]
        assert listed(ask_pairs(neighbours, store, asked)) == expected

    def test_what_is_added_is_found_and_what_is_erased_is_not(
        self, neighbours: Neighbours, store: MemoryStore
    ) -> None:
        asked = np.concatenate([-FACE, FACE])
        for name in "abcd":
            add(store, name, FACE)
        erase(store, "b")
        assert listed(ask_pairs(neighbours, store, asked)) == [(1, 256), (1, 3 * 256), (1, 4 * 256)]
        add(store, "e", FACE)
        erase(store, "a")
        for before in range(1, 9):
            answer = ask_pairs(neighbours, store, asked, before=before)
            there = [position for position in (3, 4, 6) if position < before]
            assert listed(answer) == [(1, position * 256) for position in there]
            assert answer.tail == store.collection().tail

    def test_answers_reflect_one_place_while_the_log_grows(
        self, neighbours: Neighbours, store: MemoryStore
    ) -> None:
        def grow() -> None:
            for number in range(300):
                add(store, str(number), FACE)

        ask(neighbours, store)
        growing = threading.Thread(target=grow)
        growing.start()
        asked = np.repeat(FACE, 3, axis=0)
        seen: set[int] = set()
        while growing.is_alive() or 300 not in seen:
            answer = neighbours.pairs(Query(asked, THRESHOLD, FOREVER))
            at = answer.tail.position
            there = [position * 256 for position in range(1, at + 1)]
            assert listed(answer) == [(number, face) for number in range(3) for face in there]
            assert store.log(at, 0).start == answer.tail
            seen.add(at)
        growing.join()

    def test_threads_may_share_one(self, neighbours: Neighbours, store: MemoryStore) -> None:
        faces = people(np.random.default_rng(9), 8)
        for face in faces:
            add(store, str(face[0]), face[None])
        ask(neighbours, store)
        wrong: list[object] = []

        def work(number: int) -> None:
            asked, expected = np.roll(faces, number, axis=0), np.roll(np.arange(1, 9), number)
            for _ in range(20):
                answer = neighbours.pairs(Query(asked, THRESHOLD, FOREVER))
                if listed(answer) != list(enumerate((expected * 256).tolist())):
                    wrong.append(answer)
                if positions_of(neighbours.within(Query(asked[:1], THRESHOLD, FOREVER)).faces) != [
                    expected[0]
                ]:
                    wrong.append(number)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong

    def test_more_than_go_into_one_answer_are_refused(
        self, neighbours: Neighbours, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add(store, "a", np.repeat(FACE, 50, axis=0))
        asked = np.repeat(FACE, 3, axis=0)
        assert len(ask_pairs(neighbours, store, asked).faces) == 150
        monkeypatch.setattr(wire, "MOST_PAIRS", 149)
        with pytest.raises(Rejected, match="ask for fewer") as raised:
            neighbours.pairs(Query(asked, THRESHOLD, FOREVER))
        assert raised.value.code == "answer_too_large"
        assert len(ask_pairs(neighbours, store, asked[:2]).faces) == 100
