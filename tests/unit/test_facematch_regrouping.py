"""Step by step through the store: what is marked is grouped anew, with what hangs on it."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted import people as drawn_people
from planted import pictures_of

from facematch import face_graph, regrouping
from facematch.calibration import calibration
from facematch.corrections import Apart, Corrections, FaceKey, Together
from facematch.face_graph import FaceGraph
from facematch.faces import Box, Encodings, Face, distances, image_hash
from facematch.grouping import limit_for
from facematch.identities import identify
from facematch.linkage import REACH
from facematch.match_scores import codes_of
from facematch.memory_people import MemoryPeople
from facematch.memory_store import MemoryStore
from facematch.people import Due, Regrouped, face_id
from facematch.people_check import check
from facematch.regrouping import regroup
from facematch.store import Commit, Link, NewJob

KNOWN = calibration("dlib-1")
RNG = np.random.default_rng(11)
ADA, BOB = drawn_people(RNG, 2)
ADAS, BOBS = pictures_of(RNG, ADA, 4), pictures_of(RNG, BOB, 4)


class Album:
    """A collection in memory that people are kept up of."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.store.create("planted", 0.6, "dlib-1")
        self.people = MemoryPeople(self.store)
        self.positions: dict[str, int] = {}
        self._faces: dict[str, Encodings] = {}
        ids = count()
        self._new_id: Callable[[], str] = lambda: f"{next(ids):02}"

    def add(self, *encodings: Encodings) -> str:
        """Take in an image with these faces, linked with all before it; its hash."""
        faces = np.stack(encodings)
        data = faces.tobytes()
        image = image_hash(data)
        job = f"job {len(self.positions)}"
        self.store.accept(NewJob(job, "a.png", "", image, data), 10**9)
        found, norms = [Face(Box(0, 1, 1, 0), face) for face in faces], KNOWN.norms(faces)
        place = self.store.commit(
            Commit(job, image, job, "planted", found, 1, 1, len(found), norms)
        )
        pairs, rated = [], []
        for other, its in self._faces.items():
            apart = distances(faces, its)
            if apart.min() <= 0.6:
                pairs.append((self.positions[other], float(apart.min())))
                rates = KNOWN.rates(apart, norms[:, None], KNOWN.norms(its)[None])
                rated.append(int(codes_of(rates.min())))
        tail = self.store.collection().tail
        self.store.link(
            Link(image, place, tail, "t", 0, pairs, True, codes=rated, calibration=KNOWN.name)
        )
        self.positions[image], self._faces[image] = place.position, faces
        return image

    def erase(self, image: str) -> None:
        erased = self.store.erase(image)
        while not self.store.unlink(erased.position):
            pass
        del self._faces[image]

    def group(self, at_once: int = 100) -> None:
        while regroup(self.store, self.people, at_once, self._new_id):
            pass
        checked = check(self.store, self.people)
        assert (checked.wrong, checked.ungrouped) == ((), 0)

    @property
    def groups(self) -> dict[str, set[FaceKey]]:
        return {
            person.id: {(face.image, face.number) for face in self._shown(person.id)}
            for person in self.people.people(1000).people
        }

    def _shown(self, person: str) -> Iterator[object]:
        yield from self.people.person(person, 1000).faces


@pytest.fixture
def album() -> Album:
    return Album()


def test_faces_of_one_image_are_different_people(album: Album) -> None:
    both = album.add(ADA, BOB)
    ada, bob = album.add(ADAS[0]), album.add(BOBS[0])
    album.group()
    assert sorted(album.groups.values(), key=sorted) == sorted(
        [{(both, 0), (ada, 0)}, {(both, 1), (bob, 0)}], key=sorted
    )


def test_with_data_of_the_schema_before_nobody_waits_to_be_grouped(album: Album) -> None:
    album.add(ADA)
    assert check(album.store, album.people).ungrouped == 1
    album.store._size = 0
    assert not regroup(album.store, album.people)
    assert check(album.store, album.people).ungrouped == 0


def test_a_person_keeps_its_id_as_faces_come_and_go(album: Album) -> None:
    first = album.add(ADAS[0])
    album.group()
    (ada,) = album.groups
    others = [album.add(encoding) for encoding in ADAS[1:]]
    album.group()
    assert set(album.groups) == {ada}
    album.erase(first)
    album.group()
    assert album.groups == {ada: {(image, 0) for image in others}}


def test_a_small_portion_at_a_time_ends_in_the_same_groups(album: Album) -> None:
    for ada, bob in zip(ADAS, BOBS, strict=True):
        album.add(ada, bob)
    album.group(at_once=1)
    assert sorted(map(len, album.groups.values())) == [4, 4]


