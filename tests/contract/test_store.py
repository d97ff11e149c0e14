"""One contract for the store: in memory, in Redis, in Valkey."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from servers import RedisServer
from submitting import BACKLOG, MODEL, RATED, commit, link, listed, place, submit, upload

from facematch import memory_store, redis_store
from facematch.errors import Misconfigured, NotFound, Unavailable
from facematch.faces import Box, image_hash
from facematch.log import follow, genesis
from facematch.memory_store import MemoryStore
from facematch.redis_connection import connect
from facematch.redis_store import RedisStore
from facematch.store import (
    LINK_CHUNK,
    Committed,
    Cursor,
    Job,
    Link,
    Linked,
    NewJob,
    State,
    Store,
)


@pytest.fixture(params=["memory", "redis", "valkey", "functions"])
def fresh_store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """A store without a collection."""
    if request.param == "memory":
        yield MemoryStore()
        return
    client = connect(request.getfixturevalue(f"{request.param}_url"))
    yield RedisStore(client)
    client.close()


@pytest.fixture
def store(fresh_store: Store) -> Store:
    fresh_store.create(MODEL, 0.6)
    return fresh_store


def test_a_collection_is_made_once_and_keeps_what_it_was_made_with(store: Store) -> None:
    first = store.collection()
    again = store.create("another-model", 0.4)
    assert again == first
    assert (again.model, again.threshold) == (MODEL, 0.6)
    assert again.tail == genesis(again.epoch)


def test_what_is_accepted_before_the_collection_is_made_counts(fresh_store: Store) -> None:
    store = fresh_store
    store.accept(NewJob("before", "http://x/", url="http://x/"), BACKLOG)
    upload(store, b"x" * (BACKLOG - 1))
    with pytest.raises(Unavailable):
        commit(store, "before", b"a")
    store.create(MODEL, 0.6)
    with pytest.raises(Unavailable):
        upload(store, b"too much")  # the backlog is still counted
    submit(store, b"a")
    store.erase(image_hash(b"a"))
    assert commit(store, "before", b"a").state is State.ERASED
    assert submit(store, b"a").state is State.INDEXED


def test_a_job_says_when_it_was_submitted(store: Store) -> None:
    before = time.time()
    job = upload(store, b"a")
    assert before - 1 < store.job(job).submitted < time.time() + 1
    assert store.begin(job).submitted == store.job(job).submitted
    commit(store, job, b"a")
    assert before - 1 < store.job(job).submitted < time.time() + 1


def test_an_accepted_upload_can_be_asked_for_at_once(store: Store) -> None:
    job = upload(store, b"a", "x.jpg")
    assert store.job(job) == Job(job, State.ACCEPTED, "x.jpg", image=image_hash(b"a"))
    assert store.begin(job).id == job
    image = store.image(image_hash(b"a"))
    assert (image.state, image.names, image.position) == (State.ACCEPTED, ("x.jpg",), 0)
    assert store.uploaded(image.hash) == b"a"


def test_accepting_the_same_job_again_changes_nothing(store: Store) -> None:
    new = NewJob("j", "x.jpg", image=image_hash(b"a"), data=b"a")
    first = store.accept(new, BACKLOG)
    assert store.accept(new, BACKLOG) == first


def test_the_backlog_of_uploaded_bytes_is_limited_and_shrinks_again(store: Store) -> None:
    big = b"x" * BACKLOG
    job = upload(store, big)
    with pytest.raises(Unavailable) as raised:
        upload(store, b"one more")
    assert raised.value.code == "backlog_full"
    upload(store, big)  # bytes that wait already take no further room
    commit(store, job, big)
    assert store.uploaded(image_hash(big)) is None
    upload(store, b"one more")


def test_unknown_jobs_and_images_are_not_found(store: Store) -> None:
    for call in (store.job, store.begin, store.image, store.erase):
        with pytest.raises(NotFound):
            call("0" * 64)
    with pytest.raises(NotFound):
        store.matches("0" * 64, 10)
    with pytest.raises(NotFound):
        commit(store, "none", b"a")


def test_begin_counts_the_attempts_and_says_who_has_the_job_in_hand(store: Store) -> None:
    job = upload(store, b"a")
    begun = [store.begin(job) for _ in range(3)]
    assert [job.attempts for job in begun] == [1, 2, 3]
    assert [job.in_hand for job in begun] == [False, True, True]
    assert not store.job(job).in_hand


def test_an_attempt_that_is_given_back_is_none(store: Store) -> None:
    job, ended = upload(store, b"a"), upload(store, b"b")
    for given_back in (1, 2):
        assert [store.begin(job).attempts for _ in range(2)] == [given_back, given_back + 1]
        store.give_back(job)
    for _ in range(4):
        store.give_back(job)
    assert store.job(job).attempts == 0
    store.begin(ended)
    store.fail(ended, "bad_image", "")
    store.give_back(ended)
    store.give_back("unknown")
    assert store.job(ended).attempts == 1
    with pytest.raises(NotFound):
        store.job("unknown")


def test_a_job_that_is_held_is_not_left_lying_and_has_no_attempt_more(store: Store) -> None:
    waiting, held, ended = (upload(store, data) for data in (b"a", b"b", b"c"))
    store.fail(ended, "bad_image", "")
    store.hold([held, ended, "unknown"])
    store.hold([])
    assert store.due_jobs(10, age=-1) == [waiting]
    again = store.begin(held)
    assert (again.attempts, again.in_hand) == (1, True)
    assert store.job(ended).state is State.FAILED


def test_commit_gives_dense_positions_and_a_chain_that_verifies(store: Store) -> None:
    places = [submit(store, data) for data in (b"a", b"b", b"c")]
    assert [place.position for place in places] == [1, 2, 3]
    assert {place.state for place in places} == {State.INDEXED}
    log = store.log(0, 10)
    assert log.start == genesis(store.collection().epoch)
    assert follow(log.start, log.entries) == log.tail == store.collection().tail
    assert [entry.image for entry in log.entries] == [
        image_hash(data) for data in (b"a", b"b", b"c")
    ]
    assert store.log(2, 10).start == log.entries[1].tail
    assert len(store.log(0, 2).entries) == 2
    assert store.log(4, 10).start is None


def test_a_job_says_how_many_faces_were_found_from_when_they_were_looked_for(store: Store) -> None:
    job, nobody, lost = (upload(store, data) for data in (b"a", b"b", b"c"))
    assert store.job(job).faces_found is None
    commit(store, job, b"a")
    commit(store, nobody, b"b", faces=0)
    store.fail(lost, "bad_image", "")
    assert [store.job(each).faces_found for each in (job, nobody, lost)] == [1, 0, None]
    store.erase(image_hash(b"a"))
    assert store.job(job).faces_found is None


def test_committing_again_finds_the_same_place(store: Store) -> None:
    job = upload(store, b"a")
    assert commit(store, job, b"a") == commit(store, job, b"a")
    assert store.collection().tail.position == 1


def test_a_job_is_of_one_image_even_if_its_url_shows_another_one_meanwhile(store: Store) -> None:
    store.accept(NewJob("u", "http://x/", url="http://x/"), BACKLOG)
    place = commit(store, "u", b"a")
    assert commit(store, "u", b"b") == place
    assert store.job("u").image == image_hash(b"a")
    with pytest.raises(NotFound):
        store.image(image_hash(b"b"))
    store.erase(image_hash(b"a"))
    assert commit(store, "u", b"b") == Committed(State.ERASED)
    with pytest.raises(NotFound):
        store.image(image_hash(b"b"))


def test_the_same_bytes_only_gain_a_name(store: Store) -> None:
    first = submit(store, b"a", "one.jpg")
    waiting = upload(store, b"a", "two.jpg")
    assert store.job(waiting).state is State.INDEXED
    assert store.uploaded(image_hash(b"a")) is None
    by_url = NewJob("u", "http://three/", url="http://three/")
    store.accept(by_url, BACKLOG)
    assert commit(store, "u", b"a") == first
    assert store.image(image_hash(b"a")).names == ("http://three/", "one.jpg", "two.jpg")
    assert store.collection().tail.position == 1


def test_jobs_with_the_same_bytes_are_attached_when_begun(store: Store) -> None:
    one, two = upload(store, b"a"), upload(store, b"a", "two.jpg")
    commit(store, one, b"a")
    begun = store.begin(two)
    assert (begun.state, begun.settled) == (State.INDEXED, True)
    assert not store.begin(two).settled
    assert store.image(image_hash(b"a")).names == ("a.jpg", "two.jpg")


def test_an_image_without_faces_is_done_and_not_in_the_log(store: Store) -> None:
    place = commit(store, upload(store, b"a"), b"a", faces=0)
    assert (place.state, place.position) == (State.DONE, 0)
    assert store.collection().tail.position == 0
    page = store.matches(image_hash(b"a"), 10)
    assert (page.image.state, page.matches, page.next) == (State.DONE, (), None)


def test_an_image_keeps_what_was_found(store: Store) -> None:
    place = commit(store, upload(store, b"a"), b"a", faces=2)
    image = store.image(image_hash(b"a"))
    assert (image.width, image.height, image.model) == (10, 20, MODEL)
    assert image.boxes == (Box(1, 4, 3, 2),) * 2
    assert not image.truncated
    assert store.count_faces([place.position, 99]) == 2
    encodings = store.faces([place.position, 99])
    assert list(encodings) == [place.position]
    assert encodings[place.position].shape == (2, 128)
    assert (encodings[place.position] == 0.5).all()


@pytest.mark.parametrize("faces", [0, 2])
def test_a_thumbnail_is_kept_with_an_image_until_that_is_erased(store: Store, faces: int) -> None:
    image, small = image_hash(b"a"), b"\xff\xd8\xff\0\r\n"
    assert store.thumbnail(image) is None
    job = upload(store, b"a")
    assert store.thumbnail(image) is None
    commit(store, job, b"a", faces, thumbnail=small)
    submit(store, b"b")
    assert (store.thumbnail(image), store.thumbnail(image_hash(b"b"))) == (small, None)
    store.erase(image)
    assert store.thumbnail(image) is None
    submit(store, b"a")
    assert store.thumbnail(image) is None


def test_a_collection_is_given_a_calibration_once_by_its_own_model(fresh_store: Store) -> None:
    store = fresh_store
    assert store.create(MODEL, 0.6, "one").calibration == "one"
    assert store.create("another-model", 0.6, "another").calibration == "one"
    assert store.create(MODEL, 0.6).calibration == "one"
    assert store.create(MODEL, 0.6, "two").calibration == store.collection().calibration == "one"


def test_that_there_is_no_calibration_is_pinned_too(store: Store) -> None:
    assert store.create(MODEL, 0.6, "one").calibration == ""


def test_data_of_an_older_version_comes_to_have_a_calibration(redis_url: str) -> None:
    with connect(redis_url) as client:
        store = RedisStore(client)
        store.create(MODEL, 0.6, "one")
        client.hdel("fm:{default}:meta", "calibration")
        assert store.create("another-model", 0.6, "another").calibration == ""
        assert store.create(MODEL, 0.6, "two").calibration == "two"


def test_faces_are_counted_those_ever_committed_and_those_there_are(store: Store) -> None:
    def counted() -> tuple[int, int]:
        collection = store.collection()
        return collection.size, collection.live_faces

    assert counted() == (0, 0)
    for data, faces in ((b"a", 2), (b"b", 3), (b"c", 0)):
        job = upload(store, data)
        for _ in range(2):
            commit(store, job, data, faces)
    assert counted() == (5, 5)
    for _ in range(2):
        store.erase(image_hash(b"a"))
    store.erase(image_hash(b"c"))
    assert counted() == (5, 3)
    submit(store, b"a")
    assert counted() == (6, 4)


def test_faces_are_kept_with_norms_and_how_many_there_were(store: Store) -> None:
    norms = np.array([[0.5, 0.25], [1.5, 0.125]], dtype=np.float32)
    with_norms = commit(store, upload(store, b"a"), b"a", 2, norms=norms)
    without = commit(store, upload(store, b"b"), b"b", 2)
    places = [with_norms.position, without.position]
    found, tail = store.faces_as_of([*places, 99])
    assert tail == store.collection().tail
    assert list(found) == places
    one, other = found.values()
    assert one.norms is not None
    assert one.norms.tolist() == norms.tolist()
    assert (one.size, one.encodings.shape) == (2, (2, 128))
    assert (other.size, other.norms, other.encodings.shape) == (0, None, (2, 128))
    assert store.count_faces(places) == 4

    submit(store, b"c")
    # Those that are there stay; of an image with another number of faces there can be none.
    store.add_norms({places[0]: norms * 2, places[1]: norms, 3: norms, 99: norms})
    store.add_norms({places[1]: norms * 2})
    found, _ = store.faces_as_of([*places, 3])
    assert [faces.size for faces in found.values()] == [2, 5, 0]
    for position in places:
        kept = found[position].norms
        assert kept is not None
        assert kept.tolist() == norms.tolist()
    store.add_norms({})
    assert store.count_faces([*places, 3]) == 5
    store.erase(image_hash(b"a"))
    store.erase(image_hash(b"b"))
    assert store.collection().live_faces == 1


def test_another_model_is_refused(store: Store) -> None:
    job = upload(store, b"a")
    with pytest.raises(Misconfigured):
        commit(store, job, b"a", model="another")
    assert store.job(job).state is State.ACCEPTED


def test_a_failed_job_says_why_and_frees_the_bytes(store: Store) -> None:
    job = upload(store, b"a")
    store.fail(job, "not_an_image", "looks like text")
    failed = store.job(job)
    assert (failed.state, failed.code, failed.detail) == (
        State.FAILED,
        "not_an_image",
        "looks like text",
    )
    image = store.image(image_hash(b"a"))
    assert (image.state, image.code) == (State.FAILED, "not_an_image")
    assert store.uploaded(image.hash) is None
    assert commit(store, job, b"a").state is State.FAILED


def test_a_failed_image_may_be_submitted_again(store: Store) -> None:
    store.fail(upload(store, b"a"), "not_an_image", "")
    again = upload(store, b"a")
    assert store.image(image_hash(b"a")).state is State.ACCEPTED
    assert commit(store, again, b"a").state is State.INDEXED
    assert store.image(image_hash(b"a")).code == ""


def test_after_commit_a_job_cannot_fail(store: Store) -> None:
    job = upload(store, b"a")
    commit(store, job, b"a")
    store.fail(job, "internal_error", "")
    assert store.job(job).state is State.INDEXED


def test_links_are_written_in_both_directions_with_their_distance(store: Store) -> None:
    a, b = submit(store, b"a", "a.jpg"), submit(store, b"b", "b.jpg")
    assert link(store, b"a", a) is Linked.DONE
    assert link(store, b"b", b, (a.position, 0.1234567)) is Linked.DONE
    assert listed(store, b"a") == [(image_hash(b"b"), 0.123456)]
    assert listed(store, b"b") == [(image_hash(b"a"), 0.123456)]
    page = store.matches(image_hash(b"a"), 10)
    assert page.matches[0].names == ("b.jpg",)
    assert (page.image.state, page.complete_through) == (State.DONE, 2)


def test_complete_through_is_just_below_the_oldest_unfinished_image(store: Store) -> None:
    places = [submit(store, data) for data in (b"a", b"b", b"c")]
    link(store, b"a", places[0])
    link(store, b"c", places[2])
    assert store.matches(image_hash(b"a"), 10).complete_through == 1
    link(store, b"b", places[1])
    assert store.matches(image_hash(b"a"), 10).complete_through == 3


def test_a_link_that_may_lack_matches_is_told_of_wherever_one_may_be_missing(
    store: Store,
) -> None:
    places = [submit(store, data) for data in (b"a", b"b", b"c", b"d")]

    def shown(data: bytes) -> tuple[int, bool]:
        page = store.matches(image_hash(data), 10)
        return page.complete_through, page.exact

    link(store, b"a", places[0])
    link(store, b"c", places[2], (1, 0.5), exact=False)
    assert store.collection().generations[0].approximate_since == 3
    # Nothing is said yet of what is behind b.
    assert shown(b"a") == (1, True)
    link(store, b"b", places[1])
    assert shown(b"a") == shown(b"c") == (3, False)
    link(store, b"d", places[3], exact=False)
    assert store.collection().generations[0].approximate_since == 3
    assert shown(b"d") == (4, False)
    assert listed(store, b"a") == [(image_hash(b"c"), 0.5)]


def test_the_lowest_such_position_counts_whatever_the_order(store: Store) -> None:
    places = [submit(store, data) for data in (b"a", b"b", b"c")]
    assert store.collection().generations[0].approximate_since is None
    for number, expected in ((2, 3), (0, 1), (1, 1)):
        link(store, b"abc"[number : number + 1], places[number], exact=False)
        assert store.collection().generations[0].approximate_since == expected


def test_a_link_that_is_refused_says_nothing_of_what_may_be_missing(store: Store) -> None:
    place = submit(store, b"a")
    tail = store.collection().tail
    forged = type(tail)(tail.position, "0" * 40)
    refused = Link(image_hash(b"a"), place, forged, "t", 0, (), last=True, exact=False)
    assert store.link(refused) is Linked.MOVED
    link(store, b"a", place)
    link(store, b"a", place, exact=False)
    assert store.collection().generations[0].approximate_since is None
    assert store.matches(image_hash(b"a"), 10).exact


def test_of_many_chunks_the_first_says_it(store: Store) -> None:
    place = submit(store, b"a")
    first = Link(
        *(image_hash(b"a"), place, store.collection().tail, "t", 0, ()), last=False, exact=False
    )
    assert store.link(first) is Linked.WRITTEN
    assert store.collection().generations[0].approximate_since == 1


def test_linking_a_done_image_again_changes_nothing(store: Store) -> None:
    a = submit(store, b"a")
    link(store, b"a", a)
    assert link(store, b"a", a) is Linked.DONE


def test_a_link_behind_another_log_is_refused(store: Store) -> None:
    a = submit(store, b"a")
    seen = store.collection().tail
    forged = type(seen)(seen.position, "0" * 40)
    beyond = type(seen)(seen.position + 5, seen.chain)
    for wrong in (forged, beyond):
        result = store.link(Link(image_hash(b"a"), a, wrong, "t", 0, (), last=True))
        assert result is Linked.MOVED
    submit(store, b"b")  # entries that follow do not disturb
    assert store.link(Link(image_hash(b"a"), a, seen, "t", 0, (), last=True)) is Linked.DONE


def test_a_link_for_another_life_of_the_image_is_refused(store: Store) -> None:
    a = submit(store, b"a")
    other = Committed(a.state, a.position, "another-nonce")
    assert link(store, b"a", other) is Linked.GONE
    store.erase(image_hash(b"a"))
    assert link(store, b"a", a) is Linked.GONE


def test_chunks_of_one_query_go_together(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    peers = [submit(store, bytes([65 + n])) for n in range(3)]
    new = submit(store, b"new")
    seen = store.collection().tail

    def chunk(token: str, offset: int, last: bool) -> Linked:
        pairs = [(peers[offset].position, 0.25)]
        return store.link(Link(image_hash(b"new"), new, seen, token, offset, pairs, last))

    assert chunk("t", 1, False) is Linked.SUPERSEDED  # its first chunk is not there
    assert chunk("t", 0, False) is Linked.WRITTEN
    assert chunk("t", 2, True) is Linked.SUPERSEDED  # the second is missing
    assert chunk("u", 0, False) is Linked.SUPERSEDED  # another worker is at it
    for module in (memory_store, redis_store):
        monkeypatch.setattr(module, "LINKER_SECONDS", 0.0)
    assert chunk("u", 0, False) is Linked.WRITTEN  # and now no more
    assert chunk("t", 1, False) is Linked.SUPERSEDED
    assert chunk("u", 1, False) is Linked.WRITTEN
    assert chunk("u", 2, True) is Linked.DONE
    assert len(listed(store, b"new")) == 3


def test_an_erased_image_is_hidden_at_once_and_then_unlinked(store: Store) -> None:
    a, b = submit(store, b"a"), submit(store, b"b")
    link(store, b"a", a)
    link(store, b"b", b, (a.position, 0.5))
    erased = store.erase(image_hash(b"a"))
    assert erased.position == a.position
    assert listed(store, b"b") == []
    assert store.matches(image_hash(b"a"), 10).matches == ()
    image = store.image(image_hash(b"a"))
    assert (image.state, image.names, image.boxes) == (State.ERASED, (), ())
    assert store.faces([a.position]) == {}
    assert store.count_faces([a.position]) == 0
    assert store.count_faces([]) == 0
    assert store.erasing() == [a.position]
    assert store.linked([b.position], 0) == {b.position: {a.position: 0.5}}
    assert not store.unlink(a.position)
    assert store.unlink(a.position)
    assert store.linked([a.position, b.position], 0) == {a.position: {}, b.position: {}}
    assert store.erasing() == []
    assert store.erase(image_hash(b"a")).position == a.position
    last = store.log(2, 10).entries[0]
    assert (last.op, last.target, last.nonce) == ("del", a.position, a.nonce)


def test_unlinking_goes_in_chunks(store: Store) -> None:
    place = submit(store, b"a")
    others = [submit(store, b"peer %d" % number) for number in range(LINK_CHUNK + 1)]
    link(store, b"a", place, *[(other.position, 0.5) for other in others])
    store.erase(image_hash(b"a"))
    assert [store.unlink(place.position) for _ in range(3)] == [False, False, True]


def test_a_link_to_an_erased_image_is_left_out(store: Store) -> None:
    a, b = submit(store, b"a"), submit(store, b"b")
    seen = store.collection().tail
    store.erase(image_hash(b"a"))
    pairs = [(a.position, 0.5)]
    assert store.link(Link(image_hash(b"b"), b, seen, "t", 0, pairs, last=True)) is Linked.DONE
    assert store.linked([a.position, b.position], 0) == {a.position: {}, b.position: {}}


def test_jobs_from_before_an_erasure_do_not_bring_the_image_back(store: Store) -> None:
    before = NewJob("url", "http://x/", url="http://x/")
    store.accept(before, BACKLOG)
    waiting = upload(store, b"a")
    store.erase(image_hash(b"a"))
    assert store.begin(waiting).state is State.ERASED
    assert commit(store, waiting, b"a").state is State.ERASED
    assert commit(store, "url", b"a").state is State.ERASED
    assert store.job("url").state is State.ERASED
    assert store.image(image_hash(b"a")).state is State.ERASED
    assert store.uploaded(image_hash(b"a")) is None


def test_an_erased_image_may_be_submitted_again_as_a_new_life(store: Store) -> None:
    old_job = upload(store, b"a")
    old = commit(store, old_job, b"a")
    store.erase(image_hash(b"a"))
    new_job = upload(store, b"a", "again.jpg")
    new = commit(store, new_job, b"a")
    assert (new.state, new.position) == (State.INDEXED, 3)
    assert new.nonce != old.nonce
    assert store.job(old_job).state is State.ERASED
    assert store.job(new_job).state is State.INDEXED
    assert store.image(image_hash(b"a")).names == ("again.jpg",)
    assert commit(store, old_job, b"a").state is State.ERASED


def test_replaying_an_erasure_spares_what_was_submitted_since(store: Store) -> None:
    submit(store, b"a")
    first = store.erase(image_hash(b"a"))
    store.accept(NewJob("since", "http://x/", url="http://x/"), BACKLOG)
    assert store.erase(image_hash(b"a"), first.upto) == first
    assert commit(store, "since", b"a").state is State.INDEXED
    assert store.erase(image_hash(b"a"), first.upto).position == 0
    assert store.image(image_hash(b"a")).state is State.INDEXED
    assert store.erase(image_hash(b"a")).upto > first.upto
    assert store.image(image_hash(b"a")).state is State.ERASED


def test_replaying_an_erasure_ends_every_life_from_before_it(store: Store) -> None:
    submit(store, b"a")
    store.erase(image_hash(b"a"))
    store.accept(NewJob("then", "http://x/", url="http://x/"), BACKLOG)
    now = int(time.time() * 1e6) + 1  # an erasure that this store has forgotten
    store.erase(image_hash(b"a"), now)
    assert commit(store, "then", b"a").state is State.ERASED
    failed = upload(store, b"b")
    store.fail(failed, "not_an_image", "")
    store.erase(image_hash(b"b"), int(time.time() * 1e6) + 1)
    assert store.job(failed).state is State.FAILED
    assert store.image(image_hash(b"b")).state is State.ERASED


def test_replaying_an_erasure_of_an_image_not_there_stops_older_jobs(store: Store) -> None:
    store.accept(NewJob("url", "http://x/", url="http://x/"), BACKLOG)
    upto = int(time.time() * 1e6) + 1
    store.erase(image_hash(b"a"), upto)
    assert commit(store, "url", b"a").state is State.ERASED
    while time.time() * 1e6 <= upto + 1:
        time.sleep(0.001)
    assert submit(store, b"a").state is State.INDEXED


def test_pages_follow_each_other_without_gap_or_repeat(store: Store) -> None:
    place = submit(store, b"a")
    others = [submit(store, b"peer %d" % number) for number in range(25)]
    tied = [(other.position, 0.25 if other.position % 2 else 0.5) for other in others]
    link(store, b"a", place, *tied)
    seen, cursor, pages = [], None, 0
    while True:
        page = store.matches(image_hash(b"a"), 7, cursor)
        seen += [(match.distance, match.position) for match in page.matches]
        pages += 1
        cursor = page.next
        if cursor is None:
            break
    assert pages == 4
    assert sorted(seen) == sorted((distance, position) for position, distance in tied)
    assert [distance for distance, _ in seen] == sorted(distance for distance, _ in seen)


def test_a_cursor_holds_when_its_own_image_is_erased(store: Store) -> None:
    place = submit(store, b"a")
    others = [submit(store, b"peer %d" % number) for number in range(6)]
    link(store, b"a", place, *[(other.position, 0.5) for other in others])
    first = store.matches(image_hash(b"a"), 3)
    assert first.next is not None
    store.erase(first.matches[-1].hash)
    while not store.unlink(first.next.position):
        pass
    rest = store.matches(image_hash(b"a"), 10, first.next)
    positions = {match.position for match in (*first.matches, *rest.matches)}
    assert len(rest.matches) == 3
    assert positions == {other.position for other in others}
    assert store.matches(image_hash(b"a"), 10, Cursor(1e12, 1)).matches == ()


def test_work_left_lying_is_handed_out_once(store: Store) -> None:
    upload(store, b"lost")
    submit(store, b"indexed")
    assert store.due_jobs(10, age=60) == store.due_images(10, age=60) == []
    time.sleep(2)
    assert len(store.due_jobs(10, age=0.02)) == 1
    assert store.due_jobs(10, age=2) == []  # it would be, had it not been handed out
    assert store.due_images(10, age=0.02) == [image_hash(b"indexed")]
    assert store.due_images(10, age=2) == []


def test_a_job_being_worked_on_is_not_left_lying(store: Store) -> None:
    store.begin(upload(store, b"a"))
    time.sleep(0.02)
    assert store.due_jobs(10, age=0.01) == []


def test_a_lease_has_one_holder_until_it_ends_or_is_given_back(store: Store) -> None:
    assert store.lease("a", "one", 60)
    assert store.lease("a", "one", 60)
    assert not store.lease("a", "two", 60)
    assert not store.lease("a", "two", 0)
    assert store.lease("b", "two", 60)
    assert not store.lease("a", "one", 0)
    assert store.lease("a", "two", 60)
    assert not store.lease("a", "one", 60)
    assert store.lease("a", "two", 0.05)  # from now on for no longer than that
    time.sleep(0.06)
    assert store.lease("a", "one", 60)


def test_without_a_collection_there_is_no_lease(fresh_store: Store) -> None:
    assert not fresh_store.lease("a", "one", 60)
    fresh_store.create(MODEL, 0.6)
    assert fresh_store.lease("a", "one", 60)


def test_of_many_who_want_a_lease_one_has_it(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda number: store.lease("a", f"{number}", 60), range(64)))
    assert sum(got) == 1


def test_listeners_hear_of_every_change_of_state(store: Store) -> None:
    events = store.listen(2)
    assert next(events) is None
    job = upload(store, b"a")
    place = commit(store, job, b"a")
    link(store, b"a", place)
    store.erase(image_hash(b"a"))
    heard = [event for event, _ in zip(events, range(4), strict=False)]
    image = f"image:{image_hash(b'a')}"
    assert sorted(map(str, heard)) == sorted([f"job:{job}", image, image, image])
    assert next(events) is None


def test_a_listener_whose_connection_is_cut_hears_of_that(redis_url: str) -> None:
    with connect(redis_url) as client:
        events = RedisStore(client).listen(2)
        assert next(events) is None
        client.client_kill_filter(_type="pubsub")
        with pytest.raises(Unavailable):
            list(zip(events, range(5), strict=False))


def test_a_listener_notices_a_server_that_no_longer_answers(redis_server: RedisServer) -> None:
    with connect(redis_server.url) as client:
        events = RedisStore(client).listen(2)
        assert [next(events) for _ in range(4)] == [None] * 4
        redis_server.pause()
        try:
            with pytest.raises(Unavailable):
                list(zip(events, range(5), strict=False))
        finally:
            redis_server.resume()


def test_commits_at_once_by_many_threads_make_one_image_each(store: Store) -> None:
    jobs = [(upload(store, data), data) for data in (b"a", b"b", b"a", b"b", b"a")]
    barrier = threading.Barrier(len(jobs))
    places: dict[str, Committed] = {}

    def work(job: str, data: bytes) -> None:
        barrier.wait()
        places[job] = commit(store, job, data)

    threads = [threading.Thread(target=work, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({place.position for place in places.values()}) == 2
    assert store.collection().tail.position == 2


def test_the_snapshot_is_what_is_there(store: Store) -> None:
    a, b = submit(store, b"a"), submit(store, b"b")
    waiting = upload(store, b"c")
    link(store, b"a", a)
    store.erase(image_hash(b"a"))
    snapshot = store.snapshot()
    assert snapshot.positions == {b.position: image_hash(b"b")}
    assert snapshot.pending == {image_hash(b"b"): b.position}
    assert list(snapshot.accepted) == [waiting]
    assert snapshot.erasing == (a.position,)
    assert [entry.position for entry in snapshot.entries] == [1, 2, 3]
    assert sorted(position for portion in store.live() for position in portion) == [b.position]


def test_faces_are_shown_with_whose_they_are(store: Store) -> None:
    store.create(MODEL, 0.6, RATED)
    one, two, gone = place(store, b"a"), place(store, b"b", faces=3), place(store, b"c")
    upload(store, b"b", "another.jpg")
    store.erase(image_hash(b"c"))
    assert store.shown_faces([]) == {}
    shown = store.shown_faces([gone.position, two.position, 99, one.position])
    assert shown.keys() == {one.position, two.position}
    first, second = shown[one.position], shown[two.position]
    assert (first.hash, first.names) == (image_hash(b"a"), ("a.jpg",))
    assert (second.hash, second.names) == (image_hash(b"b"), ("a.jpg", "another.jpg"))
    assert second.boxes == (Box(1, 4, 3, 2),) * 3
    stored = store.faces_as_of([two.position])[0][two.position]
    assert second.stored.encodings.tolist() == stored.encodings.tolist()
    assert second.stored.norms is not None
    assert stored.norms is not None
    assert second.stored.norms.tolist() == stored.norms.tolist()
    assert second.stored.size == stored.size == 4


def test_faces_of_many_images_are_shown_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_store, "_SHOWN", 2)
    for data in (b"a", b"b", b"c", b"d", b"e"):
        submit(store, data)
    assert list(store.shown_faces([5, 1, 2, 3, 4])) == [5, 1, 2, 3, 4]
