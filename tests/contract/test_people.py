"""One contract for people: in memory, in Redis, in Valkey."""

from collections.abc import Iterator
from typing import TypeAlias

import pytest
from submitting import MODEL, RATED, commit, link, rated, upload

from facematch.errors import Conflict, NotFound
from facematch.faces import image_hash
from facematch.memory_people import MemoryPeople
from facematch.memory_store import MemoryStore
from facematch.people import Grouping, PeopleCursor, Person, Regrouped, Said, face_id
from facematch.redis_connection import connect
from facematch.redis_people import RedisPeople
from facematch.redis_store import RedisStore
from facematch.store import Committed, Store

IMAGES = [b"a", b"b", b"c"]
#: Two faces in each of the images at positions 1, 2 and 3.
ONE, OTHER, THIRD = ([face_id(position, number) for number in range(2)] for position in (1, 2, 3))
AnyPeople: TypeAlias = MemoryPeople | RedisPeople


@pytest.fixture(params=["memory", "redis", "valkey"])
def fresh(request: pytest.FixtureRequest) -> Iterator[tuple[Store, AnyPeople]]:
    """A store without a collection."""
    if request.param == "memory":
        memory = MemoryStore()
        yield memory, MemoryPeople(memory)
        return
    client = connect(request.getfixturevalue(f"{request.param}_url"))
    yield RedisStore(client), RedisPeople(client)
    client.close()


@pytest.fixture
def store(fresh: tuple[Store, AnyPeople]) -> Store:
    """Three images with two faces each, the last one not linked."""
    store = fresh[0]
    store.create(MODEL, 0.6, RATED)
    for image in IMAGES:
        place = commit(store, upload(store, image, f"{image.decode()}.jpg"), image, faces=2)
        if image != b"c":
            rated(store, image, place, *([(1, 0.3, 9000)] if image == b"b" else []))
    return store


@pytest.fixture
def people(fresh: tuple[Store, AnyPeople], store: Store) -> AnyPeople:
    return fresh[1]


def put(people: AnyPeople, placed: dict[int, str]) -> None:
    assert people.commit(Regrouped(people.due(0).revision, placed, {})) is not None


def ada_and_bob(people: AnyPeople) -> None:
    put(people, {ONE[0]: "ada", OTHER[0]: "ada", OTHER[1]: "bob"})


def test_nobody_is_there_before_faces_are_grouped(people: AnyPeople) -> None:
    page = people.people(10)
    assert (page.people, page.next) == ((), None)
    assert page.ungrouped == 2
    assert people.people_of(image_hash(b"a")) == {}
    with pytest.raises(NotFound) as caught:
        people.person("ada", 10)
    assert caught.value.code == "no_person"
    with pytest.raises(NotFound) as caught:
        people.people_of(image_hash(b"never seen"))
    assert caught.value.code == "not_found"


def test_an_image_is_marked_when_its_matches_are_written(store: Store, people: AnyPeople) -> None:
    assert list(people.due(10).marks) == [1, 2]
    assert list(people.due(1).marks) == [1]
    rated(store, b"c", _place(store, b"c"), (2, 0.2, 9000))
    assert list(people.due(10).marks) == [1, 2, 3]


def _place(store: Store, data: bytes) -> Committed:
    shown = store.image(image_hash(data))
    return Committed(shown.state, shown.position, shown.nonce)


def test_where_nobody_is_grouped_nothing_is_marked(fresh: tuple[Store, AnyPeople]) -> None:
    store, people = fresh
    store.create(MODEL, 0.6)
    link(store, b"a", commit(store, upload(store, b"a"), b"a"))
    people.mark([1])
    store.erase(image_hash(b"a"))
    assert people.due(10).marks == {}