def test_another_number_of_images_groups_all_anew(
    album: Album, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facematch.grouping.FEWEST_FACES", 2)
    begun: list[int] = []
    begin = album.people.begin
    monkeypatch.setattr(
        album.people, "begin", lambda way, pairs: (begun.append(way.limit), begin(way, pairs))
    )
    for encoding in (*ADAS, *BOBS):
        album.add(encoding)
        album.group()
    assert begun == [limit_for(2), limit_for(4), limit_for(8)]


def test_another_generation_of_match_sets_groups_all_anew(album: Album) -> None:
    from facematch.memory_reindexing import MemoryReindexing
    from facematch.reindexing import Matched, RangeLink

    first, second = album.add(ADAS[0]), album.add(ADAS[1])
    album.group()
    assert list(album.groups.values()) == [{(first, 0), (second, 0)}]
    reindexing = MemoryReindexing(album.store)
    made = reindexing.begin(0.01)
    tail = album.store.collection().tail
    reindexing.link(
        RangeLink(made.id, 1, tail, "t", 0, Matched.of([]), True, calibration=KNOWN.name)
    )
    reindexing.switch(made.id)
    album.group()
    assert len(album.groups) == 2


def test_what_somebody_else_wrote_meanwhile_is_not_overwritten(
    album: Album, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker reads, then somebody names; its look counts for nothing, and it looks again."""
    album.add(ADAS[0]), album.add(ADAS[1])
    album.group()
    (ada,) = album.groups
    album.people.mark([1, 2])
    due = album.people.due

    def late(limit: int) -> Due:
        found = due(limit)
        album.people.rename(ada, "Ada")
        monkeypatch.undo()
        return found

    monkeypatch.setattr(album.people, "due", late)
    assert regroup(album.store, album.people)
    assert list(album.people.due(10).marks) == [1, 2]
    album.group()
    assert album.people.person(ada, 1).person.name == "Ada"


def test_corrections_are_forgotten_with_the_faces(album: Album) -> None:
    images = [album.add(encoding) for encoding in (*ADAS[:2], *BOBS[:2])]
    album.group()
    one, other = album.groups
    album.people.merge(one, [other])
    album.group()
    assert len(album.groups) == 1
    for image in images[1:]:
        album.erase(image)
        album.group()
    assert album.people.said() == []


def test_the_graph_has_each_pair_once_for_each_of_its_faces(album: Album) -> None:
    one, other = album.add(ADAS[0], BOBS[0]), album.add(ADAS[1], BOBS[1])
    generation = album.store.collection().generations[0]
    graph = FaceGraph(album.store, generation, KNOWN, limit_for(0) + REACH)
    keys = graph.keys([1, 2, 3])
    assert keys == {(one, 0), (one, 1), (other, 0), (other, 1)}
    near = {face: dict(pairs.items()) for face, pairs in graph.near(keys).items()}
    faces = np.stack([ADAS[0], ADAS[1]])
    apart, norms = distances(faces[:1], faces[1:])[0, 0], KNOWN.norms(faces)
    code = int(codes_of(KNOWN.rates(apart, norms[0], norms[1])))
    assert near[one, 0] == {(other, 0): code}
    assert near[other, 0] == {(one, 0): code}
    assert near[one, 1].keys() == {(other, 1)}
    assert graph.keys_of([face_id(1, 1), face_id(9, 0)]) == {face_id(1, 1): (one, 1)}


# -- ids ----------------------------------------------------------------------------------------


def identified(
    groups: list[set[int]], person_of: dict[int, str], named: frozenset[str] = frozenset()
) -> list[str]:
    new = count()
    return identify([frozenset(one) for one in groups], person_of, named, lambda: f"new{next(new)}")


def test_an_id_goes_where_most_of_its_faces_are() -> None:
    was = dict.fromkeys(range(5), "ada")
    assert identified([{0, 1}, {2, 3, 4}, {9}], was) == ["new0", "ada", "new1"]


def test_a_group_of_several_takes_the_id_with_most_faces_or_that_of_who_has_a_name() -> None:
    was = {0: "ada", 1: "ada", 2: "bob"}
    assert identified([{0, 1, 2}], was) == ["ada"]
    assert identified([{0, 1, 2}], was, frozenset({"bob"})) == ["bob"]


@given(
    st.dictionaries(st.integers(0, 8), st.sampled_from("abc")),
    st.lists(st.integers(0, 3), min_size=9, max_size=9),
)
def test_no_id_is_given_twice_and_one_with_a_name_is_kept(
    was: dict[int, str], drawn: list[int]
) -> None:
    groups = [{face for face in range(9) if drawn[face] == one} for one in sorted(set(drawn))]
    ids = identified(groups, was, frozenset("a"))
    assert len(set(ids)) == len(ids)
    assert ("a" in was.values()) == ("a" in ids)


def test_nothing_that_is_written_is_empty() -> None:
    assert Regrouped(0, {}, {}).said == ()
    assert Corrections([Together(frozenset()), Apart(frozenset(), frozenset())]).settle([]) == []


def test_an_image_that_comes_while_others_are_looked_at_does_no_harm(
    album: Album, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(face_graph, "_PORTION", 1)
    album.group()
    album.add(ADAS[0])
    album.add(ADAS[1])
    assert regroup(album.store, album.people)
    album.add(ADAS[2])
    read, late = album.store.scores, [ADAS[3]]

    def scores(*asked: Any) -> Any:
        found = read(*asked)
        while late:
            album.add(late.pop())
        return found

    monkeypatch.setattr(album.store, "scores", scores)
    album.group()
    assert [len(faces) for faces in album.groups.values()] == [4]


def test_a_person_with_a_face_that_was_lost_is_looked_at_once(album: Album) -> None:
    for face in ADAS[:3]:
        album.add(face)
    album.group()
    del album.store._faces[2]
    album.people.mark([1])
    assert regroup(album.store, album.people)
    assert not regroup(album.store, album.people)


def test_a_look_takes_no_more_marks_than_there_is_room_for(
    album: Album, monkeypatch: pytest.MonkeyPatch
) -> None:
    for face in (*ADAS, *BOBS):
        album.add(face)
    monkeypatch.setattr(regrouping, "_TOGETHER", 1)
    monkeypatch.setattr(regrouping, "MOST_PAIRS", 1)
    looks = 0
    while regroup(album.store, album.people):
        looks += 1
    assert looks == 1 + 8  # first all are marked
    album.group()
    assert [len(faces) for faces in album.groups.values()] == [4, 4]
