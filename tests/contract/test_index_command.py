"""`facematch index`: the same commands for both kinds of index, beside a real Redis."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from histories import MODEL, THRESHOLD, add, erase, running
from indexes import FACE, ask, asking, feeding, found, serving
from planted import people, pictures_of
from waiting import eventually

from facematch import index_check
from facematch.cli import main
from facematch.errors import Unavailable
from facematch.faces import face_ids
from facematch.generation_search import GenerationSearch
from facematch.generations import current
from facematch.milvus import Milvus
from facematch.redis_connection import connect
from facematch.redis_store import RedisStore
from index.follower import Follower


@dataclass
class Place:
    """Where the command looks; `milvus` is what holds the faces if that is the kind."""

    store: RedisStore
    redis_url: str
    index_url: str
    milvus: Milvus | None

    def run(self, *words: str) -> Result:
        environment = {
            "FACEMATCH_REDIS_URL": self.redis_url,
            "FACEMATCH_INDEX_URL": self.index_url,
        }
        return CliRunner(env=environment).invoke(main, ["index", *words])

    def settle(self) -> None:
        """Wait until the index is at the end of the log."""
        if self.milvus is not None:
            ask(GenerationSearch(self.milvus), self.store)
        else:
            with asking(Path(self.index_url.removeprefix("unix:"))) as sidecar:
                ask(sidecar, self.store)


@pytest.fixture
def store(redis_url: str) -> Iterator[RedisStore]:
    client = connect(redis_url)
    made = RedisStore(client)
    made.create(MODEL, THRESHOLD)
    yield made
    client.close()


@contextmanager
def placed(
    kind: str, store: RedisStore, redis_url: str, request: pytest.FixtureRequest, folder: Path
) -> Iterator[Place]:
    if kind == "milvus":
        url = request.getfixturevalue("milvus_url")
        with feeding(store, url) as milvus:
            yield Place(store, redis_url, url, milvus)
    else:
        with serving(store, folder / "index.sock"):
            yield Place(store, redis_url, f"unix:{folder / 'index.sock'}", None)


@pytest.fixture(params=["sidecar", "milvus"])
def place(
    request: pytest.FixtureRequest, store: RedisStore, redis_url: str, tmp_path: Path
) -> Iterator[Place]:
    with placed(request.param, store, redis_url, request, tmp_path) as made:
        yield made


def crowd(store: RedisStore, images: int) -> None:
    rng = np.random.default_rng(4)
    persons = people(rng, 5)
    for number in range(images):
        add(store, str(number), pictures_of(rng, persons[number % 5], 1 + number % 3))
    erase(store, "3")


def test_it_says_how_far_the_index_is_and_loads_it_anew(place: Place) -> None:
    crowd(place.store, 30)
    place.settle()
    for command in ("status", "rebuild", "status"):
        told = place.run(command, "--json")
        assert told.exit_code == 0, told.output
        answer = json.loads(told.stdout)
        assert answer.pop("kind") in ("sidecar", "milvus")
        assert answer == {"ready": True, "position": 31, "behind": 0, "faces": 59, "reason": ""}
    lines = place.run("status").stdout.splitlines()
    assert lines[0].endswith(", ready")
    assert lines[1] == "59 faces, at position 31, 0 behind the log"


def test_a_sound_index_verifies(place: Place) -> None:
    crowd(place.store, 60)
    place.settle()
    told = place.run("verify", "--sample", "40")
    assert told.exit_code == 0, told.output
    first, last = told.stdout.splitlines()
    assert first.startswith("40 faces compared with 119 of 59 images, ")
    assert last == "0 findings"
    answer = json.loads(place.run("verify", "--json").stdout)
    assert (answer["sampled"], answer["findings"]) == (59, [])
    assert answer["neighbours"] > 500


def test_while_images_come_and_go_nothing_is_found(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_check, "_PORTION", 10)
    crowd(place.store, 60)
    place.settle()
    stop = threading.Event()

    def work() -> None:
        for number in range(100, 1000):
            add(place.store, str(number), FACE)
            erase(place.store, str(number - 3) if number > 102 else str(number - 95))
            if stop.wait(0.01):
                return

    working = threading.Thread(target=work)
    working.start()
    try:
        told = place.run("verify", "--sample", "20")
    finally:
        stop.set()
        working.join()
    assert told.exit_code == 0, told.output


def test_a_face_that_is_missing_or_left_over_is_found(
    request: pytest.FixtureRequest,
    store: RedisStore,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(index_check, "_PATIENCE", 0.5)
    crowd(store, 30)
    with placed("milvus", store, redis_url, request, tmp_path) as place:
        assert place.milvus is not None
        place.settle()
        (now,) = current(place.milvus.places())
        place.milvus.remove(now.generation, [7])
        place.milvus.add(now.generation, face_ids(4, 1), FACE, ["old"])
        told = place.run("verify", "--json")
        assert told.exit_code == 1
        found = {(f["invariant"], *f["positions"]) for f in json.loads(told.stdout)["findings"]}
        assert found == {("missing", 7), ("left_over", 4)}
        assert "left_over: the index holds faces of 4, which is gone" in place.run("verify").stdout
        assert place.run("rebuild").exit_code == 0
        assert place.run("verify").exit_code == 0


def test_a_sidecar_with_a_face_too_many_is_found(
    request: pytest.FixtureRequest,
    store: RedisStore,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    crowd(store, 30)
    with monkeypatch.context() as broken:
        broken.setattr("index.engine.Engine.remove", lambda *_: None)
        with placed("sidecar", store, redis_url, request, tmp_path) as place:
            place.settle()
            erase(store, "8")
            place.settle()
            told = place.run("verify")
            assert told.exit_code == 1
            assert "count: the index holds 59 faces, the store 56" in told.stdout


def test_what_is_not_there_is_one_line(
    place: Place, store: RedisStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    del store
    place.settle()  # what it logs would be taken for what the command prints
    if place.milvus is not None:
        place.index_url = "milvus+http://ann:secret@127.0.0.1:1"
    else:
        place.index_url = f"unix:{tmp_path / 'elsewhere.sock'}"
    for command in ("status", "rebuild", "verify"):
        told = place.run(command)
        assert told.exit_code == 1
        assert told.stdout == ""
        assert told.stderr.endswith(" (index_unavailable)\n")
        assert told.stderr.count("\n") == 1
        assert "secret" not in told.stderr


def test_an_index_that_is_not_ready_is_said_to_be_so(
    request: pytest.FixtureRequest, store: RedisStore, redis_url: str, tmp_path: Path
) -> None:
    milvus = Place(store, redis_url, request.getfixturevalue("milvus_url"), None)
    told = milvus.run("status")
    assert told.exit_code == 1
    assert told.stdout.startswith("milvus, not ready: no generation of faces is loaded yet\n")
    assert milvus.run("verify").stderr.endswith(" (index_loading)\n")


def test_a_follower_asked_to_load_anew_is_not_ready_until_it_has(store: RedisStore) -> None:
    add(store, "a", FACE)
    follower = Follower(store)
    stop = threading.Event()
    thread = threading.Thread(target=follower.run, args=(stop,))
    thread.start()
    while not follower.status().ready:
        pass
    stop.set()
    thread.join()
    follower.rebuild()
    assert not follower.status().ready
    with pytest.raises(Unavailable, match="loaded anew") as raised:
        found(follower)
    assert raised.value.code == "index_loading"
    with running(follower.run):
        eventually(lambda: follower.status().ready, "it is ready")
        assert found(follower) == [1]
