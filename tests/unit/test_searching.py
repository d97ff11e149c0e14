"""Workers are asked over their sockets: what is said, who is asked, and what becomes of it when
they are busy, gone, slow or of another mind."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from waiting import eventually

from facematch.errors import (
    Conflict,
    FacematchError,
    Misconfigured,
    NotFound,
    Rejected,
    Unavailable,
)
from facematch.faces import Box
from facematch.search_workers import SearchWorkers, listening_place, open_searcher
from facematch.searching import Asked, Found, FoundFace, FoundImage, Probe, ProbeFace
from worker.search_server import SearchServer

BOX = Box(1, 4, 3, 2)
FOUND = Found(
    *(10, 20, 3, 1, "planted", 0.6, None, 7, True),
    faces=(
        ProbeFace(
            *(0, BOX),
            (FoundImage("a" * 64, ("ä.jpg",), 0.25, None, (FoundFace(2, BOX, 0.25, 1e-9),)),),
            more=True,
            expected_false_matches=0.5,
        ),
    ),
)
PROBE = Probe(Asked(face=1, max_distance=0.4, seconds=5.0), b"\0picture")


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., SearchServer]]:
    with ExitStack() as stack:

        def serve(search: Callable[[Probe], Found], name: str = "1", **options: int):
            server = SearchServer(
                search,
                str(tmp_path / f"{name}.sock"),
                **{"most": 2, "max_bytes": 1000, **options},
            )
            server.start()
            stack.callback(server.stop, 0.5)
            return server

        yield serve


@pytest.fixture
def workers(tmp_path: Path) -> SearchWorkers:
    return SearchWorkers(f"unix:{tmp_path}", most=4)


def test_what_is_asked_and_answered_comes_back_as_it_was() -> None:
    assert Probe.decode(PROBE.encode()) == PROBE
    by_url = Probe(Asked(url="http://x/ä"))
    assert Probe.decode(by_url.encode()) == by_url
    assert Found.decode(FOUND.encode()) == FOUND


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"FMS1",
        b"FMS2" + PROBE.encode()[4:],
        b"FMS1\xff\xff\xff\xff{}",
        b"FMS1\x05\0\0\0{}",
        b"FMS1\x02\0\0\0[]",
        b"FMS1\x02\0\0\0\xff\xff",
        Probe(Asked(collection="~")).encode(),
    ],
)
def test_what_is_no_search_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Probe.decode(data)


def test_workers_are_asked_in_turns(serve, workers: SearchWorkers) -> None:
    asked: list[str] = []
    for name in ("1", "2"):
        serve(lambda probe, name=name: asked.append(name) or FOUND, name)
    for _ in range(4):
        assert workers.search(PROBE) == FOUND
    assert asked == ["1", "2", "1", "2"]


def test_the_picture_and_what_is_asked_arrive(serve, workers: SearchWorkers) -> None:
    got: list[Probe] = []
    serve(lambda probe: got.append(probe) or FOUND, max_bytes=2_000_000)
    picture = bytes(range(256)) * 4096
    began = time.monotonic()
    workers.search(Probe(PROBE.asked, picture))
    took = time.monotonic() - began
    [probe] = got
    assert probe.picture == picture
    assert probe.asked.face == 1
    assert 5 - took <= probe.asked.seconds <= 5


@pytest.mark.parametrize(
    "error",
    [Rejected("not_an_image", "a poem"), NotFound("no_face"), Conflict("no_rates")],
)
def test_what_a_worker_says_of_the_picture_counts(
    serve, workers: SearchWorkers, error: FacematchError
) -> None:
    asked: list[Probe] = []

    def fail(probe: Probe) -> Found:
        asked.append(probe)
        raise error

    serve(fail, "1")
    serve(fail, "2")
    with pytest.raises(type(error)) as caught:
        workers.search(PROBE)
    assert (caught.value.code, str(caught.value)) == (error.code, str(error))
    assert len(asked) == 1


def test_an_error_of_ours_is_told_as_one(serve, workers: SearchWorkers) -> None:
    def fail(probe: Probe) -> Found:
        raise ZeroDivisionError

    serve(fail)
    with pytest.raises(FacematchError) as caught:
        workers.search(PROBE)
    assert caught.value.code == "internal_error"


def test_who_is_not_there_or_cannot_is_passed_over(
    serve, workers: SearchWorkers, tmp_path: Path
) -> None:
    def behind(probe: Probe) -> Found:
        raise Unavailable("index_loading")

    with pytest.raises(Unavailable) as caught:
        workers.search(PROBE)
    assert caught.value.code == "search_unavailable"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "0.sock"))
    serve(behind, "1")
    with pytest.raises(Unavailable) as caught:
        workers.search(PROBE)
    assert caught.value.code == "index_loading"
    serve(lambda probe: FOUND, "2")
    for _ in range(3):
        assert workers.search(PROBE) == FOUND


def test_a_worker_takes_so_many_and_sends_others_away_at_once(serve, workers) -> None:
    free, begun = threading.Event(), threading.Semaphore(0)

    def wait(probe: Probe) -> Found:
        begun.release()
        assert free.wait(10)
        return FOUND

    serve(wait, "1", most=2)
    with ThreadPoolExecutor(2) as pool:
        taken = [pool.submit(workers.search, PROBE) for _ in range(2)]
        assert begun.acquire(timeout=5)
        assert begun.acquire(timeout=5)
        for _ in range(3):
            with pytest.raises(Unavailable) as caught:
                workers.search(PROBE)
            assert caught.value.code == "search_busy"
        # Another worker has place for them.
        serve(lambda probe: FOUND, "2")
        assert workers.search(PROBE) == FOUND
        free.set()
        assert [one.result(5) for one in taken] == [FOUND, FOUND]
    assert workers.search(PROBE) == FOUND


def test_an_api_has_so_many_at_a_time(serve, tmp_path: Path) -> None:
    free, begun = threading.Event(), threading.Event()

    def wait(probe: Probe) -> Found:
        begun.set()
        assert free.wait(10)
        return FOUND

    serve(wait)
    workers = SearchWorkers(f"unix:{tmp_path}", most=1)
    with ThreadPoolExecutor(1) as pool:
        taken = pool.submit(workers.search, PROBE)
        assert begun.wait(5)
        with pytest.raises(Unavailable) as caught:
            workers.search(PROBE)
        assert caught.value.code == "search_busy"
        free.set()
        assert taken.result(5) == FOUND
    assert workers.search(PROBE) == FOUND


def test_nobody_waits_longer_than_is_said(serve, workers: SearchWorkers) -> None:
    free = threading.Event()

    def wait(probe: Probe) -> Found:
        assert free.wait(10)
        return FOUND

    serve(wait)
    began = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        workers.search(Probe(Asked(seconds=0.3), b"x"))
    assert caught.value.code == "search_busy"
    assert time.monotonic() - began < 8
    free.set()


def test_a_search_that_ends_with_its_worker_is_done_by_another(serve, workers) -> None:
    begun, free = threading.Event(), threading.Event()

    def hang(probe: Probe) -> Found:
        begun.set()
        free.wait(10)
        return FOUND

    dying = serve(hang, "1")
    serve(lambda probe: FOUND, "2")
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(workers.search, PROBE)
        assert begun.wait(5)
        dying.stop(0.1)
        assert asked.result(5) == FOUND
    free.set()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_over_tcp_every_address_of_a_name_is_a_worker(host: str) -> None:
    place = listening_place("", "127.0.0.1", free_port())
    assert isinstance(place, socket.socket)
    port = place.getsockname()[1]
    server = SearchServer(lambda probe: FOUND, place, most=1, max_bytes=100)
    server.start()
    searcher = open_searcher(f"http://{host}:{port}, http://nowhere.invalid:{port}", most=2)
    try:
        for _ in range(3):
            assert searcher.search(PROBE) == FOUND
        with pytest.raises(Misconfigured):
            listening_place("", "127.0.0.1", port)
    finally:
        server.stop(0.5)
    with pytest.raises(Unavailable) as caught:
        searcher.search(PROBE)
    assert caught.value.code == "search_unavailable"


def test_where_nothing_is_set_nobody_listens_and_nobody_searches(tmp_path: Path) -> None:
    assert listening_place("", "127.0.0.1", 0) is None
    place = listening_place(f"unix:{tmp_path}", "127.0.0.1", 0)
    assert isinstance(place, str)
    assert Path(place).parent == tmp_path
    with pytest.raises(Unavailable) as caught:
        open_searcher("", 1).search(PROBE)
    assert caught.value.code == "search_unavailable"


@pytest.mark.parametrize(
    "url", ["https://worker:1", "http://worker", "http://worker:0", "http://a:1/x", "unix:x", "x"]
)
def test_what_is_no_url_of_workers_is_refused(url: str) -> None:
    with pytest.raises(Misconfigured):
        open_searcher(url, 1)


def test_what_is_no_search_is_answered_so(serve, tmp_path: Path) -> None:
    serve(lambda probe: FOUND, max_bytes=1)

    def ask(request: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(5)
            asking.connect(str(tmp_path / "1.sock"))
            asking.sendall(request)
            return asking.recv(4096).split(b"\r\n")[0]

    end = b"HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    assert b" 404 " in ask(b"POST /other " + end + b"Content-Length: 0\r\n\r\n")
    assert b" 405 " in ask(b"GET /searches " + end + b"\r\n")
    assert b" 400 " in ask(b"POST /searches " + end + b"Content-Length: 4\r\n\r\nnone")
    assert b" 413 " in ask(b"POST /searches " + end + b"Content-Length: 9999999\r\n\r\n")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_each_search_is_told_with_its_code(tmp_path: Path) -> None:
    told: list[str] = []

    def fail_at_x(probe: Probe) -> Found:
        if probe.picture == b"x":
            raise Rejected("not_an_image")
        return FOUND

    server = SearchServer(
        fail_at_x,
        str(tmp_path / "1.sock"),
        most=1,
        max_bytes=100,
        told=lambda code, seconds: told.append(code),
    )
    server.start()
    workers = SearchWorkers(f"unix:{tmp_path}", most=1)
    workers.search(PROBE)
    with pytest.raises(Rejected):
        workers.search(Probe(Asked(), b"x"))
    eventually(lambda: told == ["", "not_an_image"])
    server.stop(0.5)
