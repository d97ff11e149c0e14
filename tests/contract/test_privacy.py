"""One contract for rules of collections, and for what is too old: memory, Redis, Valkey."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from facematch.faces import image_hash
from facematch.job import new_job_id
from facematch.memory_privacy import MemoryPrivacy
from facematch.memory_store import MemoryStore
from facematch.privacy import Basis, Privacy, Rules
from facematch.redis_connection import connect
from facematch.redis_privacy import RedisPrivacy
from facematch.redis_store import RedisStore
from facematch.store import Commit, NewJob, State, Store


@dataclass
class There:
    """The rules, and the default collection's store."""

    privacy: Privacy
    store: Store


@pytest.fixture(params=["memory", "redis", "valkey"])
def there(request: pytest.FixtureRequest) -> Iterator[There]:
    if request.param == "memory":
        store = MemoryStore()
        store.create("model", 0.6)
        yield There(MemoryPrivacy(lambda name: store), store)
        return
    with connect(request.getfixturevalue(f"{request.param}_url")) as client:
        real = RedisStore(client)
        real.create("model", 0.6)
        yield There(RedisPrivacy(client), real)


def submitted(store: Store, data: bytes, basis: str = "") -> str:
    job = new_job_id()
    store.accept(NewJob(job, "a.jpg", image=image_hash(data), data=data, basis=basis), 1000)
    return job


def looked_at(store: Store, job: str, data: bytes) -> None:
    store.begin(job)
    store.commit(Commit(job, image_hash(data), new_job_id(), "model", [], 1, 1, 0))


def test_rules_are_those_that_were_set_last(there: There) -> None:
    assert there.privacy.rules("a") == Rules()
    assert there.privacy.ruled() == {}
    there.privacy.rule("a", Rules(1.5, strict=True))
    there.privacy.rule("b", Rules(keep_days=30))
    there.privacy.rule("b", Rules())
    assert there.privacy.ruled() == {"a": Rules(1.5, strict=True), "b": Rules()}
    assert there.privacy.rules("a") == Rules(1.5, strict=True)


def test_what_is_too_old_is_told_whatever_became_of_it(there: There) -> None:
    old = [submitted(there.store, data) for data in (b"waits", b"none on it", b"failed", b"erased")]
    looked_at(there.store, old[1], b"none on it")
    there.store.fail(old[2], "bad_image", "")
    there.store.erase(image_hash(b"erased"))
    hashes = {image_hash(data) for data in (b"waits", b"none on it", b"failed")}
    assert {image for image, _ in there.privacy.older_than("default", 0)} <= hashes
    found = dict(there.privacy.older_than("default", -1))
    assert found.keys() == hashes
    assert list(there.privacy.older_than("default", 1)) == []
    # The number is that of the life that is too old: a later one is not ended by it.
    waiting = image_hash(b"waits")
    there.store.erase(waiting)
    submitted(there.store, b"waits")
    there.store.erase(waiting, found[waiting])
    assert there.store.image(waiting).state is State.ACCEPTED


@pytest.mark.parametrize("server", ["redis", "valkey"])
def test_nothing_is_too_old_while_an_export_is_imported(
    server: str, request: pytest.FixtureRequest
) -> None:
    with connect(request.getfixturevalue(f"{server}_url")) as client:
        store = RedisStore(client)
        store.create("model", 0.6)
        submitted(store, b"a")
        client.set("fm:{default}:lease:import", "somebody")
        assert list(RedisPrivacy(client).older_than("default", -1)) == []
        client.delete("fm:{default}:lease:import")
        assert len(list(RedisPrivacy(client).older_than("default", -1))) == 1


def test_one_at_a_time_destroys(there: There) -> None:
    assert there.privacy.lease("one", 60)
    assert there.privacy.lease("one", 60)
    assert not there.privacy.lease("another", 60)


def test_why_it_was_submitted_is_known_of_an_image_until_it_is_erased(there: There) -> None:
    store, data = there.store, b"a picture"
    image, bases = (
        image_hash(data),
        [Basis("a", "contract").pack(), Basis("b", "consent", "7").pack()],
    )
    first = submitted(store, data, bases[0])
    assert store.image(image).bases == ()
    looked_at(store, first, data)
    assert store.image(image).bases == (bases[0],)
    if isinstance(store, RedisStore):  # nor is it with the job, which outlives the image
        assert not store._redis.hexists(f"fm:{{default}}:job:{first}", "basis")
    submitted(store, data, bases[1])
    submitted(store, data, bases[1])
    submitted(store, data)
    assert store.image(image).bases == tuple(sorted(bases))
    store.erase(image)
    assert store.image(image).bases == ()
    looked_at(store, submitted(store, data), data)
    assert store.image(image).bases == ()


@pytest.mark.parametrize("basis", [Basis(), Basis("for what"), Basis(legal_basis="consent")])
def test_a_basis_is_packed_and_unpacked(basis: Basis) -> None:
    assert Basis.unpack(basis.pack()) == basis