def test_what_is_placed_is_listed_with_most_faces_first(people: AnyPeople) -> None:
    ada_and_bob(people)
    ada, bob = Person("ada", "", 2), Person("bob", "", 1)
    assert people.people(10).people == (ada, bob)
    assert people.people(10, fewest=2).people == (ada,)
    first = people.people(1)
    assert (first.people, first.next) == ((ada,), PeopleCursor(2, "ada"))
    assert people.people(1, first.next).people == (bob,)
    assert people.people(1, first.next).next is None
    assert people.people_of(image_hash(b"b")) == {0: ada, 1: bob}
    page = people.person("ada", 10)
    assert page.person == ada
    assert [(face.id, face.image, face.number, face.names) for face in page.faces] == [
        (ONE[0], image_hash(b"a"), 0, ("a.jpg",)),
        (OTHER[0], image_hash(b"b"), 0, ("b.jpg",)),
    ]
    assert page.faces[0].box.bottom == 3
    assert people.person("ada", 1).next == ONE[0]
    assert [face.id for face in people.person("ada", 1, ONE[0]).faces] == [OTHER[0]]


def test_a_cursor_outlives_the_person_it_was_of(people: AnyPeople) -> None:
    put(people, dict(zip(ONE + OTHER, ["a", "b", "c", "d"], strict=True)))
    cursor = people.people(2).next
    assert cursor == PeopleCursor(1, "b")
    put(people, {ONE[1]: "a"})
    assert [one.id for one in people.people(10, cursor).people] == ["c", "d"]


def test_what_was_read_before_something_changed_is_not_written(people: AnyPeople) -> None:
    due = people.due(10)
    ada_and_bob(people)
    late = Regrouped(due.revision, {ONE[1]: "eve"}, due.marks)
    assert people.commit(late) is None
    assert people.placed(ONE + OTHER) == {ONE[0]: "ada", OTHER[0]: "ada", OTHER[1]: "bob"}
    assert people.due(10).marks == due.marks
    for change in (
        lambda: people.rename("ada", "Ada"),
        lambda: people.merge("ada", ["bob"]),
        lambda: people.split("ada", [(image_hash(b"a"), 0)], together=True),
        lambda: people.begin(Grouping(10_000, 11_000, 0), 0.1),
    ):
        due = people.due(10)
        change()
        assert people.commit(Regrouped(due.revision, {ONE[1]: "eve"}, {})) is None


def test_a_mark_that_came_after_the_look_stays(store: Store, people: AnyPeople) -> None:
    due = people.due(10)
    people.mark([2])
    assert people.commit(Regrouped(due.revision, {}, due.marks)) is not None
    assert list(people.due(10).marks) == [2]


def test_marking_all_ends_only_for_the_way_that_still_is(people: AnyPeople) -> None:
    first, second = Grouping(10_000, 11_000, 0), Grouping(9000, 11_000, 0)
    people.begin(first, 0.2)
    people.begin(second, 0.3)
    people.mark([1, 2, 3, 4], last=first)
    due = people.due(10)
    assert (due.marking, due.grouping, due.false_pairs) == (True, second, 0.3)
    assert list(due.marks) == [1, 2, 3]
    people.mark([], last=second)
    assert not people.due(10).marking


def test_an_erased_image_is_nobodys_at_once(store: Store, people: AnyPeople) -> None:
    ada_and_bob(people)
    people.rename("bob", "Bob")
    before = people.due(10)
    erased = store.erase(image_hash(b"b"))
    assert people.people(10).people == (Person("ada", "", 1),)
    assert people.people_of(image_hash(b"b")) == {}
    assert people.placed(ONE + OTHER) == {ONE[0]: "ada"}
    assert people.due(10).marks[2] > before.marks[2]
    late = Regrouped(people.due(10).revision, {OTHER[0]: "ada", ONE[1]: "ada"}, {})
    assert people.commit(late) is not None
    assert people.members(["ada", "bob"]) == {"ada": frozenset(ONE)}
    mark = people.due(10).marks[1]
    while not store.unlink(erased.position):
        pass
    assert people.due(10).marks[1] > mark


