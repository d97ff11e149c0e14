"""One contract for jobs that have failed: in memory, in Redis, in Valkey."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from submitting import BACKLOG, MODEL, commit, submit, upload
from waiting import eventually

from facematch import fsck
from facematch.collection_name import edition_name, served_name
from facematch.errors import NotFound
from facematch.faces import image_hash
from facematch.failed_jobs import Failed, FailedJobs, Retried
from facematch.memory_failed_jobs import MemoryFailedJobs
from facematch.memory_reencoding import MemoryFront, MemoryReencoding
from facematch.memory_store import MemoryStore
from facematch.redis_connection import Redis, connect
from facematch.redis_failed_jobs import RedisFailedJobs
from facematch.redis_reencoding import RedisReencoding
from facematch.redis_store import RedisStore
from facematch.reencoding import Reencoding
from facematch.store import Front, NewJob, State, Store

URL = "http://x/a.jpg"


@dataclass
class Service:
    """A collection with all its parts."""

    front: Front
    reencoding: Reencoding
    store: Callable[[int], Store]
    failed: FailedJobs

    def submit_url(self, job: str = "job") -> str:
        self.front.accept(NewJob(job, URL, url=URL), BACKLOG)
        return job

    def fail_url(self, code: str = "unreachable", image: str = "", job: str = "job") -> str:
        self.submit_url(job)
        self.store(0).begin(job)
        self.store(0).fail(job, code, "nobody there", image)
        return job


@pytest.fixture(params=["memory", "redis", "valkey"])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    """With a collection."""
    if request.param == "memory":
        memory = MemoryReencoding(MemoryStore())
        memory.served().create(MODEL, 0.6)
        failed = MemoryFailedJobs(memory)
        yield Service(MemoryFront(memory), memory, memory.stores.__getitem__, failed)
        return
    client = connect(request.getfixturevalue(f"{request.param}_url"))
    RedisStore(client).create(MODEL, 0.6)
    yield Service(
        RedisStore(client, served_name("default")),
        RedisReencoding(client),
        lambda number: RedisStore(client, edition_name("default", number)),
        RedisFailedJobs(client),
    )
    client.close()


def listed(service: Service, code: str) -> list[str]:
    return [failed.job for failed in service.failed.failed(code, 0, 100)]


def test_where_nothing_has_failed_there_is_nothing(service: Service) -> None:
    service.submit_url()
    assert dict(service.failed.codes()) == {}
    assert service.failed.failed("unreachable", 0, 100) == []


def test_a_job_that_failed_is_listed_with_all_that_is_known_of_it(service: Service) -> None:
    service.fail_url()
    uploaded = upload(service.store(0), b"a", "x.jpg")
    service.store(0).fail(uploaded, "not_an_image", "looks like text")
    assert dict(service.failed.codes()) == {"unreachable": 1, "not_an_image": 1}
    [by_url] = service.failed.failed("unreachable", 0, 100)
    [bytes_] = service.failed.failed("not_an_image", 0, 100)
    assert by_url == Failed("job", "unreachable", "nobody there", URL, URL, "", 1, by_url.time)
    image = image_hash(b"a")
    told = Failed(uploaded, "not_an_image", "looks like text", "x.jpg", "", image, 0, bytes_.time)
    assert bytes_ == told
    assert by_url.time <= bytes_.time < by_url.time + 60


def test_the_last_one_comes_first_and_any_part_can_be_had(service: Service) -> None:
    jobs = [service.fail_url(job=f"job{number}") for number in range(5)]
    assert listed(service, "unreachable") == jobs[::-1]
    some = service.failed.failed("unreachable", 1, 2)
    assert [failed.job for failed in some] == ["job3", "job2"]
    assert service.failed.failed("unreachable", 5, 2) == []


def test_what_fails_again_and_what_has_ended_otherwise_is_not_listed_twice(
    service: Service,
) -> None:
    job = service.fail_url()
    service.store(0).fail(job, "http_status", "no-op")
    submit(service.store(0), b"a")
    assert dict(service.failed.codes()) == {"unreachable": 1}


def test_a_job_by_url_is_tried_again_as_if_it_had_just_been_submitted(service: Service) -> None:
    job, store = service.fail_url(), service.store(0)
    assert service.failed.retry(job) is Retried.ACCEPTED
    again = store.job(job)
    assert (again.state, again.attempts, again.code, again.detail) == (State.ACCEPTED, 0, "", "")
    assert dict(service.failed.codes()) == {}
    assert store.due_jobs(10, age=-1) == [job]
    assert store.begin(job).attempts == 1
    assert commit(store, job, b"a").state is State.INDEXED
    assert store.job(job).image == image_hash(b"a")
    assert store.image(image_hash(b"a")).names == (URL,)


def test_a_job_that_is_tried_again_may_fail_again_with_another_code(service: Service) -> None:
    job = service.fail_url()
    service.failed.retry(job)
    service.store(0).fail(job, "http_status", "404")
    assert dict(service.failed.codes()) == {"http_status": 1}
    assert listed(service, "unreachable") == []


def test_a_url_that_showed_a_bad_picture_may_show_another_one(service: Service) -> None:
    store = service.store(0)
    job = service.fail_url("bad_image", image_hash(b"bad"))
    assert service.failed.failed("bad_image", 0, 1)[0].image == image_hash(b"bad")
    assert service.failed.retry(job) is Retried.ACCEPTED
    assert store.begin(job).image == ""
    assert commit(store, job, b"good").state is State.INDEXED
    with pytest.raises(NotFound):
        store.image(image_hash(b"bad"))


def test_an_upload_is_not_kept_and_must_be_submitted_again(service: Service) -> None:
    store = service.store(0)
    job = upload(store, b"a")
    store.fail(job, "decoder_crashed", "")
    assert service.failed.retry(job) is Retried.NO_SOURCE
    assert store.job(job).state is State.FAILED
    assert dict(service.failed.codes()) == {"decoder_crashed": 1}


def test_an_upload_that_came_again_is_there(service: Service) -> None:
    store = service.store(0)
    waiting, done = upload(store, b"a"), upload(store, b"b")
    for job in (waiting, done):
        store.fail(job, "decoder_crashed", "")
    again = upload(store, b"a", "again.jpg")
    submit(store, b"b")
    assert service.failed.retry(waiting) is Retried.ACCEPTED
    assert service.failed.retry(done) is Retried.ACCEPTED
    assert store.begin(waiting).state is State.ACCEPTED
    assert store.uploaded(image_hash(b"a")) == b"a"
    assert store.begin(done).state is State.INDEXED
    commit(store, again, b"a")
    assert store.begin(waiting).state is State.INDEXED
    assert store.image(image_hash(b"a")).names == ("a.jpg", "again.jpg")


def test_what_was_erased_since_it_was_submitted_stays_erased(service: Service) -> None:
    store = service.store(0)
    by_url, uploaded = service.submit_url(), upload(store, b"b")
    store.fail(uploaded, "decoder_crashed", "")
    store.fail(by_url, "unreachable", "")
    for data in (b"a", b"b"):
        submit(store, data)
        store.erase(image_hash(data))
    assert service.failed.retry(by_url) is Retried.ACCEPTED
    assert commit(store, by_url, b"a").state is State.ERASED
    upload(store, b"b")
    assert service.failed.retry(uploaded) is Retried.ACCEPTED
    assert store.begin(uploaded).state is State.ERASED
    assert store.job(by_url).state is State.ERASED


def test_only_what_has_failed_can_be_tried_again(service: Service) -> None:
    store = service.store(0)
    waiting, done = upload(store, b"a"), upload(store, b"b")
    commit(store, done, b"b")
    for job in (waiting, done):
        before = store.job(job)
        assert service.failed.retry(job) is Retried.NOT_FAILED
        assert store.job(job) == before
    with pytest.raises(NotFound):
        service.failed.retry("unknown")


def test_nothing_is_wrong_with_a_store_where_jobs_were_tried_again(service: Service) -> None:
    for number in range(3):
        service.failed.retry(service.fail_url(job=f"job{number}"))
    service.store(0).fail("job0", "http_status", "")
    commit(service.store(0), "job1", b"a", faces=0)
    assert fsck.run(service.store(0)).findings == ()


def test_it_is_tried_again_in_all_editions(service: Service) -> None:
    before = service.fail_url(job="before")
    there = service.reencoding.begin("another-model", 0.5, "", "")
    assert there.other is not None
    other = service.store(there.other.number)
    both = service.fail_url("bad_image", image_hash(b"bad"), "both")
    assert other.begin(both).state is State.FAILED
    for job in (before, both):
        assert service.failed.retry(job) is Retried.ACCEPTED
        assert other.begin(job).follows
        service.store(0).begin(job)
        commit(service.store(0), job, job.encode())
        led = other.begin(job)
        assert (led.state, led.image, led.attempts) == (
            State.ACCEPTED,
            image_hash(job.encode()),
            1,
        )
        commit(other, job, job.encode(), model="another-model")
    lag = service.reencoding.lag(there.other.number)
    assert (lag.before, lag.jobs) == (0, 0)


def test_those_of_the_edition_that_is_served_are_listed(service: Service) -> None:
    service.fail_url(job="before")
    there = service.reencoding.begin("another-model", 0.5, "", "")
    assert there.other is not None
    service.reencoding.built(there.other.number)
    service.reencoding.switch(there.other.number)
    assert dict(service.failed.codes()) == {}
    with pytest.raises(NotFound):
        service.failed.retry("before")


@pytest.mark.parametrize("server", ["redis_url", "valkey_url"])
def test_a_job_that_failed_is_forgotten_as_any_other(
    server: str, request: pytest.FixtureRequest
) -> None:
    with connect(request.getfixturevalue(server)) as client:
        keeps_short = RedisStore(client, job_days=5 / 86_400)
        keeps_short.create(MODEL, 0.6)
        failed = RedisFailedJobs(client)
        fail(keeps_short, "short", "unreachable")
        assert dict(failed.codes()) == {"unreachable": 1}
        eventually(lambda: not failed.codes(), "it is forgotten")
        assert failed.failed("unreachable", 0, 10) == []
        eventually(lambda: not keys(client), "no key is left")
        # Even where others are kept for longer.
        fail(RedisStore(client), "long", "unreachable")
        fail(keeps_short, "short", "unreachable")
        eventually(lambda: failed.codes()["unreachable"] == 1, "one is forgotten")
        assert [one.job for one in failed.failed("unreachable", 0, 10)] == ["long"]


def test_however_many_are_to_be_forgotten_nobody_waits_for_that(redis_url: str) -> None:
    with connect(redis_url) as client:
        store = RedisStore(client)
        store.create(MODEL, 0.6)
        listed = "fm:{default}:failed:unreachable"
        client.zadd(listed, {f"past{number}": 1 + number for number in range(250)})
        left = []
        for job in ("a", "b", "c"):
            fail(store, job, "unreachable")
            left.append(client.zcard(listed))
        assert left == [151, 52, 3]
        assert dict(RedisFailedJobs(client).codes()) == {"unreachable": 3}


def test_a_job_that_is_tried_again_is_not_forgotten_before_it_has_ended(redis_url: str) -> None:
    with connect(redis_url) as client:
        store = RedisStore(client, job_days=5 / 86_400)
        store.create(MODEL, 0.6)
        fail(store, "job", "unreachable")
        assert RedisFailedJobs(client).retry("job") is Retried.ACCEPTED
        assert client.ttl("fm:{default}:job:job") == -1
        store.fail("job", "unreachable", "")
        eventually(lambda: not keys(client), "it is forgotten once it has")


def fail(store: Store, job: str, code: str) -> None:
    store.accept(NewJob(job, URL, url=URL), BACKLOG)
    store.fail(job, code, "")


def keys(client: Redis) -> list[bytes]:
    return [key for kind in ("job:*", "failed*") for key in client.keys(f"fm:{{default}}:{kind}")]
