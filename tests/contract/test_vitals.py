"""What the store says of itself and of the work in it, by Redis and by Valkey."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from submitting import BACKLOG, MODEL, commit, submit
from waiting import eventually
from worlds import HASHES, World

from facematch.collection_name import DEFAULT, edition_name, served_name
from facematch.errors import Unavailable
from facematch.faces import image_hash
from facematch.policy import PolicyChange
from facematch.redis_collections import RedisCollections
from facematch.redis_connection import connect
from facematch.redis_failed_jobs import RedisFailedJobs
from facematch.redis_reencoding import RedisReencoding
from facematch.redis_reindexing import RedisReindexing
from facematch.redis_store import RedisStore
from facematch.redis_vitals import RedisOthers, RedisVitals
from facematch.reencoding import Carry
from facematch.reindexing import Phase
from facematch.store import NewJob
from facematch.vitals import EditionVitals, Others, Server, Vitals
from worker.pipeline import process


@pytest.fixture(params=["redis", "valkey"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def client(url: str) -> Iterator[object]:
    with connect(url) as client:
        yield client


@pytest.fixture
def store(client) -> RedisStore:
    return RedisStore(client)


def world_of(client, store: RedisStore) -> World:
    """Workers and pictures."""
    return World(store, RedisReindexing(client))


def read(client) -> Vitals:
    return RedisVitals(client).read()


def only(client) -> EditionVitals:
    (edition,) = read(client).editions
    return edition


def make_older(client, key: str, seconds: int) -> None:
    """As if it had been submitted so many seconds earlier."""
    client.hincrby(f"fm:{{{DEFAULT}}}:{key}", "number", -seconds * 1_000_000)


def test_before_there_is_a_collection_there_is_nothing(client) -> None:
    assert only(client) == EditionVitals(0)
    assert read(client).checked is None


def test_the_server_tells_of_itself(client) -> None:
    vitals = read(client)
    assert vitals.server.memory > 2**16
    assert vitals.server.most_memory == 0
    assert vitals.server.write_problem == ""
    client.config_set("maxmemory", 2**30)
    try:
        assert read(client).server.most_memory == 2**30
    finally:
        client.config_set("maxmemory", 0)


def test_a_write_to_disk_that_failed_is_told_until_one_succeeds(client) -> None:
    def save() -> bool:
        client.bgsave()
        eventually(lambda: not client.info("persistence")["rdb_bgsave_in_progress"])
        return not read(client).server.write_problem

    # A folder of that name is in the way of the file.
    folder = Path(client.config_get("dir")["dir"]) / client.config_get("dbfilename")["dbfilename"]
    folder.unlink(missing_ok=True)
    folder.mkdir()
    try:
        assert not save()
    finally:
        folder.rmdir()
    assert save()


def test_a_server_whose_rules_refuse_info_tells_all_but_itself(
    client, store: RedisStore, url: str
) -> None:
    store.create("model", 0.6)
    client.execute_command("ACL", "SETUSER", "strict", "on", ">pw", "~*", "&*", "+@all", "-info")
    try:
        with connect(url.replace("://", "://strict:pw@")) as strict:
            vitals = read(strict)
    finally:
        client.execute_command("ACL", "DELUSER", "strict")
    assert (vitals.editions, vitals.checked) == ((EditionVitals(0),), None)
    assert vitals.server == Server(clock=vitals.server.clock)


def test_jobs_that_wait_are_counted_with_their_bytes_and_the_age_of_the_oldest(
    client, store: RedisStore
) -> None:
    world = world_of(client, store)
    for picture in range(3):
        world.submit(picture)
    before = only(client)
    assert (before.jobs, before.pending, before.images) == (3, 0, 0)
    assert before.upload_bytes > 0
    assert read(client).uploads == before.upload_bytes
    assert 0 < before.oldest_job < 60
    make_older(client, f"job:{world.jobs[1]}", 1000)
    assert 1000 <= only(client).oldest_job < 1060
    process(world.jobs[1], world.parts[0])
    after = only(client)
    assert (after.jobs, after.images) == (2, 1)
    assert after.oldest_job < 60
    assert after.upload_bytes < before.upload_bytes


def test_a_job_in_hand_and_one_published_again_are_as_old_as_they_are(
    client, store: RedisStore
) -> None:
    world = world_of(client, store)
    world.submit(0)
    world.submit(1)
    make_older(client, f"job:{world.jobs[0]}", 1000)
    store.begin(world.jobs[0])
    assert only(client).oldest_job >= 1000
    make_older(client, f"job:{world.jobs[1]}", 2000)
    assert store.due_jobs(10, 0.0) == [world.jobs[1]]
    assert only(client).oldest_job >= 2000


def test_a_job_that_is_tried_again_waits_from_then_on(client, store: RedisStore) -> None:
    store.create(MODEL, 0.6)
    store.accept(NewJob("job", "a.jpg", url="http://x/a.jpg"), BACKLOG)
    store.fail("job", "unreachable", "")
    make_older(client, "job:job", 100_000)
    RedisFailedJobs(client).retry("job")
    assert 0 < only(client).oldest_job < 60
    assert 0 < time.time() - store.job("job").submitted < 60
    commit(store, "job", b"a")
    assert 0 < only(client).oldest_pending < 60


def test_an_image_for_another_edition_waits_from_when_it_was_handed_over(
    client, store: RedisStore
) -> None:
    store.create(MODEL, 0.6)
    submit(store, b"a")
    image = image_hash(b"a")
    make_older(client, f"image:{image}", 100_000)
    reencoding = RedisReencoding(client)
    reencoding.begin("another", 0.6, "other:Encoder", "")
    reencoding.carry(1, Carry(image, "job", "a.jpg", data=b"a"), BACKLOG)
    served, other = read(client).editions
    assert served.oldest_pending > 100_000
    assert 0 < other.oldest_job < 60
    commit(RedisStore(client, edition_name(DEFAULT, 1)), "job", b"a", model="another")
    assert 0 < read(client).editions[1].oldest_pending < 60


def test_an_image_whose_matches_are_not_written_is_pending_since_it_was_submitted(
    client, store: RedisStore
) -> None:
    world = world_of(client, store)
    world.submit(0)
    process(world.jobs[0], world.parts[0])
    done = only(client)
    assert (done.images, done.pending, done.oldest_pending) == (1, 0, 0.0)
    assert (done.position, done.entries) == (1, 1)
    client.zadd(f"fm:{{{DEFAULT}}}:pending", {HASHES[0]: 1})
    make_older(client, f"image:{HASHES[0]}", 500)
    pending = only(client)
    assert pending.pending == 1
    assert 500 <= pending.oldest_pending < 560


def test_an_erasure_is_due_until_it_is_out_of_the_match_sets_of_others(
    client, store: RedisStore
) -> None:
    world = world_of(client, store)
    for picture in range(2):
        world.submit(picture)
        process(world.jobs[-1], world.parts[0])
    erased = store.erase(HASHES[0])
    due = only(client)
    assert (due.erasures, due.images, due.position) == (1, 1, 3)
    while not store.unlink(erased.position):
        pass
    assert only(client).erasures == 0


def test_a_reindex_is_told_with_its_phase_and_what_is_left(client, store: RedisStore) -> None:
    world = world_of(client, store)
    world.submit(0)
    process(world.jobs[0], world.parts[0])
    reindexing = RedisReindexing(client)
    begun = reindexing.begin(0.5, 1.0)
    edition = only(client)
    assert edition.phase is Phase.BUILDING
    assert (edition.ranges, edition.ranges_left) == (begun.ranges, begun.left) == (1, 1)


def test_each_edition_is_told_the_one_that_is_served_first(client, store: RedisStore) -> None:
    world = world_of(client, store)
    world.submit(0)
    process(world.jobs[0], world.parts[0])
    reencoding = RedisReencoding(client)
    other = reencoding.begin("another", 0.5, "", "").other
    assert other is not None
    front = RedisStore(client, served_name(DEFAULT))
    front.accept(NewJob("later", "http://x/", url="http://x/"), 10**9)
    served, following = read(client).editions
    assert (served.number, served.images, served.jobs) == (0, 1, 1)
    assert (following.number, following.images, following.jobs) == (other.number, 0, 1)


def test_what_fsck_found_is_told_with_how_long_ago(client) -> None:
    vitals = RedisVitals(client)
    vitals.note_checked({"log": 2, "approximate": 3})
    checked = vitals.read().checked
    assert checked is not None
    assert checked.findings == {"log": 2, "approximate": 3}
    assert 0 <= checked.age < 60
    vitals.note_checked({})
    checked = vitals.read().checked
    assert checked is not None
    assert checked.findings == {}


def test_what_fsck_found_outlives_an_edition_that_was_given_up(client, store: RedisStore) -> None:
    world_of(client, store)
    vitals, reencoding = RedisVitals(client), RedisReencoding(client)
    vitals.note_checked({"log": 2})
    other = reencoding.begin("another", 0.5, "", "").other
    assert other is not None
    reencoding.built(other.number)
    reencoding.switch(other.number)
    reencoding.drop(other.number)
    while not reencoding.drop_some():
        pass
    assert [one.number for one in vitals.read().editions] == [other.number]
    checked = vitals.read().checked
    assert checked is not None
    assert checked.findings == {"log": 2}


def test_a_thousand_jobs_take_no_longer_than_a_request_may(client, store: RedisStore) -> None:
    key = f"fm:{{{DEFAULT}}}"
    with client.pipeline() as pipe:
        for number in range(20_000):
            pipe.zadd(f"{key}:accepted", {f"job{number}": number})
            pipe.hset(f"{key}:job:job{number}", "number", 1_700_000_000_000_000 + number)
        pipe.execute()
    vitals = RedisVitals(client)
    vitals.read()
    took = []
    for _ in range(10):  # others may have had the processor meanwhile
        client.config_resetstat()
        assert vitals.read().editions[0].jobs == 20_000
        took.append(client.info("commandstats")["cmdstat_evalsha"]["usec_per_call"])
    assert min(took) < 50_000


def test_a_server_that_is_away_is_unavailable() -> None:
    with (
        connect("redis://127.0.0.1:1/0") as client,
        pytest.raises(Unavailable) as raised,
    ):
        RedisVitals(client).read()
    assert raised.value.code == "store_unavailable"


def test_other_collections_are_counted_and_told_of_while_they_are_busy(client, store) -> None:
    store.create(MODEL, 0.6)
    collections, others = RedisCollections(client), RedisOthers(client)
    assert others.read() == Others(0, 0, {})
    for name in ("busy", "gone", "idle"):
        collections.create(name, PolicyChange())
    collections.touch("busy")
    collections.touch("gone")
    submit(RedisStore(client, "busy"), b"a")
    collections.drop("gone")
    told = others.read()
    assert (told.count, told.erasing, list(told.busy)) == (3, 1, ["busy"])
    busy = told.busy["busy"]
    assert (busy.jobs, busy.images, busy.pending) == (0, 1, 1)
    assert read(client).served.images == 0
