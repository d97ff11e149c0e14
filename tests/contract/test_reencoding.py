"""One contract for a reindex to another encoder: in memory, in Redis, in Valkey."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from submitting import BACKLOG, MODEL, commit, link, listed, submit, upload

from facematch import redis_reencoding
from facematch.batches import Item
from facematch.collection_name import edition_name, served_name
from facematch.errors import Conflict, NotFound, Unavailable
from facematch.faces import image_hash
from facematch.memory_reencoding import MemoryFront, MemoryReencoding
from facematch.memory_reindexing import MemoryReindexing
from facematch.memory_store import MemoryStore
from facematch.privacy import Basis
from facematch.redis_batches import RedisBatches
from facematch.redis_connection import Redis, connect
from facematch.redis_reencoding import RedisReencoding
from facematch.redis_reindexing import RedisReindexing
from facematch.redis_store import RedisStore
from facematch.redis_webhooks import RedisWebhooks
from facematch.reencoding import Carried, Carry, Edition, Lag, Reencoding
from facematch.reindexing import Phase, Reindexing
from facematch.store import Front, Linked, NewJob, State, Store

OTHER_MODEL = "another-model"


@dataclass
class Service:
    """A collection with all its parts."""

    front: Front
    reencoding: Reencoding
    store: Callable[[int], Store]
    reindexing: Callable[[int], Reindexing]
    client: Redis | None = None

    def begin(self) -> int:
        there = self.reencoding.begin(OTHER_MODEL, 0.5, "an.encoder:Of", "hog")
        assert there.other is not None
        return there.other.number

    def build(self) -> int:
        number = self.begin()
        self.reencoding.built(number)
        return number


@pytest.fixture(params=["memory", "redis", "valkey"])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    """With a collection."""
    if request.param == "memory":
        memory = MemoryReencoding(MemoryStore())
        stores = memory.stores
        memory.served().create(MODEL, 0.6)
        yield Service(
            MemoryFront(memory),
            memory,
            stores.__getitem__,
            lambda number: MemoryReindexing(stores[number]),
        )
        return
    client = connect(request.getfixturevalue(f"{request.param}_url"))
    RedisStore(client).create(MODEL, 0.6)
    yield Service(
        RedisStore(client, served_name("default")),
        RedisReencoding(client),
        lambda number: RedisStore(client, edition_name("default", number)),
        lambda number: RedisReindexing(client, edition_name("default", number)),
        client,
    )
    client.close()


def send(service: Service, data: bytes, name: str = "a.jpg") -> str:
    """A picture is submitted to whatever is served."""
    job = f"job of {data.decode()} {name}"
    service.front.accept(NewJob(job, name, image=image_hash(data), data=data), BACKLOG)
    return job


def send_url(service: Service, url: str) -> str:
    service.front.accept(NewJob(f"job of {url}", url, url), BACKLOG)
    return f"job of {url}"


def done(service: Service, number: int, job: str, data: bytes) -> int:
    """A worker of an edition brings a job to its end."""
    store = service.store(number)
    assert not store.begin(job).follows
    place = commit(store, job, data, model=store.collection().model)
    link(store, data, place)
    return place.position


def states(service: Service, data: bytes) -> list[State | None]:
    return [_state(service.store(number), data) for number in (0, 1)]


def _state(store: Store, data: bytes) -> State | None:
    try:
        return store.image(image_hash(data)).state
    except NotFound:
        return None


# -- one edition --------------------------------------------------------------------------------


def test_there_is_one_edition_at_first(service: Service) -> None:
    there = service.reencoding.editions()
    assert there.served == Edition(0, MODEL, 0.6)
    assert (there.other, there.built, there.phase) == (None, False, None)
    assert there.numbers == {0}
    assert service.reencoding.drop_some()


def test_what_is_served_is_the_first_edition(service: Service) -> None:
    done(service, 0, send(service, b"a"), b"a")
    assert service.front.image(image_hash(b"a")).state is State.DONE
    assert service.front.matches(image_hash(b"a"), 10).matches == ()


# -- begin --------------------------------------------------------------------------------------


def test_another_edition_has_its_model_threshold_and_encoder(service: Service) -> None:
    number = service.begin()
    there = service.reencoding.editions()
    assert there.served == Edition(0, MODEL, 0.6)
    assert there.other == Edition(number, OTHER_MODEL, 0.5, "an.encoder:Of", "hog")
    assert (there.phase, there.later) == (Phase.BUILDING, there.other)
    made = service.store(number).collection()
    assert (made.model, made.threshold) == (OTHER_MODEL, 0.5)
    assert made.epoch != service.store(0).collection().epoch


def test_the_settings_of_workers_are_noted(service: Service) -> None:
    service.reencoding.note(0, "onnx", "hog")
    there = service.reencoding.editions()
    assert (there.served.encoder, there.served.detector) == ("onnx", "hog")
    number = service.begin()
    service.reencoding.note(number, "another.encoder:Of", "cnn")
    later = service.reencoding.editions().later
    assert (later.encoder, later.detector) == ("another.encoder:Of", "cnn")


def test_there_is_one_reindex_at_a_time(service: Service) -> None:
    service.begin()
    for begin in (
        lambda: service.reencoding.begin("a-third", 0.5, "", ""),
        lambda: service.reindexing(0).begin(0.5),
    ):
        with pytest.raises(Conflict) as caught:
            begin()
        assert caught.value.code == "reindex_exists"


def test_a_new_threshold_is_in_the_way_of_a_new_encoder(service: Service) -> None:
    service.reindexing(0).begin(0.5)
    with pytest.raises(Conflict) as caught:
        service.begin()
    assert caught.value.code == "reindex_exists"


def test_an_edition_of_the_same_model_is_refused(service: Service) -> None:
    with pytest.raises(Conflict) as caught:
        service.reencoding.begin(MODEL, 0.5, "", "")
    assert caught.value.code == "same_model"


# -- both editions ------------------------------------------------------------------------------


def test_a_submission_is_in_both_and_the_other_follows(service: Service) -> None:
    service.begin()
    job = send(service, b"a")
    begun = service.store(1).begin(job)
    assert (begun.follows, begun.attempts, begun.followed_by) == (True, 0, None)
    assert service.store(0).begin(job).followed_by == 1
    done(service, 0, job, b"a")
    assert service.front.job(job).state is State.DONE
    assert states(service, b"a") == [State.DONE, State.ACCEPTED]
    assert service.store(1).uploaded(image_hash(b"a")) == b"a"
    done(service, 1, job, b"a")
    assert states(service, b"a") == [State.DONE, State.DONE]
    assert service.store(1).uploaded(image_hash(b"a")) is None


def test_of_a_url_the_other_looks_for_the_picture_that_was_found(service: Service) -> None:
    service.begin()
    job = send_url(service, "http://x/1")
    done(service, 0, job, b"a")
    begun = service.store(1).begin(job)
    assert (begun.url, begun.image) == ("http://x/1", image_hash(b"a"))
    assert states(service, b"a") == [State.DONE, State.ACCEPTED]
    service.store(1).fail(job, "changed", "", "")
    assert service.store(1).image(image_hash(b"a")).code == "changed"
    assert states(service, b"a") == [State.DONE, State.FAILED]


def test_a_url_that_changed_does_not_end_bytes_that_were_uploaded(service: Service) -> None:
    service.begin()
    found, uploaded = send_url(service, "http://x/1"), send(service, b"a")
    done(service, 0, found, b"a")
    service.store(0).begin(uploaded)
    service.store(1).begin(found)
    service.store(1).fail(found, "changed", "")
    assert service.store(1).job(found).code == "changed"
    assert service.store(1).uploaded(image_hash(b"a")) == b"a"
    done(service, 1, uploaded, b"a")
    assert states(service, b"a") == [State.DONE, State.DONE]


def test_bytes_that_failed_in_the_other_are_not_waited_for_again(service: Service) -> None:
    service.begin()
    jobs = [send(service, b"a", name) for name in ("a.jpg", "b.jpg")]
    done(service, 0, jobs[0], b"a")
    service.store(0).begin(jobs[1])
    service.store(1).begin(jobs[0])
    service.store(1).fail(jobs[0], "timed_out", "", image_hash(b"a"))
    assert service.store(1).begin(jobs[1]).state is State.ACCEPTED
    assert service.store(1).image(image_hash(b"a")).code == "timed_out"


@pytest.mark.parametrize("by", ["bytes", "url"])
def test_what_fails_in_one_fails_in_the_other(service: Service, by: str) -> None:
    service.begin()
    job = send(service, b"a") if by == "bytes" else send_url(service, "http://x/1")
    service.store(0).begin(job)
    service.store(0).fail(job, "not_an_image", "no picture", image_hash(b"a"))
    followed = service.store(1).begin(job)
    assert (followed.state, followed.code) == (State.FAILED, "not_an_image")
    assert service.store(1).uploaded(image_hash(b"a")) is None
    assert set(states(service, b"a")) == {State.FAILED if by == "bytes" else None}


def test_an_erasure_is_in_both(service: Service) -> None:
    service.begin()
    job = send(service, b"a")
    for number in (0, 1):
        done(service, number, job, b"a")
    erased = service.front.erase(image_hash(b"a"))
    assert states(service, b"a") == [State.ERASED, State.ERASED]
    assert [len(service.store(number).erasing()) for number in (0, 1)] == [1, 1]
    assert service.front.job(job).state is State.ERASED
    service.front.erase(image_hash(b"a"), erased.upto)
    assert service.store(1).job(job).state is State.ERASED


def test_an_erasure_before_the_other_has_looked_counts(service: Service) -> None:
    service.begin()
    jobs = [send(service, b"a"), send_url(service, "http://x/1")]
    for job, data in zip(jobs, (b"a", b"b"), strict=True):
        done(service, 0, job, data)
        service.front.erase(image_hash(data))
        assert service.store(1).begin(job).state is State.ERASED
        assert states(service, data) == [State.ERASED, State.ERASED]


def test_an_image_that_comes_again_after_its_erasure_is_in_both(service: Service) -> None:
    service.begin()
    done(service, 0, send(service, b"a"), b"a")
    service.front.erase(image_hash(b"a"))
    job = send(service, b"a", "again.jpg")
    for number in (0, 1):
        done(service, number, job, b"a")
    assert states(service, b"a") == [State.DONE, State.DONE]


def test_a_picture_without_room_in_the_other_is_accepted_and_listed(service: Service) -> None:
    for number in range(9):
        done(service, 0, send(service, b"%d" % number), b"%d" % number)
    service.begin()
    waiting = [b"x" * 400, b"y" * 400, b"z" * 400]
    for data in waiting:
        done(service, 0, send(service, data), data)
    with pytest.raises(Unavailable, match="wait for workers"):
        send(service, b"v" * 1001)
    stood = [_state(service.store(1), data) for data in waiting]
    assert stood == [State.ACCEPTED, State.ACCEPTED, State.FAILED]
    assert service.store(1).image(image_hash(waiting[2])).code == "backlog_full"
    with pytest.raises(NotFound):
        service.store(1).image(image_hash(b"v" * 1001))


def test_bytes_known_in_the_one_are_looked_at_for_the_other(service: Service) -> None:
    done(service, 0, send(service, b"a"), b"a")
    service.begin()
    job = send(service, b"a", "again.jpg")
    assert service.front.job(job).state is State.DONE
    done(service, 1, job, b"a")
    assert service.store(1).image(image_hash(b"a")).names == ("again.jpg",)


# -- carry --------------------------------------------------------------------------------------


def test_images_are_carried_over_with_their_names(service: Service) -> None:
    done(service, 0, send(service, b"a"), b"a")
    send(service, b"a", "http://x/1")
    number = service.begin()
    image = image_hash(b"a")
    assert [list(portion) for portion in service.reencoding.images()] in ([[image]], [[], [image]])
    [stood] = service.reencoding.standing(number, [image])
    assert (stood.state, stood.other, stood.faces_found) == (State.DONE, None, 1)
    assert stood.names == ("a.jpg", "http://x/1")
    carry = Carry(image, "j", "http://x/1", "http://x/1")
    assert service.reencoding.carry(number, carry, BACKLOG) is Carried.ACCEPTED
    assert service.reencoding.carry(number, carry, BACKLOG) is Carried.NONE
    begun = service.store(1).begin("j")
    assert (begun.url, begun.image, begun.attempts) == ("http://x/1", image, 1)
    assert service.reencoding.lag(number) == Lag(0, 1, 0)
    done(service, 1, "j", b"a")
    assert service.reencoding.lag(number).behind == 0
    assert service.reencoding.carry(number, carry, BACKLOG) is Carried.NONE
    assert service.store(1).image(image).names == ("a.jpg", "http://x/1")
    [stood] = service.reencoding.standing(number, [image])
    assert (stood.other, stood.other_faces_found) == (State.DONE, 1)


def test_bytes_are_carried_over_as_far_as_there_is_room(service: Service) -> None:
    done(service, 0, send(service, b"a"), b"a")
    number = service.begin()
    carry = Carry(image_hash(b"a"), "j", "a.jpg", data=b"a")
    with pytest.raises(Unavailable) as caught:
        service.reencoding.carry(number, carry, 0)
    assert caught.value.code == "backlog_full"
    assert states(service, b"a") == [State.DONE, None]
    assert service.reencoding.carry(number, carry, 1) is Carried.ACCEPTED
    assert service.store(1).uploaded(image_hash(b"a")) == b"a"
    service.front.erase(image_hash(b"a"))
    assert service.store(1).begin("j").state is State.ERASED
    assert service.store(1).uploaded(image_hash(b"a")) is None


def test_what_is_carried_over_is_as_late_as_the_image(service: Service) -> None:
    done(service, 0, send(service, b"a"), b"a")
    image = image_hash(b"a")
    before = service.front.erase(image).upto
    done(service, 0, send(service, b"a", "again.jpg"), b"a")
    done(service, 0, send(service, b"b"), b"b")
    after = service.front.erase(image_hash(b"b")).upto
    number = service.begin()
    carry = Carry(image, "j", "again.jpg", data=b"a")
    assert service.reencoding.carry(number, carry, BACKLOG) is Carried.ACCEPTED
    # As a store hears of erasures when it has lost its tail.
    service.front.erase(image, before)
    assert states(service, b"a") == [State.DONE, State.ACCEPTED]
    service.front.erase(image, after)
    assert states(service, b"a") == [State.ERASED, State.ERASED]
    assert service.store(number).begin("j").state is State.ERASED


def test_a_name_of_a_life_that_was_erased_does_not_come_back(service: Service) -> None:
    done(service, 0, send(service, b"a", "mine.jpg"), b"a")
    number = service.begin()
    service.front.erase(image_hash(b"a"))
    job = send_url(service, "http://x/1")
    done(service, 0, job, b"a")
    carry = Carry(image_hash(b"a"), "j", "mine.jpg", data=b"a")
    assert service.reencoding.carry(number, carry, BACKLOG) is Carried.ACCEPTED
    done(service, number, "j", b"a")
    assert service.store(number).image(image_hash(b"a")).names == ("http://x/1",)


def test_what_cannot_be_had_is_there_as_failed_and_may_be_carried_later(service: Service) -> None:
    done(service, 0, send(service, b"a"), b"a")
    number, image = service.begin(), image_hash(b"a")
    lost = Carry(image, "j", code="no_source")
    assert service.reencoding.carry(number, lost, BACKLOG) is Carried.FAILED
    [stood] = service.reencoding.standing(number, [image])
    assert (stood.other, stood.code) == (State.FAILED, "no_source")
    found = Carry(image, "k", "a.jpg", data=b"a")
    assert service.reencoding.carry(number, found, BACKLOG) is Carried.ACCEPTED
    done(service, 1, "k", b"a")
    assert states(service, b"a") == [State.DONE, State.DONE]


def test_what_cannot_be_had_once_more_is_erased_like_any_other(service: Service) -> None:
    number, image = service.begin(), image_hash(b"a")
    job = send(service, b"a")
    for edition in (0, number):
        done(service, edition, job, b"a")
    service.front.erase(image)
    done(service, 0, send_url(service, "http://x/1"), b"a")
    lost = Carry(image, "j", code="no_source")
    assert service.reencoding.carry(number, lost, BACKLOG) is Carried.FAILED
    assert service.store(number).image(image).position == 0
    service.front.erase(image)
    assert states(service, b"a") == [State.ERASED, State.ERASED]
    assert len(service.store(number).log(0, 10).entries) == 2


def test_a_failed_and_an_erased_image_are_there_as_such(service: Service) -> None:
    service.store(0).begin(failed := send(service, b"a"))
    service.store(0).fail(failed, "not_an_image", "", image_hash(b"a"))
    done(service, 0, send(service, b"b"), b"b")
    service.front.erase(image_hash(b"b"))
    number = service.begin()
    for data in (b"a", b"b"):
        carry = Carry(image_hash(data), "j", code="no_source")
        assert service.reencoding.carry(number, carry, BACKLOG) is Carried.NONE
    assert states(service, b"a") == [State.FAILED, State.FAILED]
    assert service.store(1).image(image_hash(b"a")).code == "not_an_image"
    assert states(service, b"b") == [State.ERASED, State.ERASED]


def test_what_is_not_there_or_under_way_is_not_carried(service: Service) -> None:
    early = send(service, b"a")
    number = service.begin()
    assert service.reencoding.lag(number).before == 1
    for data in (b"a", b"unknown"):
        carry = Carry(image_hash(data), "j", code="no_source")
        assert service.reencoding.carry(number, carry, BACKLOG) is Carried.NONE
    assert states(service, b"a") == [State.ACCEPTED, None]
    done(service, 0, early, b"a")
    assert service.reencoding.lag(number) == Lag(0, 0, 0)
    with pytest.raises(NotFound):
        service.store(1).job(early)


def test_how_far_it_is_behind_is_counted(service: Service) -> None:
    early = [send(service, b"a"), send(service, b"b")]
    number = service.begin()
    both = [send(service, b"%d" % one) for one in range(5)]
    assert service.reencoding.lag(number) == Lag(2, 0, 0)
    for job, data in zip(both[:3], (b"0", b"1", b"2"), strict=True):
        done(service, 0, job, data)
    assert service.reencoding.lag(number) == Lag(2, 3, 0)
    service.store(1).begin(both[0])
    commit(service.store(1), both[0], b"0", model=OTHER_MODEL)
    assert service.reencoding.lag(number) == Lag(2, 2, 1)
    for job, data in zip(early, (b"a", b"b"), strict=True):
        done(service, 0, job, data)
    assert service.reencoding.lag(number) == Lag(0, 2, 1)
    for wrong in (0, 7):
        with pytest.raises(Conflict) as caught:
            service.reencoding.lag(wrong)
        assert caught.value.code == "no_reindex"


# -- switch, rollback ---------------------------------------------------------------------------


def test_nothing_is_switched_to_before_it_is_built(service: Service) -> None:
    number = service.begin()
    for act in (service.reencoding.switch, service.reencoding.rollback, service.reencoding.drop):
        with pytest.raises(Conflict) as caught:
            act(number)
        assert caught.value.code == "reindex_phase"
    assert service.reencoding.editions().served.number == 0


def test_after_the_switch_the_later_one_is_served_and_the_former_follows(service: Service) -> None:
    early = send(service, b"early")
    done(service, 0, early, b"early")
    number = service.build()
    before = send(service, b"before")
    for _ in range(2):
        service.reencoding.switch(number)
        there = service.reencoding.editions()
        assert (there.served.number, there.phase) == (number, Phase.SWITCHED)
    assert service.front.job(before).state is State.ACCEPTED
    assert service.front.job(early).state is State.DONE
    done(service, 1, before, b"before")
    after = send(service, b"after")
    assert service.store(0).begin(after).follows
    for edition in (1, 0):
        done(service, edition, after, b"after")
    page = service.front.matches(image_hash(b"after"), 10)
    assert (page.image.position, page.threshold) == (2, 0.5)
    service.front.erase(image_hash(b"after"))
    assert states(service, b"after") == [State.ERASED, State.ERASED]


def test_a_job_of_a_url_keeps_its_picture_at_a_switch(service: Service) -> None:
    number = service.begin()
    job = send_url(service, "http://x/1")
    done(service, 0, job, b"a")
    service.reencoding.built(number)
    service.reencoding.switch(number)
    begun = service.store(1).begin(job)
    assert (begun.state, begun.image) == (State.ACCEPTED, image_hash(b"a"))
    service.store(1).fail(job, "changed", "")
    shown = service.front.image(image_hash(b"a"))
    assert (shown.state, shown.code, shown.names) == (State.FAILED, "changed", ("http://x/1",))


def test_a_rollback_serves_the_former_one_as_it_was(service: Service) -> None:
    store = service.store(0)
    places = {data: submit(store, data) for data in (b"a", b"b")}
    link(store, b"a", places[b"a"])
    link(store, b"b", places[b"b"], (places[b"a"].position, 0.3))
    number = service.build()
    service.reencoding.switch(number)
    with pytest.raises(NotFound):
        service.front.image(image_hash(b"b"))
    for _ in range(2):
        service.reencoding.rollback(number)
        assert service.reencoding.editions().phase is Phase.BUILT
    assert listed(store, b"b") == [(image_hash(b"a"), 0.3)]
    assert service.front.matches(image_hash(b"b"), 10).matches[0].hash == image_hash(b"a")


def test_an_erased_position_is_not_unlinked_in_another_edition(service: Service) -> None:
    done(service, 0, send(service, b"a"), b"a")
    erased = service.front.erase(image_hash(b"a"))
    number = service.build()
    new = service.store(number)
    places = [commit(new, upload(new, data), data, model=OTHER_MODEL) for data in (b"b", b"c")]
    link(new, b"b", places[0])
    link(new, b"c", places[1], (places[0].position, 0.3))
    service.reencoding.switch(number)
    assert service.front.unlink(erased.position)
    assert listed(new, b"b") == [(image_hash(b"c"), 0.3)]


# -- the end ------------------------------------------------------------------------------------


def test_a_cancelled_edition_is_forgotten(service: Service) -> None:
    number = service.begin()
    job = send(service, b"a")
    for edition in (0, 1):
        done(service, edition, job, b"a")
    for _ in range(2):
        service.reencoding.cancel(number)
    there = service.reencoding.editions()
    assert (there.served.number, there.other) == (0, None)
    while not service.reencoding.drop_some():
        pass
    assert _keys(service, "~1:") == []
    assert service.front.image(image_hash(b"a")).state is State.DONE
    done(service, 0, send(service, b"b"), b"b")
    with pytest.raises(Conflict) as caught:
        service.reencoding.carry(number, Carry(image_hash(b"a"), "j"), BACKLOG)
    assert caught.value.code == "no_reindex"
    assert service.begin() == 2


def test_nothing_is_made_any_more_of_an_edition_that_was_given_up(service: Service) -> None:
    number, image = service.begin(), image_hash(b"a")
    jobs = [send(service, b"a", name) for name in ("a.jpg", "b.jpg")]
    done(service, 0, jobs[0], b"a")
    store = service.store(number)
    store.begin(jobs[0])
    place = commit(store, jobs[0], b"a", model=OTHER_MODEL)
    service.reencoding.cancel(number)
    for act in (
        lambda: store.begin(jobs[1]),
        lambda: store.job(jobs[0]),
        lambda: commit(store, jobs[1], b"a", model=OTHER_MODEL),
    ):
        with pytest.raises(NotFound):
            act()
    store.fail(jobs[1], "changed", "", image)
    assert link(store, b"a", place) is Linked.GONE
    assert store.linked([place.position], 0) == {place.position: {}}


def test_a_dropped_edition_is_forgotten_and_the_later_one_goes_on(service: Service) -> None:
    done(service, 0, send(service, b"a"), b"a")
    number = service.build()
    with pytest.raises(Conflict) as caught:
        service.reencoding.drop(number)
    assert caught.value.code == "reindex_phase"
    both = send(service, b"b")
    for edition in (0, 1):
        done(service, edition, both, b"b")
    service.reencoding.switch(number)
    with pytest.raises(Conflict) as caught:
        service.reencoding.cancel(number)
    assert caught.value.code == "reindex_phase"
    for _ in range(2):
        service.reencoding.drop(number)
    while not service.reencoding.drop_some():
        pass
    there = service.reencoding.editions()
    assert there.served == Edition(number, OTHER_MODEL, 0.5, "an.encoder:Of", "hog")
    assert there.phase is None
    left = {key for key in _keys(service, "") if not key.startswith("~1:")}
    assert left <= {"editions", "submissions", "happened"}
    if service.client is not None:
        # A worker of the former model that is still there makes nothing of it anew.
        with pytest.raises(Unavailable):
            service.store(0).create(MODEL, 0.6)
    service.front.erase(image_hash(b"b"))
    done(service, 1, send(service, b"c"), b"c")
    assert service.front.image(image_hash(b"c")).position == 3


def test_one_of_two_that_were_given_up_is_forgotten_as_the_other(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_reencoding, "_PORTION", 1)
    service.begin()
    for number in range(10):
        send(service, b"%d" % number)
    service.reencoding.cancel(1)
    service.reencoding.drop_some()
    number = service.build()
    service.reencoding.switch(number)
    service.reencoding.drop(number)
    while not service.reencoding.drop_some():
        pass
    left = {key for key in _keys(service, "") if not key.startswith("~2:")}
    assert left <= {"editions", "submissions", "happened"}


@pytest.mark.parametrize("server", ["redis", "valkey"])
def test_what_is_of_no_edition_stays_when_the_first_is_forgotten(
    server: str, request: pytest.FixtureRequest
) -> None:
    with connect(request.getfixturevalue(f"{server}_url")) as client:
        reencoding, front = RedisReencoding(client), RedisStore(client, served_name("default"))
        RedisStore(client).create(MODEL, 0.6)
        there = reencoding.begin(OTHER_MODEL, 0.5, "an.encoder:Of", "hog")
        number = there.later.number
        basis = Basis("a reunion", "contract").pack()
        new = NewJob("a job", "a.jpg", image=image_hash(b"a"), data=b"a", basis=basis)
        front.accept(new, BACKLOG)
        for store in (RedisStore(client, edition_name("default", one)) for one in (0, number)):
            place = commit(store, "a job", b"a", model=store.collection().model)
            link(store, b"a", place)
        batches, webhooks = RedisBatches(client), RedisWebhooks(client)
        batches.keep("batch", [Item("a job", name="a.jpg")])
        batches.claim("key", "print", "batch")
        webhooks.add("hook", "http://example.com/", "a secret", "0-0")
        for act in (reencoding.built, reencoding.switch, reencoding.drop):
            act(number)
        while not reencoding.drop_some():
            pass
        assert front.image(image_hash(b"a")).bases == (basis,)
        assert batches.batch("batch", 0, 10).total == 1
        assert batches.claim("key", "print", "another") == "batch"
        assert [hook.id for hook in webhooks.webhooks()] == ["hook"]
        assert client.xlen("fm:{default}:happened") > 0


def _keys(service: Service, start: str) -> list[str]:
    if service.client is None:
        return []
    prefix = "fm:{default}:"
    found = [key.decode().removeprefix(prefix) for key in service.client.keys(f"{prefix}*")]
    return [key for key in found if key.startswith(start)]


@pytest.mark.parametrize("act", ["switch", "rollback", "cancel", "drop", "built"])
def test_without_a_reindex_nothing_is_done(service: Service, act: str) -> None:
    with pytest.raises(Conflict) as caught:
        getattr(service.reencoding, act)(1)
    assert caught.value.code == "no_reindex"
