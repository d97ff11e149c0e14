"""Which collection a worker works for, and what it makes of one that is not there."""

import threading

import pytest
from structlog.testing import capture_logs

from facematch.collection_name import served_name
from facematch.errors import Misconfigured, NotFound, Unavailable
from facematch.memory_reencoding import MemoryReencoding
from facematch.memory_store import MemoryStore
from facematch.redis_collections import RedisCollections
from facematch.redis_connection import connect
from facematch.redis_reencoding import RedisReencoding
from facematch.redis_schema import RedisSchema
from facematch.redis_store import RedisStore
from facematch.settings import Settings
from facematch.store import NO_BOUNDS, Bounds, NewJob
from worker.encoder import calibration_of
from worker.joining import Joined, join

MODEL = "a-model"


def joined(store: MemoryStore, calibration: str = "dlib-1", **settings: object) -> Joined:
    """As a worker with these settings joins it."""
    given = Settings(**settings)  # type: ignore[arg-type]
    found = join(
        *(list, MemoryReencoding(store), lambda name: store, MODEL, calibration, given),
        threading.Event(),
    )
    assert found is not None
    return found


def test_a_collection_is_made_with_the_policy_in_the_settings() -> None:
    found = joined(MemoryStore(), max_false_matches=1.5, max_matches=7, threshold=0.5)
    assert (found.threshold, found.bounds) == (0.5, Bounds(1.5, 7))
    assert (found.calibration, found.store.collection().calibration) == ("dlib-1", "dlib-1")
    assert joined(MemoryStore()).bounds == Bounds()
    assert joined(MemoryStore(), max_matches=0).bounds == NO_BOUNDS


def test_one_that_is_there_keeps_its_own_policy_and_its_calibration() -> None:
    store = MemoryStore()
    store.create(MODEL, 0.6, "dlib-1", Bounds(2.0))
    with capture_logs() as logs:
        found = joined(store, max_false_matches=1.0)
    assert found.bounds == Bounds(2.0)
    [said] = [line for line in logs if "keeps the policy" in line["event"]]
    assert "at most 2 false matches" in said["policy"]
    assert "at most 1 false matches" in said["set"]
    # It says so no more of its own encodings.
    assert joined(store, calibration="").calibration == "dlib-1"


def test_without_a_calibration_no_false_matches_can_be_bounded() -> None:
    with pytest.raises(Misconfigured, match="FACEMATCH_MAX_FALSE_MATCHES is set"):
        joined(MemoryStore(), calibration="", max_false_matches=1.0)
    store = MemoryStore()
    store.create(MODEL, 0.6, "", Bounds(1.0))
    with pytest.raises(Misconfigured, match="max-false-matches none"):
        joined(store, calibration="")


def test_a_calibration_of_a_newer_version_is_not_worked_with() -> None:
    store = MemoryStore()
    store.create(MODEL, 0.6, "dlib-2000")
    with pytest.raises(Misconfigured, match="dlib-2000"):
        joined(store)


def test_an_encoder_says_which_calibration_it_has_or_nothing() -> None:
    class Silent:
        model = MODEL

    class Wrong(Silent):
        calibration = "none that there is"

    class Right(Silent):
        calibration = "dlib-1"

    assert calibration_of(Silent()) == ""  # type: ignore[arg-type]
    assert calibration_of(Right()) == "dlib-1"  # type: ignore[arg-type]
    with pytest.raises(Misconfigured, match="none that there is"):
        calibration_of(Wrong())  # type: ignore[arg-type]


def test_who_joins_goes_on_with_emptying_the_collection(redis_url: str) -> None:
    with connect(redis_url) as client:
        store, collections = RedisStore(client), RedisCollections(client)
        store.create(MODEL, 0.6)
        accept = RedisStore(client, served_name("default")).accept
        accept(NewJob("job", "a", image="0" * 64, data=b"a"), 1000)
        collections.drop("default")
        # As all workers were stopped over it: whoever asks is told that the store is there.
        store.check()
        RedisSchema(client).check()
        with pytest.raises(Unavailable):
            store.collection()
        found = join(
            *(list, RedisReencoding(client), lambda name: RedisStore(client, name), MODEL, ""),
            *(Settings(), threading.Event(), lambda: collections.drop_some("default")),
        )
        assert found is not None
        assert collections.about("default").jobs == 0
        with pytest.raises(NotFound):
            store.job("job")
