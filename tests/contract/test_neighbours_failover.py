"""An index whose Redis is restarted, or comes back with less: it answers as long as it may, never
from a past that is none any more, and finds out by itself."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from answers import Heard, asking_all_the_time, assert_equal_to_brute_force, is_ready
from indexes import Process, asking, process, up
from servers import RedisServer
from waiting import eventually
from writers import Writer, writing

from facematch.errors import Unavailable
from facematch.faces import distances
from facematch.sidecar import Sidecar
from worker.matching import find_matches

LOADED = '"event": "loaded"'


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def followed(
    stack: ExitStack, server: RedisServer, writer: Writer, folder: Path, **settings: str
) -> tuple[Process, Sidecar, Heard]:
    """An index at the end of the log, and a client that asks it all the time."""
    index = stack.enter_context(process(folder, server.url, **settings))
    sidecar = stack.enter_context(asking(index.socket))
    up(sidecar)
    eventually(lambda: is_ready(sidecar, writer.store), "it is ready")
    asked = asking_all_the_time(index.socket, writer.truth, writer.queries(50), pause=0.002)
    heard = stack.enter_context(asked)
    eventually(lambda: heard.right, "it answers")
    return index, sidecar, heard


def assert_right_in_the_end(sidecar: Sidecar, writer: Writer) -> None:
    """It gets to the end of the log by itself, and then has what the store has."""
    eventually(lambda: is_ready(sidecar, writer.store), "it is ready again", seconds=30)
    assert_equal_to_brute_force(sidecar, writer.store, writer.queries(30))


@pytest.mark.parametrize("end", [RedisServer.kill, RedisServer.stop])
def test_a_restart_of_the_store_takes_nothing_from_it(
    server: RedisServer,
    writer: Writer,
    stack: ExitStack,
    tmp_path: Path,
    end: Callable[[RedisServer], None],
) -> None:
    writer.work(100)
    index, sidecar, heard = followed(stack, server, writer, tmp_path)
    for _ in range(2):
        writer.add(10)  # without erasures, for which it may have to wait
        writer.truth.read()
        end(server)
        eventually(lambda: sidecar.status().reason, "it noticed")
        before = heard.right
        eventually(lambda: heard.right > before + 10, "it goes on answering")  # noqa: B023
        assert sidecar.status().ready
        server.start()
        writer.work(10)
        assert_right_in_the_end(sidecar, writer)
    assert index.log.count(LOADED) == 1, "it loaded anew what it had"
    assert heard.refused.keys() <= {"index_loading"}
    assert not heard.elsewhere


@pytest.mark.parametrize("grown", [0, -1, 60], ids=["shorter", "as long", "longer"])
def test_asleep_while_the_store_lost_its_tail_it_wakes_up_to_another_history(
    redis_server: RedisServer, stack: ExitStack, tmp_path: Path, grown: int
) -> None:
    writer = stack.enter_context(writing(redis_server))
    index, sidecar, heard = losing(redis_server, writer, stack, tmp_path)
    ahead = sidecar.status().position
    index.send(signal.SIGSTOP)
    redis_server.lose_the_tail()
    behind = ahead - writer.store.collection().tail.position
    writer.work(behind if grown == -1 else grown)
    end = writer.store.collection().tail.position
    assert {0: end < ahead, -1: end == ahead, 60: end > ahead}[grown]
    index.send(signal.SIGCONT)
    assert_right_in_the_end(sidecar, writer)
    assert "another history" in index.log
    assert not heard.elsewhere


def test_awake_while_the_store_lost_its_tail_it_starts_anew(
    server: RedisServer, writer: Writer, stack: ExitStack, tmp_path: Path
) -> None:
    index, sidecar, heard = losing(server, writer, stack, tmp_path)
    for _ in range(2):
        server.lose_the_tail()
        writer.work(40)
        assert_right_in_the_end(sidecar, writer)
    assert index.log.count(LOADED) >= 3
    assert heard.right


def losing(
    server: RedisServer, writer: Writer, stack: ExitStack, folder: Path
) -> tuple[Process, Sidecar, Heard]:
    """An index that has followed what the store is about to lose."""
    writer.work(80)
    index, sidecar, heard = followed(stack, server, writer, folder)
    writer.work(10)
    server.remember()
    writer.work(15)
    writer.erase(5)  # of what is remembered, mostly
    writer.truth.read()
    eventually(lambda: is_ready(sidecar, writer.store), "it is at the end that will be lost")
    return index, sidecar, heard


def test_frozen_in_a_lost_past_it_is_asked_and_no_worker_takes_its_answer(
    redis_server: RedisServer, stack: ExitStack, tmp_path: Path
) -> None:
    writer = stack.enter_context(writing(redis_server))
    writer.work(60)
    index, sidecar, heard = followed(
        stack, redis_server, writer, tmp_path, failpoint="before_apply:sleep:16"
    )
    redis_server.remember()
    writer.add(20)
    writer.truth.read()  # as long as that is its history
    place = writer.store.collection().tail.position - 5
    eventually(lambda: sidecar.status().position == place, "it is frozen there")
    assert match_all(sidecar, writer) > 0  # the worker makes up the difference
    redis_server.lose_the_tail()
    for grown in (0, 15, 30):  # behind the place that it states, there, past it
        writer.add(grown)
        writer.truth.read()
        before = heard.right
        eventually(lambda: heard.right > before + 10, "it goes on answering")  # noqa: B023
        assert match_all(sidecar, writer) == 0
    index.end(signal.SIGKILL, 10)
    again = stack.enter_context(process(tmp_path, redis_server.url))
    assert again.socket == index.socket
    assert_right_in_the_end(sidecar, writer)
    assert match_all(sidecar, writer) > 0


def match_all(sidecar: Sidecar, writer: Writer) -> int:
    """How many of the live images a worker finds the matches of with this index; the others are
    refused, because the index has another history. AssertionError for wrong matches."""
    taken, refused = 0, set()
    faces = writer.store.faces(sorted(writer.store.snapshot().positions))
    for position, encodings in faces.items():
        try:
            found = find_matches(writer.store, sidecar, encodings, position, 0.6)
        except Unavailable as error:
            refused.add(error.code)
            continue
        near = {other: float(distances(encodings, faces[other]).min()) for other in faces}
        expected = {(o, d) for o, d in near.items() if d <= 0.6 and o < position}
        assert set(found.pairs) == expected
        taken += 1
    assert refused <= {"index_diverged"}
    return taken


def test_a_store_that_came_back_empty_is_not_answered_for(
    server: RedisServer, writer: Writer, stack: ExitStack, tmp_path: Path
) -> None:
    writer.work(30)
    index, sidecar, heard = followed(stack, server, writer, tmp_path)
    server.kill()
    server.wipe()
    server.start()
    eventually(lambda: "not created" in sidecar.status().reason, "it noticed")
    before = heard.right
    time.sleep(0.2)
    writer.store.create("planted", 0.6)
    writer.live.clear()
    writer.work(40)
    assert_right_in_the_end(sidecar, writer)
    assert "another history" in index.log
    assert heard.right > before
    assert not heard.elsewhere
