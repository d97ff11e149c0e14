"""One contract for what keeps generations of faces: in memory, and in a real Milvus."""

from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest
from indexes import FACE
from planted import people, pictures_of

from facematch.errors import Misconfigured, Unavailable
from facematch.faces import FaceIds, distances, face_ids
from facematch.generations import Generations, Place, current
from facematch.indexes import forget
from facematch.log import Tail, genesis
from facematch.memory_generations import MemoryGenerations
from facematch.milvus import Milvus, address

EPOCH = "0123456789abcdef" * 2
FAR = 2**40


@pytest.fixture(params=["memory", "milvus"])
def generations(request: pytest.FixtureRequest) -> Iterator[Generations]:
    if request.param == "memory":
        yield MemoryGenerations()
        return
    with closing(Milvus(request.getfixturevalue("milvus_url"), timeout=10)) as milvus:
        yield milvus


def place(generation: str, position: int = 0, made: int = 1, done: int = 0) -> Place:
    tail, start = Tail(position, f"{position:040x}"), genesis("a")
    return Place(generation, made, tail, start, Tail(done, ""), start)


def found(generations: Generations, name: str, low: int = 0, high: int = FAR) -> list[int]:
    (ids,) = generations.search(name, FACE, 0.36, low, high, 1000)
    return sorted(ids.tolist())


def add(generations: Generations, name: str, position: int, count: int = 1, word: str = "") -> None:
    faces = np.repeat(FACE, count, axis=0)
    generations.add(name, face_ids(position, count), faces, [word] * count)


def test_what_is_new_is_empty(generations: Generations) -> None:
    assert generations.places() == generations.names() == []
    name = generations.create(EPOCH)
    assert EPOCH[:8] in name
    assert generations.names() == [name]
    assert generations.places() == []
    assert generations.count(name) == 0
    assert list(generations.held(name)) == []
    assert found(generations, name) == []


def test_places_are_kept_until_they_are_forgotten(generations: Generations) -> None:
    places = [place("a"), place("a", 2), place("a", 2, done=2), place("b", made=2)]
    for one in [*places, places[1]]:
        generations.add_place(one)
    assert sorted(generations.places(), key=Place.encode) == sorted(places, key=Place.encode)
    generations.forget([places[1], place("c")])
    assert sorted(generations.places(), key=Place.encode) == [places[0], places[2], places[3]]
    generations.forget([])
    generations.forget(places)
    assert generations.places() == []


def test_of_places_those_of_the_newest_generation_count_the_farthest_last() -> None:
    old, new = [place("z", 9)], [place("a", 1, 2), place("a", 3, 2), place("a", 3, 2, done=1)]
    assert current([]) == []
    assert current([new[1], *old, new[2], new[0]]) == new
    with pytest.raises(Unavailable, match="another form"):
        Place.decode("a:1:2")


def test_faces_are_found_by_place_and_distance(generations: Generations) -> None:
    rng = np.random.default_rng(1)
    faces = np.concatenate([pictures_of(rng, person, 10) for person in people(rng, 30)])
    ids = np.arange(1, 301, dtype=np.int64) * 256 + 255
    name = generations.create(EPOCH)
    generations.add(name, ids, faces, [""] * 300)
    asked = faces[::40]
    answers = generations.search(name, asked, 0.36, 20, 280, 1000)
    expected = distances(asked, faces) < 0.6
    expected[:, :19] = expected[:, 279:] = False
    assert [sorted(answer.tolist()) for answer in answers] == [
        ids[row].tolist() for row in expected
    ]
    assert all(answer.dtype == np.int64 for answer in answers)
    assert generations.count(name) == 300
    held: list[FaceIds] = list(generations.held(name))
    assert sorted(np.concatenate(held).tolist()) == ids.tolist()


def test_no_more_are_told_than_asked_for(generations: Generations) -> None:
    name = generations.create(EPOCH)
    add(generations, name, 7, 30)
    for limit in (1, 29, 30, 31):
        (ids,) = generations.search(name, FACE, 0.36, 0, FAR, limit)
        assert len(ids) == min(limit, 30)


def test_a_face_added_again_is_one_and_one_of_another_history_is_two(
    generations: Generations,
) -> None:
    name = generations.create(EPOCH)
    for word in ("one", "one", "two"):
        add(generations, name, 3, word=word)
    assert found(generations, name) == [3 * 256, 3 * 256]
    assert generations.count(name) == 2
    generations.remove(name, [3])
    assert generations.count(name) == 0


def test_images_are_removed_whole_and_repeatably(generations: Generations) -> None:
    name = generations.create(EPOCH)
    for position in range(1, 1201):
        add(generations, name, position, 2 if position < 4 else 1)
    for _ in range(2):
        generations.remove(name, [2, 5000, *range(4, 1201)])
    assert found(generations, name) == [256, 257, 768, 769]
    generations.remove(name, [])
    assert generations.count(name) == 4


def test_generations_do_not_know_of_each_other(generations: Generations) -> None:
    one, two = generations.create(EPOCH), generations.create(EPOCH)
    add(generations, one, 1)
    add(generations, two, 2)
    generations.drop(one)
    generations.drop(one)
    assert generations.names() == [two]
    assert found(generations, two) == [512]
    calls = (
        lambda: add(generations, one, 1),
        lambda: found(generations, one),
        lambda: generations.remove(one, [1]),
        lambda: generations.count(one),
    )
    for call in calls:
        with pytest.raises(Unavailable) as raised:
            call()
        assert raised.value.code == "index_unavailable"


def test_collections_of_a_service_share_a_milvus(milvus_url: str) -> None:
    names = ("default", "default_01234567", "a-b", "a_2d_b")
    made = {name: Milvus(milvus_url, name, timeout=10) for name in names}
    held = {name: milvus.create(EPOCH) for name, milvus in made.items()}
    for name, milvus in made.items():
        milvus.add_place(place(held[name]))
    for name, milvus in made.items():
        assert milvus.names() == [held[name]]
        assert milvus.places() == [place(held[name])]
        milvus.close()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("milvus+http://milvus:19530", ("http://milvus:19530", "", "")),
        ("milvus+http://[::1]:19530/", ("http://[::1]:19530", "", "")),
        ("milvus+https://ann:p%40ss@m.test/faces", ("https://m.test", "ann:p@ss", "faces")),
    ],
)
def test_the_url_of_a_milvus(url: str, expected: tuple[str, str, str]) -> None:
    assert address(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        *("http://m:19530", "milvus+tcp://m:19530", "milvus+http://", "milvus+http://m:secret"),
        *("milvus+http://ann:secret@m:port", "milvus+http://m/a/secret", "milvus+http://m?secret"),
        "milvus+http://ann:sec[ret@m",
    ],
)
def test_a_url_of_another_form_is_misconfigured_and_not_quoted(url: str) -> None:
    with pytest.raises(Misconfigured, match=r"milvus\+http://host:19530") as raised:
        Milvus(url)
    assert "secret" not in str(raised.value)


def test_an_edition_is_forgotten_in_milvus_and_no_other(milvus_url: str) -> None:
    with closing(Milvus(milvus_url)) as kept, closing(Milvus(milvus_url, "default~1")) as dropped:
        for generations in (kept, dropped):
            name = generations.create(EPOCH)
            generations.add_place(place(name))
            add(generations, name, 1)
        for _ in range(2):
            forget(milvus_url, "default~1")
            assert dropped.names() == dropped.places() == []
        [left] = kept.places()
        assert found(kept, left.generation) == face_ids(1, 1).tolist()
    forget("unix:/nowhere", "default~1")