def test_a_name_stays_until_the_last_face_is_gone(people: AnyPeople) -> None:
    ada_and_bob(people)
    assert people.rename("ada", "Ada L.") == Person("ada", "Ada L.", 2)
    assert people.named(["ada", "bob"]) == {"ada"}
    put(people, {ONE[0]: "bob"})
    assert people.person("ada", 1).person.name == "Ada L."
    put(people, {OTHER[0]: "bob"})
    put(people, {OTHER[0]: "ada"})
    assert people.person("ada", 1).person.name == ""
    assert people.rename("bob", "Bob").name == "Bob"
    assert people.rename("bob", "").name == ""
    with pytest.raises(NotFound):
        people.rename("eve", "Eve")


def test_a_merge_is_seen_at_once_and_said(people: AnyPeople) -> None:
    ada_and_bob(people)
    people.rename("bob", "Bob")
    before = people.due(10)
    assert people.merge("ada", ["bob"]) == Person("ada", "Bob", 3)
    assert people.people(10).people == (Person("ada", "Bob", 3),)
    (said,) = people.said()
    assert (said.faces, said.others) == ({ONE[0], *OTHER}, None)
    assert all(people.due(10).marks[at] > before.marks[at] for at in (1, 2))
    with pytest.raises(NotFound) as caught:
        people.merge("ada", ["bob"])
    assert caught.value.code == "no_person"
    assert len(people.said()) == 1


def test_a_split_makes_another_person(people: AnyPeople) -> None:
    put(people, dict.fromkeys(ONE + OTHER, "ada"))
    faces = [(image_hash(b"b"), 0), (image_hash(b"b"), 1), (image_hash(b"b"), 0)]
    (new,) = people.split("ada", faces, together=True)
    assert new.faces == 2
    assert people.members(["ada", new.id]) == {"ada": frozenset(ONE), new.id: frozenset(OTHER)}
    apart, together = people.said()
    assert (apart.faces, apart.others) == (set(OTHER), set(ONE))
    assert (together.faces, together.others) == (set(OTHER), None)


def test_faces_that_are_somebody_elses_are_nobodys_at_first(people: AnyPeople) -> None:
    put(people, dict.fromkeys(ONE + OTHER, "ada"))
    faces = [(image_hash(b"a"), 1), (image_hash(b"b"), 1)]
    first, second = people.split("ada", faces, together=False)
    assert people.placed(ONE + OTHER) == {
        ONE[0]: "ada",
        ONE[1]: first.id,
        OTHER[0]: "ada",
        OTHER[1]: second.id,
    }
    (said,) = people.said()
    assert (said.faces, said.others) == ({ONE[1], OTHER[1]}, {ONE[0], OTHER[0]})


def test_a_split_that_does_not_go_changes_nothing(people: AnyPeople) -> None:
    ada_and_bob(people)
    before = people.due(10)
    for faces, code in (
        ([(image_hash(b"b"), 1)], "not_theirs"),
        ([(image_hash(b"a"), 0), (image_hash(b"a"), 7)], "not_theirs"),
        ([(image_hash(b"never seen"), 0)], "not_theirs"),
        ([(image_hash(b"a"), 0), (image_hash(b"b"), 0)], "nobody_left"),
    ):
        with pytest.raises(Conflict) as caught:
            people.split("ada", faces, together=True)
        assert caught.value.code == code
    with pytest.raises(NotFound):
        people.split("eve", [(image_hash(b"b"), 1)], together=True)
    assert people.due(10) == before
    assert people.said() == []


def test_what_is_said_of_the_gone_is_kept_without_them(people: AnyPeople) -> None:
    put(people, dict.fromkeys(ONE + OTHER, "ada"))
    people.split("ada", [(image_hash(b"b"), 0), (image_hash(b"b"), 1)], together=True)
    apart, together = people.said()
    shorter = [apart.without(frozenset(OTHER[:1])), together.without(frozenset(OTHER[:1]))]
    assert shorter[1] == Said(together.number, frozenset())
    written = Regrouped(people.due(10).revision, {}, {}, shorter)
    assert people.commit(written) is not None
    assert people.commit(written) is None
    assert people.said() == [Said(apart.number, frozenset(OTHER[1:]), frozenset(ONE))]
