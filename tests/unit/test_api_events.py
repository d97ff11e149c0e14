"""The stream of events: what comes on it, going on behind any event, and listeners that take
nobody's thread."""

import contextlib
import itertools
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from api_parts import Api, running_api
from api_server import Running, serving
from flask.testing import FlaskClient
from waiting import eventually

from api.listening import Listeners
from facematch.client import Client
from facematch.collection_name import DEFAULT
from facematch.errors import Rejected
from facematch.events_client import EventAnswer
from facematch.faces import image_hash


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path, api_listeners=2) as api:
        yield api


@pytest.fixture
def client(api: Api) -> FlaskClient:
    return api.app.test_client()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("server")
    with serving(folder, api_threads="4", api_waiters="1", api_listeners="101") as running:
        yield running


def test_the_stream_is_one_of_server_sent_events(api: Api, client: FlaskClient) -> None:
    with client.get("/v1/events") as answer:
        assert (answer.status_code, answer.content_type) == (200, "text/event-stream")
        assert answer.headers["Cache-Control"] == "no-store"
        pieces = answer.iter_encoded()
        first = next(pieces).decode()
        assert "event: ready\nid: 0-0\n" in first
        client.post("/v1/images", data=b"a")
        api.finish(b"a", faces=0)
        said = next(pieces).decode()
        assert said.startswith("event: done\nid: 1-0\ndata: {")
        assert said.endswith("}\n\n")
    assert client.get("/v1/events", headers={"Last-Event-ID": "7-0"}).status_code == 200


@pytest.mark.parametrize("where", ["?after=x", "?after=1-0_1"])
def test_what_is_no_event_is_refused(client: FlaskClient, where: str) -> None:
    answer = client.get(f"/v1/events{where}")
    assert (answer.status_code, answer.json["code"]) == (400, "bad_cursor")


def test_too_many_listeners_are_asked_to_come_again(client: FlaskClient) -> None:
    with client.get("/v1/events") as one, client.get("/v1/events") as two:
        for answer in (one, two):
            next(answer.iter_encoded())
        refused = client.get("/v1/events")
        assert (refused.status_code, refused.json["code"]) == (503, "service_unavailable")
        assert "Retry-After" in refused.headers
    with client.get("/v1/events") as again:
        assert again.status_code == 200


def test_a_head_holds_nothing(client: FlaskClient) -> None:
    for _ in range(5):
        answer = client.head("/v1/events")
        assert (answer.status_code, answer.data) == (200, b"")


def heard(
    url: str, count: int, after: str = "", there: list[EventAnswer] | None = None
) -> list[EventAnswer]:
    with Client(url) as client:
        events = client.events(after)
        first = next(events)
        if there is not None:
            there.append(first)
        return [first, *itertools.islice(events, count - 1)]


def test_a_hundred_listeners_hear_all_and_starve_nobody(server: Running) -> None:
    with ThreadPoolExecutor(100) as listeners, requests.Session() as session:
        there: list[EventAnswer] = []
        listening = [listeners.submit(heard, server.url, 6, "", there) for _ in range(100)]
        eventually(lambda: len(there) == 100, "all listen", 30)
        # There are four threads, all of which are free.
        times = []
        for number in range(100):
            before = time.monotonic()
            assert session.get(f"{server.url}/match/{'0' * 64}", timeout=10).json() == []
            times.append(time.monotonic() - before)
            if number % 20 == 10:
                picture = b"picture %d" % number
                session.post(f"{server.url}/v1/images", data=picture, timeout=10)
        everything = [one.result(30) for one in listening]
        assert sorted(times)[50] < 1, times
        assert sorted(times)[98] < 5, times
    done = {image_hash(b"picture %d" % number) for number in range(10, 100, 20)}
    for events in everything:
        assert [event.type for event in events] == ["ready", *["done"] * 5]
        assert {event.hash for event in events[1:]} == done
        assert events[1:] == everything[0][1:]
        assert all(event.job for event in events[1:])
    # Any of them is a place to go on from.
    assert heard(server.url, 3, everything[0][2].id) == everything[1][3:]
    assert heard(server.url, 1, "77-0")[0].type == "reset"
    with pytest.raises(Rejected):
        heard(server.url, 1, "x")


def test_who_leaves_makes_room(server: Running) -> None:
    host, port = server.url.removeprefix("http://").split(":")

    def listen() -> tuple[socket.socket, bytes]:
        connection = socket.create_connection((host, int(port)), timeout=10)
        connection.sendall(b"GET /v1/events HTTP/1.0\r\n\r\n")
        return connection, connection.recv(15)

    def refused() -> bool:
        with requests.get(f"{server.url}/v1/events", stream=True, timeout=10) as answer:
            return answer.status_code == 503

    with contextlib.ExitStack() as connections:
        listeners, full = 0, False
        while not full:
            connection, said = listen()
            connections.enter_context(connection)
            listeners += 1
            assert listeners < 200
            # Those of the test before may only just be leaving, and make room once more.
            full = said[9:12] == b"503" and refused()
        assert listeners > 50
    eventually(lambda: not refused(), "there is room again", 10)


def test_listeners_are_let_go_at_a_stop(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        answer = requests.get(f"{server.url}/v1/events", stream=True, timeout=10)
        lines = answer.iter_lines()
        assert next(lines) == b"retry: 2000"
        begun = time.monotonic()
        server.process.terminate()
        with pytest.raises(requests.RequestException):
            list(lines)
        assert server.process.wait(30) == 0
        assert time.monotonic() - begun < 10


def test_silence_is_broken_by_heartbeats(api: Api) -> None:
    api.audiences.of(DEFAULT)._heartbeat = 0.1
    with api.app.test_client().get("/v1/events") as answer:
        pieces = answer.iter_encoded()
        next(pieces)
        assert [next(pieces) for _ in range(2)] == [b":\n\n"] * 2


def listening(listeners: Listeners) -> socket.socket:
    """Somebody's end of a connection that was taken over."""
    ours, theirs = socket.socketpair()
    place = listeners._events.since("", 1).place
    listeners.take_over(ours, b"", b"", place, lambda: True, chunked=False)
    theirs.settimeout(10)
    return theirs


def test_who_listens_to_a_collection_that_is_erased_is_let_go(
    api: Api, client: FlaskClient
) -> None:
    assert client.post("/v1/collections", json={"name": "holiday"}).status_code == 201
    with listening(api.audiences.of("holiday")) as one, listening(api.audiences.of(DEFAULT)):
        with client.get("/v1/collections/holiday/events") as answer:
            pieces = answer.iter_encoded()
            next(pieces)
            assert client.delete("/v1/collections/holiday").status_code == 204
            assert list(pieces) == []
        assert one.recv(1) == b""
        eventually(lambda: api.audiences.listening == 1, "the other one is still there")


def test_who_comes_while_nobody_listened_yet_counts_and_is_let_go(api: Api) -> None:
    coming = api.audiences.of(DEFAULT)
    api.audiences.of("holiday")  # another one comes first
    with listening(coming) as one:
        assert api.audiences.listening == 1
        api.audiences.stop()
        assert one.recv(1) == b""
