"""One contract for which collections there are: in memory, in Redis, in Valkey."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from submitting import MODEL, link, submit
from waiting import eventually

from facematch.collection_name import DEFAULT, served_name
from facematch.collections import Collections
from facematch.commands import fsck
from facematch.commands.reindex_parts import Parts
from facematch.errors import Conflict, NotFound, Unavailable
from facematch.faces import image_hash
from facematch.memory_collections import MemoryCollections
from facematch.memory_store import MemoryStore
from facematch.policy import PolicyChange
from facematch.redis_collections import RedisCollections
from facematch.redis_connection import connect
from facematch.redis_reencoding import RedisReencoding
from facematch.redis_reindexing import RedisReindexing
from facematch.redis_store import RedisStore
from facematch.store import Bounds, NewJob, State, Store

AS_IT_IS = PolicyChange()
IMAGE = image_hash(b"a")


@dataclass
class Service:
    """Collections, and the store of each: of its first edition, or as the api has it."""

    collections: Collections
    store: Callable[[str], Store]
    front: Callable[[str], Store]


@pytest.fixture(params=["memory", "redis", "valkey"])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    """With a default collection, at the threshold 0.6."""
    if request.param == "memory":
        memory = MemoryCollections(MemoryStore())
        memory._first.create(MODEL, 0.6)
        yield Service(memory, memory.store, memory.store)
        return
    client = connect(request.getfixturevalue(f"{request.param}_url"))
    RedisStore(client).create(MODEL, 0.6)
    yield Service(
        RedisCollections(client),
        lambda name: RedisStore(client, name),
        lambda name: RedisStore(client, served_name(name)),
    )
    client.close()


def forget(service: Service, name: str) -> None:
    """Until nothing is left."""
    for _ in range(1000):
        if service.collections.drop_some(name):
            return
    pytest.fail("it does not come to an end")


def accept(store: Store, data: bytes = b"a", job: str = "job") -> None:
    store.accept(NewJob(job, "a.jpg", image=image_hash(data), data=data), 1000)


def test_a_collection_is_of_the_model_and_the_policy_of_the_default_one(service: Service) -> None:
    about, made = service.collections.create("holiday", AS_IT_IS)
    assert made
    assert (about.name, about.collection.model, about.collection.threshold) == (
        *("holiday", MODEL, 0.6),
    )
    assert (about.images, about.pending, about.jobs) == (0, 0, 0)
    assert service.collections.about("holiday") == about
    assert service.store("holiday").collection() == about.collection
    assert about.collection.epoch != service.store(DEFAULT).collection().epoch


def test_a_policy_of_its_own_is_pinned(service: Service) -> None:
    policy = PolicyChange(0.5, 0.25, 7)
    about, _ = service.collections.create("strict", policy)
    served = about.collection.generations[0]
    assert (served.threshold, served.bounds) == (0.5, Bounds(0.25, 7))
    assert service.collections.create("strict", policy) == (about, False)
    assert service.collections.create("strict", AS_IT_IS) == (about, False)
    for other in (PolicyChange(0.6), PolicyChange(0.5, 0), PolicyChange(max_matches=8)):
        with pytest.raises(Conflict) as raised:
            service.collections.create("strict", other)
        assert raised.value.code == "collection_exists"
    with pytest.raises(Conflict):
        service.collections.create(DEFAULT, policy)
    assert service.collections.create(DEFAULT, PolicyChange(0.6))[1] is False


@pytest.mark.parametrize("name", ["", "A", "a/b", "~1", "a~1", "-a", "a" * 64, "{a}", "é"])
def test_what_is_no_name_makes_none(service: Service, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        service.collections.create(name, AS_IT_IS)


def test_collections_know_nothing_of_each_other(service: Service) -> None:
    service.collections.create("holiday", AS_IT_IS)
    accept(service.front("holiday"))
    with pytest.raises(NotFound):
        service.front(DEFAULT).image(IMAGE)
    with pytest.raises(NotFound):
        service.front(DEFAULT).job("job")
    assert service.front("holiday").job("job").state is State.ACCEPTED
    place = submit(service.store(DEFAULT), b"a")
    link(service.store(DEFAULT), b"a", place)
    assert service.front("holiday").image(IMAGE).state is State.ACCEPTED
    abouts = {one.name: one for one in service.collections.page(10)[0]}
    assert (abouts["holiday"].images, abouts["holiday"].jobs) == (0, 1)
    assert (abouts[DEFAULT].images, abouts[DEFAULT].jobs) == (1, 0)


def test_an_accepted_job_says_whose_it_is(service: Service) -> None:
    service.collections.create("holiday", AS_IT_IS)
    for name in (DEFAULT, "holiday"):
        new = NewJob("job", "a.jpg", image=IMAGE, data=b"a")
        assert service.front(name).accept(new, 1000).collection == name


def test_uploads_that_wait_are_counted_in_all_collections_together(service: Service) -> None:
    def full(name: str, data: bytes) -> bool:
        try:
            accept(service.front(name), data, data.decode())
        except Unavailable as error:
            return error.code == "backlog_full"
        return False

    for name in ("one", "other"):
        service.collections.create(name, AS_IT_IS)
    assert not full("one", b"a" * 400)
    assert not full("other", b"b" * 400)
    assert full(DEFAULT, b"c" * 201)
    assert full("one", b"c" * 201)
    assert not full("other", b"b" * 400)  # bytes that wait already
    service.store("other").fail("b" * 400, "bad_image", "")
    assert not full(DEFAULT, b"c" * 201)
    assert full("other", b"d" * 400)
    service.collections.drop("one")
    assert not full("other", b"d" * 400)
    forget(service, "one")
    service.collections.drop(DEFAULT)
    assert not full("other", b"e" * 600)
    assert full("other", b"f")
    forget(service, DEFAULT)
    assert full(DEFAULT, b"f")
    for job in (b"d" * 400, b"e" * 600):
        service.store("other").fail(job.decode(), "bad_image", "")
    assert not full(DEFAULT, b"f" * 1000)


def test_uploads_that_an_older_version_took_are_counted_from_the_next_change_on(
    redis_url: str,
) -> None:
    """It knows of no count of all: there is none, then what it takes away is still counted."""
    with connect(redis_url) as client:
        store, other = RedisStore(client), RedisCollections(client)
        store.create(MODEL, 0.6)
        other.create("other", AS_IT_IS)
        accept(store, b"a" * 400, "a")
        client.delete("fm:uploads")
        with pytest.raises(Unavailable):
            accept(store, b"b" * 601, "b")
        accept(RedisStore(client, "other"), b"b" * 601, "b")
        store.fail("a", "bad_image", "")
        assert client.hgetall("fm:uploads") == {b"total": b"601", b"fm:{other}:": b"601"}
        accept(store, b"c" * 300, "c")
        client.hincrby("fm:{default}:meta", "backlog", -300)
        # Who looks after jobs looks at that, too.
        store.due_jobs(30, 10)
        assert client.hgetall("fm:uploads") == {b"total": b"601", b"fm:{other}:": b"601"}


def test_of_a_collection_that_is_not_there_nothing_is_told_or_made(service: Service) -> None:
    def refused(act: Callable[[], object]) -> None:
        with pytest.raises(NotFound) as raised:
            act()
        assert raised.value.code == "unknown_collection"

    refused(lambda: service.collections.about("nobody"))
    refused(lambda: service.collections.drop("nobody"))
    refused(lambda: accept(service.front("nobody")))
    refused(lambda: service.front("nobody").image(IMAGE))
    refused(lambda: service.front("nobody").matches(IMAGE, 10))
    refused(lambda: service.front("nobody").job("job"))
    refused(lambda: service.front("nobody").erase(IMAGE))
    refused(lambda: service.store("nobody").begin("job"))
    refused(lambda: service.store("nobody").due_jobs(10, 0))
    assert service.collections.names() == [DEFAULT]


def test_pages_are_in_the_order_of_the_names_with_the_default_one_at_its_place(
    service: Service,
) -> None:
    for name in ("b", "z-1", "a", "e", "c", "d"):
        service.collections.create(name, AS_IT_IS)
    ordered = ["a", "b", "c", "d", DEFAULT, "e", "z-1"]
    for limit in range(1, 9):
        found: list[str] = []
        after = ""
        while True:
            page, after = service.collections.page(limit, after)
            assert len(page) <= limit
            found += [one.name for one in page]
            if not after:
                break
        assert found == ordered, limit
    assert service.collections.names() == [DEFAULT, "a", "b", "c", "d", "e", "z-1"]


def test_an_erased_one_is_gone_at_once_and_its_name_free_when_nothing_is_left(
    service: Service,
) -> None:
    service.collections.create("holiday", AS_IT_IS)
    accept(service.front("holiday"))
    front, store = service.front("holiday"), service.store("holiday")
    upto = service.collections.drop("holiday")
    assert service.collections.drop("holiday") == upto
    assert service.collections.dropping() == ["holiday"]
    for act in (lambda: front.job("job"), lambda: accept(front), lambda: store.begin("job")):
        with pytest.raises(NotFound) as raised:
            service.front("holiday") and act()
        assert raised.value.code == "unknown_collection"
    assert [one.name for one in service.collections.page(10)[0]] == [DEFAULT]
    with pytest.raises(Unavailable) as put_off:
        service.collections.create("holiday", AS_IT_IS)
    assert put_off.value.code == "collection_erasing"

    told: list[str] = []
    while not service.collections.drop_some("holiday", told.append):
        pass
    assert told == ["holiday"]
    assert service.collections.dropping() == []
    assert service.collections.names() == [DEFAULT]
    _, made = service.collections.create("holiday", AS_IT_IS)
    assert made
    with pytest.raises(NotFound) as raised:
        service.front("holiday").job("job")
    assert raised.value.code == "not_found"


def test_erasing_one_that_is_not_there_leaves_nothing_to_be_done(service: Service) -> None:
    with pytest.raises(NotFound):
        service.collections.drop("nobody")
    assert service.collections.dropping() == []
    assert service.collections.names() == [DEFAULT]


def test_an_erasure_is_repeated_but_hits_no_later_collection_of_that_name(
    service: Service,
) -> None:
    service.collections.create("holiday", AS_IT_IS)
    upto = service.collections.drop("holiday")
    forget(service, "holiday")
    assert service.collections.drop("holiday", upto) == 0  # there is none
    service.collections.create("holiday", AS_IT_IS)
    assert service.collections.drop("holiday", upto) == 0
    assert service.collections.about("holiday").jobs == 0
    # As it is after a backup was put back: what is there was made before.
    later = service.collections.drop("holiday", upto + 10**15)
    assert later == upto + 10**15
    with pytest.raises(NotFound):
        service.collections.about("holiday")


def test_the_default_one_is_emptied_and_stays_as_it_was(service: Service) -> None:
    first = service.store(DEFAULT)
    place = submit(first, b"a")
    link(first, b"a", place)
    before = first.collection()
    upto = service.collections.drop(DEFAULT)
    with pytest.raises(Unavailable) as raised:
        service.front(DEFAULT).image(IMAGE)
    assert raised.value.code == "collection_erasing"
    forget(service, DEFAULT)
    after = service.store(DEFAULT).collection()
    assert after.epoch != before.epoch
    assert (after.model, after.tail.position, after.live_faces) == (MODEL, 0, 0)
    assert after.generations == before.generations
    assert list(service.store(DEFAULT).live()) in ([], [[]])
    with pytest.raises(NotFound) as gone:
        service.front(DEFAULT).image(IMAGE)
    assert gone.value.code == "not_found"
    assert service.collections.drop(DEFAULT, upto) == 0
    assert submit(service.store(DEFAULT), b"a").position == 1


def test_whoever_says_so_is_looked_at_for_a_while(service: Service) -> None:
    service.collections.create("holiday", AS_IT_IS)
    assert service.collections.touched(60) == [DEFAULT]
    service.collections.touch("holiday")
    assert service.collections.touched(60) == [DEFAULT, "holiday"]
    assert service.collections.touched(-60) == [DEFAULT]
    service.collections.touch(DEFAULT)
    assert service.collections.touched(60) == [DEFAULT, "holiday"]
    service.collections.drop("holiday")
    forget(service, "holiday")
    assert service.collections.touched(60) == [DEFAULT]


def test_changes_in_all_collections_are_heard(service: Service) -> None:
    service.collections.create("holiday", AS_IT_IS)
    heard: list[str | None] = []
    stop = threading.Event()

    def listen() -> None:
        for event in service.collections.listen(10):
            heard.append(event)
            if stop.is_set():
                return

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        eventually(lambda: heard)
        for name, data in ((DEFAULT, b"a"), ("holiday", b"b")):
            submit(service.store(name), data)
        eventually(lambda: {f"image:{image_hash(data)}" for data in (b"a", b"b")} <= set(heard))
    finally:
        stop.set()
        submit(service.store(DEFAULT), b"c")  # who listens hears of it, and looks
        thread.join()


def test_in_redis_nothing_is_left_but_the_number_that_was_given_last(redis_url: str) -> None:
    with connect(redis_url) as client:
        RedisStore(client).create(MODEL, 0.6)
        collections = RedisCollections(client)
        before = {key for key in client.keys("*") if b"{default}" not in key}
        collections.create("holiday", AS_IT_IS)
        store = RedisStore(client, "holiday")
        for number in range(300):
            link(store, b"%d" % number, submit(store, b"%d" % number))
        collections.drop("holiday")
        while not collections.drop_some("holiday"):
            pass
        left = {key for key in client.keys("*") if b"{default}" not in key} - before
        assert left == {b"fm:{holiday}:submissions"}


def test_a_crash_between_name_and_collection_leaves_a_name_that_is_taken_out_again(
    redis_url: str,
) -> None:
    with connect(redis_url) as client:
        RedisStore(client).create(MODEL, 0.6)
        collections = RedisCollections(client)
        client.zadd("fm:collections", {"half": 0})
        assert [one.name for one in collections.page(10)[0]] == [DEFAULT]
        assert collections.names() == [DEFAULT, "half"]
        assert collections.drop_some("half")
        assert collections.names() == [DEFAULT]


def test_fsck_looks_at_all_collections_or_at_one(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEMATCH_REDIS_URL", redis_url)
    monkeypatch.setenv("FACEMATCH_INDEX_URL", "unix:/nowhere/index.sock")
    with connect(redis_url) as client:
        RedisStore(client).create(MODEL, 0.6)
        RedisCollections(client).create("holiday", AS_IT_IS)
        for name in (DEFAULT, "holiday"):
            store = RedisStore(client, name)
            link(store, b"a", submit(store, b"a"))
            link(store, b"b", submit(store, b"b"), (1, 0.0))
        assert fsck.check(None).findings == ()
        client.delete("fm:{holiday}:matches:1")
        report = fsck.check(None)
        assert report.images == 4
        assert report.findings
        assert all(one.detail.startswith("collection holiday: ") for one in report.findings)
        assert fsck.check(None, DEFAULT).findings == ()
        assert len(fsck.check(None, "holiday").findings) == len(report.findings)
        with pytest.raises(NotFound):
            fsck.check(None, "nobody")


def test_while_there_are_others_no_other_encoder_is_changed_over_to(redis_url: str) -> None:
    with connect(redis_url) as client:
        RedisStore(client).create(MODEL, 0.6)
        reencoding = RedisReencoding(client)
        parts = Parts(client, reencoding, RedisReindexing(client), None, None)
        assert not parts.has_other_collections()
        reencoding.begin("another-model", 0.6, "e", "hog")
        with pytest.raises(Conflict) as raised:
            RedisCollections(client).create("holiday", AS_IT_IS)
        assert raised.value.code == "reindex_exists"
        reencoding.built(1)
        reencoding.switch(1)
        reencoding.drop(1)
        while not reencoding.drop_some():
            pass
        about, _ = RedisCollections(client).create("holiday", AS_IT_IS)
        assert about.collection.model == "another-model"
        # Its jobs are for the workers that have that model.
        job = RedisStore(client, served_name("holiday")).accept(
            NewJob("job", "a.jpg", image=IMAGE, data=b"a"), 1000
        )
        assert (job.edition, job.collection) == (1, "holiday")
        assert RedisStore(client, "holiday~1").begin("job").state is State.ACCEPTED
        assert parts.has_other_collections()
        RedisCollections(client).drop(DEFAULT)
        while not RedisCollections(client).drop_some(DEFAULT):
            pass
        assert reencoding.editions().served.number == 1
        assert RedisStore(client, "default~1").collection().model == "another-model"
