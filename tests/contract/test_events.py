"""One contract for what has happened: in memory, in Redis, in Valkey."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from submitting import BACKLOG, MODEL, RATED, commit, link, place, rated, upload

from facematch.collection_name import edition_name, served_name
from facematch.errors import Rejected
from facematch.events import BEGINNING, Event, Events, Kind, document_of
from facematch.faces import image_hash
from facematch.match_scores import rate_of
from facematch.memory_events import MemoryEvents
from facematch.memory_reencoding import MemoryFront, MemoryReencoding
from facematch.memory_store import MemoryStore
from facematch.redis_connection import connect
from facematch.redis_events import RedisEvents
from facematch.redis_reencoding import RedisReencoding
from facematch.redis_store import RedisStore
from facematch.reencoding import Reencoding
from facematch.store import Bounds, Front, NewJob, State, Store


@dataclass
class Service:
    """A collection with all its parts. `forget`: trims so many of the oldest changes."""

    front: Front
    reencoding: Reencoding
    of: Callable[[int], Store]
    events: Events
    forget: Callable[[int], None]
    keys: Callable[[], set[str]]

    @property
    def store(self) -> Store:
        return self.of(0)

    def all(self, place: str = BEGINNING, limit: int = 1000) -> list[Event]:
        """Whatever page they come on."""
        found: list[Event] = []
        while True:
            page = self.events.since(place, limit)
            assert not page.gone
            assert len(page.events) <= limit
            found += page.events
            if not page.more:
                return found
            assert page.place != place
            place = page.place

    def told(self, place: str = BEGINNING) -> list[tuple[str, str, str]]:
        """Kind, image and job (or the other image of a match) of each."""
        return [(str(e.kind), e.image, e.job or e.match) for e in self.all(place)]


@pytest.fixture(params=["memory", "redis", "valkey"])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    """With a collection of no images."""
    if request.param == "memory":
        memory = MemoryReencoding(MemoryStore())
        first = memory.served()
        first.create(MODEL, 0.6, RATED)

        def forget(count: int) -> None:
            for _ in range(count):
                first._happened.popleft()

        def jobs_kept() -> set[str]:
            return {image for image, record in first._images.items() if record.jobs}

        events = MemoryEvents(first)
        of = memory.stores.__getitem__
        yield Service(MemoryFront(memory), memory, of, events, forget, jobs_kept)
        return
    client = connect(request.getfixturevalue(f"{request.param}_url"))
    RedisStore(client).create(MODEL, 0.6, RATED)

    def trim(count: int) -> None:
        length = client.xlen("fm:{default}:happened")
        client.xtrim("fm:{default}:happened", maxlen=length - count, approximate=False)

    yield Service(
        RedisStore(client, served_name("default")),
        RedisReencoding(client),
        lambda number: RedisStore(client, edition_name("default", number)),
        RedisEvents(client),
        trim,
        lambda: {key.decode()[-64:] for key in client.keys("fm:{default}:jobs:*")},
    )
    client.close()


def done(service: Service, data: bytes, *others: tuple[int, float, int]) -> int:
    """An image that is done, with these matches; its position."""
    at = place(service.store, data)
    rated(service.store, data, at, *others)
    return at.position


def test_a_collection_begins_without_events(service: Service) -> None:
    page = service.events.since("", 10)
    assert (page.events, page.place, page.gone, page.more) == ((), BEGINNING, False, False)
    assert service.all() == []


def test_an_image_that_is_done_is_told_of_with_its_submissions(service: Service) -> None:
    before = time.time()
    first = upload(service.store, b"a")
    at = commit(service.store, first, b"a", norms=None)
    again = upload(service.store, b"a")
    assert service.all() == []
    link_it(service, b"a", at)
    told = service.told()
    assert set(told) == {("done", image_hash(b"a"), first), ("done", image_hash(b"a"), again)}
    assert len(told) == 2
    # Who submits it now is told of at once.
    late = upload(service.store, b"a")
    assert service.told()[2:] == [("done", image_hash(b"a"), late)]
    assert all(before - 1 < event.time < time.time() + 1 for event in service.all())
    assert service.keys() == set()


def link_it(service: Service, data: bytes, at: object) -> None:
    rated(service.store, data, at)  # type: ignore[arg-type]


def test_an_image_without_faces_is_done_when_it_was_looked_at(service: Service) -> None:
    job = upload(service.store, b"a")
    commit(service.store, job, b"a", faces=0)
    assert service.told() == [("done", image_hash(b"a"), job)]


def test_a_url_that_leads_to_a_known_image_is_done(service: Service) -> None:
    done(service, b"a")
    (first,) = service.all()
    service.front.accept(NewJob("by-url", "http://x/", url="http://x/"), BACKLOG)
    service.store.begin("by-url")
    commit(service.store, "by-url", b"a")
    assert service.told(first.id) == [("done", image_hash(b"a"), "by-url")]


def test_what_is_said_twice_is_told_of_once(service: Service) -> None:
    jobs = [upload(service.store, data) for data in (b"a", b"empty")]
    for _ in range(2):
        at = commit(service.store, jobs[0], b"a")
        commit(service.store, jobs[1], b"empty", faces=0)
    for _ in range(2):
        link_it(service, b"a", at)
        commit(service.store, jobs[0], b"a")
    assert sorted(job for _, _, job in service.told()) == sorted(jobs)


def test_a_failure_is_told_of_with_its_code(service: Service) -> None:
    job = upload(service.store, b"a")
    service.front.accept(NewJob("by-url", "http://x/", url="http://x/"), BACKLOG)
    service.store.fail(job, "not_an_image", "looks like text")
    service.store.fail("by-url", "unreachable", "nobody there")
    service.store.fail("by-url", "unreachable", "said twice")
    first, second = service.all()
    assert (first.kind, first.job, first.image) == (Kind.FAILED, job, image_hash(b"a"))
    assert (first.code, second.code) == ("not_an_image", "unreachable")
    assert (second.job, second.image) == ("by-url", "")
    assert document_of(second) == {
        "id": second.id,
        "type": "failed",
        "time": second.time,
        "hash": None,
        "job": "by-url",
        "code": "unreachable",
    }


def test_the_matches_of_a_new_image_are_told_of_each_older_one(service: Service) -> None:
    a, b = done(service, b"a"), done(service, b"b")
    last = service.all()[-1]
    done(service, b"c", (a, 0.5, 9000), (b, 0.25, 3000))
    new = service.all(last.id)
    hashes = {name: image_hash(name) for name in (b"a", b"b", b"c")}
    assert [(e.kind, e.image, e.match) for e in new] == [
        (Kind.DONE, hashes[b"c"], ""),
        (Kind.MATCHED, hashes[b"b"], hashes[b"c"]),
        (Kind.MATCHED, hashes[b"a"], hashes[b"c"]),
    ]
    assert (new[1].distance, new[1].false_match_rate) == (0.25, rate_of(3000))
    assert document_of(new[1])["match"] == {
        "hash": hashes[b"c"],
        "distance": 0.25,
        "false_match_rate": rate_of(3000),
    }
    # It is that of the newer one only: of a pair one is told once.
    done(service, b"d", (a, 0.5, 9000))
    assert [e for e in service.all() if e.kind is Kind.MATCHED][:2] == new[1:]
    assert len([e for e in service.all() if e.kind is Kind.MATCHED]) == 3


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_it_is_gone_on_behind_any_event(service: Service, limit: int) -> None:
    positions = [done(service, b"%d" % number) for number in range(3)]
    # Two of them are as certain as each other.
    done(service, b"new", *((at, 0.5, 9000 + at // 2) for at in positions))
    service.front.erase(image_hash(b"0x"), upto=1)
    everything = service.all()
    assert len(everything) == 7
    assert len({event.id for event in everything}) == 7
    assert service.all(limit=limit) == everything
    for number, event in enumerate(everything):
        assert service.all(event.id, limit) == everything[number + 1 :]


def test_an_erasure_is_told_of_and_leaves_no_match_to_be_told(service: Service) -> None:
    a = done(service, b"a")
    b = done(service, b"b", (a, 0.5, 9000))
    done(service, b"c", (a, 0.5, 9000), (b, 0.5, 9000))
    matched = [e for e in service.all() if e.kind is Kind.MATCHED]
    assert len(matched) == 3
    service.front.erase(image_hash(b"a"))
    service.front.erase(image_hash(b"a"))
    after = service.all()
    assert [e for e in after if e.kind is Kind.MATCHED] == [
        e for e in matched if e.image != image_hash(b"a")
    ]
    assert service.told()[-1] == ("erased", image_hash(b"a"), "")
    assert [e.kind for e in after].count(Kind.ERASED) == 1
    # Whoever has seen a match with it last goes on behind that.
    for seen in matched:
        assert service.told(seen.id)[-1] == ("erased", image_hash(b"a"), "")
    service.front.erase(image_hash(b"c"))
    assert [e.image for e in service.all() if e.kind is Kind.MATCHED] == []


def test_a_submission_of_what_was_erased_is_told_of(service: Service) -> None:
    job = upload(service.store, b"a")
    service.front.erase(image_hash(b"a"))
    service.store.begin(job)
    assert service.told() == [
        ("erased", image_hash(b"a"), ""),
        ("erased", image_hash(b"a"), job),
    ]
    commit(service.store, upload(service.store, b"b"), b"b")
    assert service.keys() == {image_hash(b"b")}
    service.front.erase(image_hash(b"b"))
    assert service.keys() == set()


def test_what_match_sets_leave_out_is_not_told_of(service: Service) -> None:
    reindex_free = service.store.create(MODEL, 0.6, RATED, Bounds())
    assert reindex_free.generations[0].bounds == Bounds()
    a = done(service, b"a")
    done(service, b"b", (a, 0.7, 9000))  # beyond the threshold
    assert [e for e in service.all() if e.kind is Kind.MATCHED] == []


def test_a_place_that_is_gone_says_so(service: Service) -> None:
    for number in range(4):
        done(service, b"%d" % number)
    everything = service.all()
    service.forget(2)  # done and linked of the first
    gone = service.events.since(everything[0].id, 10)
    assert (gone.events, gone.gone, gone.more) == ((), True, False)
    assert service.events.since(BEGINNING, 10).gone
    assert service.all(everything[1].id) == everything[2:]
    done(service, b"later")
    assert [e.image for e in service.all(gone.place)] == [image_hash(b"later")]
    assert service.events.since("99999999999999-7", 10).gone


@pytest.mark.parametrize(
    "place", ["x", "1", "1-", "-1", "1-0_1", "1-0_x_1", "1-0_1.2.3_4", "99999999999999999999-0"]
)
def test_what_is_no_place_is_refused(service: Service, place: str) -> None:
    with pytest.raises(Rejected) as raised:
        service.events.since(place, 10)
    assert raised.value.code == "bad_cursor"


def test_only_the_edition_that_is_served_is_told_of(service: Service) -> None:
    there = service.reencoding.begin("another-model", 0.6, "", "")
    assert there.other is not None
    other = service.of(there.other.number)
    job = "both"
    service.front.accept(NewJob(job, "a", image=image_hash(b"a"), data=b"a"), BACKLOG)
    service.store.begin(job)
    rated(service.store, b"a", commit(service.store, job, b"a"))
    assert service.told() == [("done", image_hash(b"a"), job)]
    other.begin(job)
    at = commit(other, job, b"a", model="another-model")
    assert at.state is State.INDEXED
    link(other, b"a", at)
    assert len(service.all()) == 1
    service.reencoding.built(there.other.number)
    service.reencoding.switch(there.other.number)
    service.front.accept(NewJob("late", "b", image=image_hash(b"b"), data=b"b"), BACKLOG)
    other.begin("late")
    link(other, b"b", commit(other, "late", b"b", model="another-model"), (at.position, 0.5))
    assert [e.kind for e in service.all()] == [Kind.DONE, Kind.DONE, Kind.MATCHED]


def test_who_waits_hears_soon_and_not_for_nothing(service: Service) -> None:
    page = service.events.since("", 1)
    begun = time.monotonic()
    service.events.wait(page.place, 0.1)
    assert 0.05 < time.monotonic() - begun < 3
    job = upload(service.store, b"x")
    timer = threading.Timer(0.2, service.store.fail, (job, "bad_image", ""))
    timer.start()
    begun = time.monotonic()
    service.events.wait(page.place, 4)
    assert time.monotonic() - begun < 3
    timer.join()
    # Of what has happened already one need not wait.
    begun = time.monotonic()
    service.events.wait(page.place, 4)
    assert time.monotonic() - begun < 1


@pytest.mark.parametrize("older", [False, True])
def test_a_call_looks_at_a_few_thousand_matches_whoever_they_are_told_of(
    redis_url: str, older: bool
) -> None:
    with connect(redis_url) as client:
        store, events = RedisStore(client), RedisEvents(client)
        store.create(MODEL, 0.6)
        at = place(store, b"a")
        link(store, b"a", at)
        # It is of the same person as thousands that came after it, and as one before.
        base = "fm:{default}:"
        others = {f"{at.position + number}": 2e6 for number in range(1, 5001)}
        if older:
            client.hset(f"{base}positions", "0", "0" * 64)
            others["0"] = 3e6
        client.zadd(f"{base}matches:{at.position}", others)
        told, places = [], [BEGINNING]
        while True:
            page = events.since(places[-1], 1000)
            told += [event.kind for event in page.events]
            places.append(page.place)
            if not page.more:
                break
        assert told == [Kind.DONE, *[Kind.MATCHED] * older]
        assert len(set(places)) == len(places) == 4
