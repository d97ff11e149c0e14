"""Several collections in one sidecar: the process it is, on a real Redis and Valkey."""

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from histories import MODEL, THRESHOLD, add, erase
from indexes import FACE, FOREVER, Process, ask, asking, get, positions, post, process, up
from planted import people, pictures_of
from prometheus_client.parser import text_string_to_metric_families
from waiting import eventually

from facematch.errors import Unavailable
from facematch.faces import Encodings
from facematch.neighbours import ExactNeighbours, Query
from facematch.redis_connection import connect
from facematch.redis_store import RedisStore
from facematch.sidecar import Sidecar
from facematch.wire import decode_error
from index.collections import LEAST_IDLE_SECONDS
from index.engine import BASE_BYTES
from index.flat import FACE_BYTES


@pytest.fixture(params=["redis", "valkey"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_url"))


@dataclass
class Sidecars:
    """A process with the stores and the clients of two collections."""

    index: Process
    stores: dict[str, RedisStore]
    clients: dict[str, Sidecar]

    def equals_truth(self, name: str, asked: Encodings) -> bool:
        """Whether the answer is what brute force finds, and where."""
        answer = ask(self.clients[name], self.stores[name], asked)
        truth = ask(ExactNeighbours(self.stores[name]), self.stores[name], asked)
        return answer.tail == truth.tail and answer.faces.tolist() == truth.faces.tolist()

    def code(self, name: str) -> str:
        """What a query is refused with; "" for an answer."""
        try:
            self.clients[name].within(Query(FACE, THRESHOLD, FOREVER))
        except Unavailable as error:
            return error.code
        return ""

    def metrics(self) -> dict[tuple[str, str, str], float]:
        """By name, collection and code."""
        status, body = get(self.index.socket, "/metrics")
        assert status == http.client.OK
        return {
            (sample.name, sample.labels.get("collection", ""), sample.labels.get("code", "")): (
                sample.value
            )
            for family in text_string_to_metric_families(body.decode())
            for sample in family.samples
        }

    def told(self, name: str, collection: str = "", code: str = "") -> float:
        """One of the metrics."""
        return self.metrics()[f"facematch_index_{name}", collection, code]

    def held(self) -> dict[str, dict[str, object]]:
        """What the process says that it holds."""
        status, body = get(self.index.socket, "/status")
        assert status == http.client.OK
        found: dict[str, dict[str, object]] = json.loads(body)["collections"]
        return found


@contextmanager
def sidecars(url: str, folder: Path, **settings: str) -> Iterator[Sidecars]:
    with ExitStack() as stack:
        client = stack.enter_context(connect(url))
        stores = {name: RedisStore(client, name) for name in ("default", "other-1")}
        for store in stores.values():
            store.create(MODEL, THRESHOLD)
        index = stack.enter_context(process(folder, url, **settings))
        clients = {
            name: stack.enter_context(asking(index.socket, collection=name)) for name in stores
        }
        up(clients["default"])
        yield Sidecars(index, stores, clients)


def fill(store: RedisStore, rng: np.random.Generator, images: int) -> Encodings:
    """Images of three people, two faces each; all their encodings."""
    persons = people(rng, 3)
    made = [
        np.concatenate([pictures_of(rng, person, 1) for person in persons[rng.integers(0, 3, 2)]])
        for _ in range(images)
    ]
    for number, faces in enumerate(made):
        add(store, str(number), faces)
    return np.concatenate(made)


def test_two_collections_answer_each_for_itself_as_brute_force_does(
    url: str, tmp_path: Path
) -> None:
    rng = np.random.default_rng(11)
    with sidecars(url, tmp_path) as both:
        asked = {name: fill(store, rng, 30) for name, store in both.stores.items()}
        ask(both.clients["default"], both.stores["default"])
        assert list(both.held()) == ["default"]
        # A probe has nothing loaded, and does not wait for it.
        both.clients["other-1"].check()
        assert "not loaded" in both.clients["other-1"].status().reason
        assert list(both.held()) == ["default"]
        for name in both.stores:
            assert both.equals_truth(name, asked[name][:7])
        erase(both.stores["other-1"], "3")
        add(both.stores["other-1"], "more", FACE)
        for name in both.stores:
            for other in both.stores:
                assert both.equals_truth(name, asked[other][:20])
        held = both.held()
        assert {name: one["faces"] for name, one in held.items()} == {"default": 60, "other-1": 59}
        assert both.clients["other-1"].status().faces == 59
        assert all(one["idle_seconds"] < 5 for one in held.values())
        assert both.told("faces", "default") == 60
        assert both.told("ready", "other-1") == 1
        assert both.told("position", "other-1") == 32
        assert both.told("log_lag", "other-1") == 0
        assert both.told("loads_total", "other-1") == 1
        assert both.told("query_seconds_count", "default") >= 4
        assert both.told("memory_bytes", "default") == 60 * FACE_BYTES
        assert both.told("memory_used_bytes") >= 2 * BASE_BYTES + 119 * FACE_BYTES
        assert both.told("memory_limit_bytes") > 2**28
        assert both.metrics()["process_resident_memory_bytes", "", ""] > 2**20


def test_one_that_is_idle_makes_room_and_is_right_when_it_is_back(url: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(12)
    limit = BASE_BYTES + 100 * FACE_BYTES
    with sidecars(url, tmp_path, index_memory=str(limit)) as both:
        asked = {name: fill(store, rng, 30) for name, store in both.stores.items()}
        assert both.equals_truth("default", asked["default"][:5])
        eventually(lambda: both.code("other-1") == "index_full", "there is no room yet")
        assert both.told("refusals_total", "other-1", "index_full") >= 1
        assert both.told("full", "other-1") == 1
        # The one that is there goes on.
        add(both.stores["default"], "more", FACE)
        assert both.equals_truth("default", asked["default"][:5])
        for name, other in (("other-1", "default"), ("default", "other-1")):
            time.sleep(LEAST_IDLE_SECONDS)
            eventually(lambda name=name: both.code(name) == "", "room is made")  # type: ignore[misc]
            assert both.equals_truth(name, asked[name][:5])
            assert list(both.held()) == [name]
            assert both.told("drops_total", other) == 1
            assert both.told("memory_used_bytes") <= limit
            erase(both.stores[other], "7")
        assert both.told("loads_total", "default") == 2


def test_an_index_that_is_full_goes_on_when_enough_is_erased(
    redis_url: str, tmp_path: Path
) -> None:
    limit = BASE_BYTES + 12 * FACE_BYTES
    with sidecars(redis_url, tmp_path, index_memory=str(limit)) as both:
        store, sidecar = both.stores["default"], both.clients["default"]
        for number in range(10):
            add(store, str(number), FACE)
        assert positions(sidecar, store) == list(range(1, 11))
        add(store, "large", np.repeat(FACE, 5, axis=0))
        add(store, "last", FACE)
        eventually(lambda: both.told("full", "default") == 1, "it says that it is full")
        assert sidecar.status().ready
        eventually(lambda: both.told("log_lag", "default") == 2, "it knows of both")
        answer = sidecar.within(Query(FACE, THRESHOLD, FOREVER))
        assert answer.tail.position == 10
        for number in range(4):
            erase(store, str(number))
        assert positions(sidecar, store) == [*range(5, 13)]
        assert both.told("full", "default") == 0


def test_what_is_no_collection_is_told_so(redis_url: str, tmp_path: Path) -> None:
    with sidecars(redis_url, tmp_path) as both, asking(both.index.socket) as sidecar:
        ask(both.clients["default"], both.stores["default"])
        body = Query(FACE, THRESHOLD, FOREVER).encode()
        for name in ("none", "x" * 63):
            for status, answer in (
                post(both.index.socket, f"/collections/{name}/within", body),
                get(both.index.socket, f"/collections/{name}/readyz"),
                get(both.index.socket, f"/collections/{name}/status"),
            ):
                assert (status, decode_error(answer)[0]) == (404, "no_collection")
        for name in ("", "X", "x" * 64, "-a", "%20", "a{b}", "..", "a:b"):
            status, answer = post(both.index.socket, f"/collections/{name}/within", body)
            assert (status, decode_error(answer)[0]) == (400, "bad_request")
        with asking(both.index.socket, collection="none") as nobody:
            for call in (nobody.check, nobody.status):
                with pytest.raises(Unavailable) as raised:
                    call()
                assert raised.value.code == "no_collection"
        assert list(both.held()) == ["default"]
        assert "none" not in get(both.index.socket, "/metrics")[1].decode()
        sidecar.check()


@pytest.mark.parametrize("name", ["", "X", "a b", "a/b", "../x", "x" * 64, "a\n"])
def test_a_client_and_a_store_take_no_other_names(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        Sidecar("unix:/tmp/x", name)
    with connect("redis://127.0.0.1:1/0") as client, pytest.raises(ValueError, match="name"):
        RedisStore(client, name)
