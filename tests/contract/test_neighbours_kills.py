"""The index killed or stopped at any moment, on a real Redis and Valkey: what it answers before
and after is what brute force finds."""

import json
import os
import signal
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from answers import asking_all_the_time, assert_equal_to_brute_force, is_ready
from indexes import Process, asking, get, process, up
from servers import RedisServer
from waiting import eventually
from writers import Writer, writing

from facematch.errors import Unavailable


def assert_starts_and_is_right(url: str, writer: Writer, folder: Path) -> None:
    """A new process, nothing said to it, has what the store has."""
    with process(folder, url) as index, asking(index.socket) as sidecar:
        up(sidecar)
        eventually(lambda: is_ready(sidecar, writer.store), "it is ready")
        assert_equal_to_brute_force(sidecar, writer.store, writer.queries(20))


def wait_stopped(index: Process) -> None:
    """Until it has stopped itself."""
    assert index.popen is not None
    os.waitid(os.P_PID, index.popen.pid, os.WSTOPPED | os.WNOWAIT)


def test_killed_in_the_middle_of_the_load_it_says_how_far_it_was_and_loads_anew(
    server: RedisServer, writer: Writer, tmp_path: Path
) -> None:
    with server.hurried():
        writer.add(2500)
    for loaded in (1000, 2000):
        frozen = process(tmp_path, server.url, failpoint=f"mid_load:sleep:{loaded // 1000}")
        with frozen as index, asking(index.socket) as sidecar:
            up(sidecar)
            eventually(lambda: sidecar.status().loaded == loaded, "it came so far")  # noqa: B023
            shown = sidecar.status()
            assert (shown.ready, shown.position, shown.images) == (False, 0, 2500)
            status, body = get(index.socket, "/readyz")
            how_far = f"{loaded} of 2500 images are loaded"
            assert (status, json.loads(body)["detail"]) == (503, how_far)
            with pytest.raises(Unavailable, match=how_far) as raised:
                sidecar.within(writer.queries(1)[0])
            assert raised.value.code == "index_loading"
            assert index.end(signal.SIGKILL, 10) == -signal.SIGKILL
    writer.work(20)
    with process(tmp_path, server.url, failpoint="mid_load:kill:3") as index:
        assert index.exit_code(30) == -signal.SIGKILL
    assert_starts_and_is_right(server.url, writer, tmp_path)


def test_what_comes_and_goes_in_the_middle_of_the_load_is_not_missed(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        writer = stack.enter_context(writing(redis_server))
        with redis_server.hurried():
            writer.add(2500)
        stopped = process(tmp_path, redis_server.url, failpoint="mid_load:stop:1", logs="json")
        index = stack.enter_context(stopped)
        wait_stopped(index)
        writer.erase(300)  # of the loaded ones, and of those that are not
        writer.work(50)
        asked = asking_all_the_time(index.socket, writer.truth, writer.queries(50))
        heard = stack.enter_context(asked)
        time.sleep(5)  # so often it says how far it is
        index.send(signal.SIGCONT)
        sidecar = stack.enter_context(asking(index.socket))
        up(sidecar)
        assert_equal_to_brute_force(sidecar, writer.store, writer.queries(20))
        said = [json.loads(line) for line in index.log.splitlines()]
        shown = [line for line in said if line["event"] == "loading the collection"]
        assert [(line["loaded"], line["images"]) for line in shown] == [(0, 2500), (2000, 2500)]
        assert [line["event"] for line in said].count("loaded") == 1
        assert heard.refused["index_loading"]


def test_a_log_trimmed_in_the_middle_of_the_load_is_noticed(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        writer = stack.enter_context(writing(redis_server, log_keep=5))
        writer.work(50)
        stopped = process(tmp_path, redis_server.url, failpoint="mid_load:stop:1")
        index = stack.enter_context(stopped)
        wait_stopped(index)
        for _ in range(30):
            writer.work(10)  # Redis trims whole nodes of 100 entries
        assert writer.store.log(50, 0).start is None
        index.send(signal.SIGCONT)
        sidecar = stack.enter_context(asking(index.socket))
        up(sidecar)
        assert_equal_to_brute_force(sidecar, writer.store, writer.queries(20))
        assert "cannot follow the log" in index.log


@pytest.mark.parametrize("place", ["before_apply", "after_apply"])
@pytest.mark.parametrize("entry", [1, 3])
def test_killed_at_an_entry_of_the_log_it_has_it_after_a_start(
    server: RedisServer, writer: Writer, tmp_path: Path, place: str, entry: int
) -> None:
    writer.work(30)
    with ExitStack() as stack:
        killed = process(tmp_path, server.url, failpoint=f"{place}:kill:{entry}")
        index = stack.enter_context(killed)
        sidecar = stack.enter_context(asking(index.socket))
        up(sidecar)
        eventually(lambda: is_ready(sidecar, writer.store), "it is ready")
        heard = stack.enter_context(
            asking_all_the_time(index.socket, writer.truth, writer.queries(20))
        )
        eventually(lambda: heard.right, "it answers")
        writer.add(2)
        writer.erase()  # entry 3
        writer.work(5)
        assert index.exit_code(30) == -signal.SIGKILL
    writer.work(10)
    assert_starts_and_is_right(server.url, writer, tmp_path)


def test_killed_in_the_middle_of_a_query_for_pairs_it_answers_after_a_start(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    with writing(redis_server) as writer, ExitStack() as stack:
        writer.work(50)
        killed = process(tmp_path, redis_server.url, failpoint="mid_pairs:kill:1")
        index = stack.enter_context(killed)
        sidecar = stack.enter_context(asking(index.socket))
        up(sidecar)
        eventually(lambda: is_ready(sidecar, writer.store), "it is ready")
        queries = writer.queries(20)
        query = replace(queries[0], encodings=np.concatenate([each.encodings for each in queries]))
        with pytest.raises(Unavailable) as raised:
            sidecar.pairs(query)
        assert raised.value.code == "index_unavailable"
        assert index.exit_code(10) == -signal.SIGKILL
        again = stack.enter_context(process(tmp_path, redis_server.url))
        assert again.socket == index.socket
        up(sidecar)
        eventually(lambda: is_ready(sidecar, writer.store), "it is ready again")
        answer = sidecar.pairs(query)
        assert answer.tail == writer.store.collection().tail
        assert writer.truth.judge_pairs(query, answer)
        assert len(set(answer.numbers.tolist())) == 20


def test_killed_during_queries_nobody_is_told_anything_wrong(
    server: RedisServer, writer: Writer, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    writer.work(300)
    queries = writer.queries(50)
    with ExitStack() as stack:
        index = stack.enter_context(process(tmp_path, server.url))
        clients = [
            stack.enter_context(asking_all_the_time(index.socket, writer.truth, queries))
            for _ in range(2)
        ]
        for _ in range(3):
            before = [heard.right for heard in clients]
            eventually(
                lambda: all(c.right > b + 20 for c, b in zip(clients, before, strict=True)),  # noqa: B023
                "it answers both",
                seconds=30,
            )
            writer.work(10)
            time.sleep(float(rng.random()) * 0.2)
            assert index.end(signal.SIGKILL, 10) == -signal.SIGKILL
            writer.work(10)
            index.start()
        sidecar = stack.enter_context(asking(index.socket))
        up(sidecar)
        assert_equal_to_brute_force(sidecar, writer.store, queries)
    assert all(heard.refused["index_unavailable"] for heard in clients)
    assert not any(heard.elsewhere for heard in clients)
