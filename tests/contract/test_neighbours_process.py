"""The index as the process it is, on a real Redis and Valkey."""

import json
import os
import re
import signal
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from bytes_left import in_files
from histories import MODEL, THRESHOLD, add, erase
from indexes import FACE, FOREVER, Process, ask, asking, get, positions, process, up
from planted import pictures_of
from waiting import eventually

from facematch.errors import Unavailable
from facematch.faces import pack_encodings, positions_of
from facematch.neighbours import ExactNeighbours, Query
from facematch.redis_connection import connect
from facematch.redis_reencoding import RedisReencoding
from facematch.redis_store import RedisStore


@contextmanager
def redis_store(url: str, log_keep: int = 100_000) -> Iterator[RedisStore]:
    """A store in the Redis at this URL."""
    client = connect(url)
    try:
        yield RedisStore(client, log_keep=log_keep)
    finally:
        client.close()


@pytest.fixture(params=["redis", "valkey"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_url"))


def test_it_waits_loads_follows_survives_and_stops(url: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    with ExitStack() as stack:
        store = stack.enter_context(redis_store(url))
        index = stack.enter_context(process(tmp_path, url))
        sidecar = stack.enter_context(asking(index.socket))
        up(sidecar)
        eventually(lambda: "not created" in sidecar.status().reason, "it waits")
        eventually(lambda: "not created" in index.log, "it says so")
        store.create(MODEL, THRESHOLD)
        assert positions(sidecar, store) == []
        for number in range(20):
            add(store, str(number), pictures_of(rng, FACE[0], 2))
        erase(store, "6")
        expected = [position for position in range(1, 21) if position != 7]
        assert positions(sidecar, store) == expected

        assert index.end(signal.SIGKILL, 10) == -signal.SIGKILL
        index.start()
        up(sidecar)
        assert positions(sidecar, store) == expected
        assert stat.S_IMODE(index.socket.stat().st_mode) == 0o660
        add(store, "more", FACE)
        assert positions(sidecar, store) == [*expected, 22]
        truth = ExactNeighbours(store)
        asked = pictures_of(rng, FACE[0], 5)
        assert (ask(sidecar, store, asked).faces == ask(truth, store, asked).faces).all()

        began = time.monotonic()
        assert index.end(signal.SIGTERM, 30) == 0
        assert time.monotonic() - began < 20
        assert not index.socket.exists()


def written_by(pid: int) -> set[Path]:
    """The regular files that a process has open for writing."""
    found = set()
    for one in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            told = Path(f"/proc/{pid}/fdinfo/{one.name}").read_text()
            [flags] = re.findall(r"^flags:\t(\d+)$", told, re.MULTILINE)
            if int(flags, 8) & os.O_ACCMODE and stat.S_ISREG(one.stat().st_mode):
                found.add(one.readlink())
    return found


def test_it_keeps_nothing_on_a_disk_that_could_be_torn_old_or_somebody_elses(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(4)
    (temporary := tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    with ExitStack() as stack:
        store = stack.enter_context(redis_store(redis_url))
        store.create(MODEL, THRESHOLD)
        index = stack.enter_context(process(tmp_path, redis_url))
        sidecar = stack.enter_context(asking(index.socket))
        up(sidecar)
        faces = pictures_of(rng, FACE[0], 30)
        for number, face in enumerate(faces):
            add(store, str(number), face[None])
        assert len(positions(sidecar, store)) == 30
        assert index.popen is not None
        assert written_by(index.popen.pid) <= {tmp_path / "index.log"}
        index.end(signal.SIGTERM, 30)
    assert list(temporary.rglob("*")) == []
    assert {one.name for one in tmp_path.iterdir()} == {"tmp", "index.log"}
    assert in_files(tmp_path, [pack_encodings(face[None]) for face in faces]) == []


def test_it_notices_that_the_log_was_trimmed_or_replaced_behind_its_back(
    url: str, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        store = stack.enter_context(redis_store(url, log_keep=5))
        store.create(MODEL, THRESHOLD)
        index = stack.enter_context(process(tmp_path, url))
        sidecar = stack.enter_context(asking(index.socket))
        up(sidecar)
        add(store, "first", FACE)
        assert positions(sidecar, store) == [1]

        index.send(signal.SIGSTOP)
        for number in range(250):  # Redis trims whole nodes of 100 entries
            add(store, str(number), FACE)
        index.send(signal.SIGCONT)
        assert positions(sidecar, store) == list(range(1, 252))
        assert "jumps" in index.log

        index.send(signal.SIGSTOP)
        client = stack.enter_context(connect(url))
        client.flushall()
        store.create(MODEL, THRESHOLD)
        for number in range(40):
            add(store, str(number), -FACE if number == 5 else FACE)
        index.send(signal.SIGCONT)
        assert positions(sidecar, store) == [n for n in range(1, 41) if n != 6]


def test_it_has_the_editions_that_there_are(url: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        store = stack.enter_context(redis_store(url))
        client = stack.enter_context(connect(url))
        reencoding, second = RedisReencoding(client), RedisStore(client, "default~1")
        store.create(MODEL, THRESHOLD)
        add(store, "a", FACE)
        index = stack.enter_context(process(tmp_path, url))
        first = stack.enter_context(asking(index.socket))
        other = stack.enter_context(asking(index.socket, collection="default~1"))
        up(first)
        assert positions(first, store) == [1]
        reencoding.begin("another", THRESHOLD, "", "")
        add(second, "b", FACE, model="another")
        up(other)
        assert positions(other, second) == [1]
        assert held(index) == ["default", "default~1"]
        reencoding.built(1)
        reencoding.switch(1)
        reencoding.drop(1)
        while not reencoding.drop_some():
            pass
        eventually(lambda: held(index) == ["default~1"], "what was given up is dropped")
        eventually(lambda: get(index.socket, "/readyz")[0] == 200, "it is ready")
        with pytest.raises(Unavailable) as raised:
            first.status()
        assert raised.value.code == "no_collection"

        # As it starts, before it has asked and after.
        assert index.end(signal.SIGTERM, 10) == 0
        index.start()
        up(other)
        eventually(lambda: other.status().ready, "it is loaded unasked")
        eventually(lambda: held(index) == ["default~1"], "nothing else is")
        assert get(index.socket, "/readyz")[0] == 200


def held(index: Process) -> list[str]:
    """The editions that it has loaded."""
    return list(json.loads(get(index.socket, "/status")[1])["collections"])


@pytest.mark.parametrize("entry", [1, 4])
def test_frozen_before_any_entry_it_answers_for_the_place_before_it(
    redis_url: str, tmp_path: Path, entry: int
) -> None:
    frozen = process(tmp_path, redis_url, failpoint=f"before_apply:sleep:{entry}")
    with ExitStack() as stack:
        store = stack.enter_context(redis_store(redis_url))
        store.create(MODEL, THRESHOLD)
        index = stack.enter_context(frozen)
        sidecar = stack.enter_context(asking(index.socket))
        up(sidecar)
        assert positions(sidecar, store) == []
        for number in range(6):
            add(store, str(number), FACE)
        eventually(lambda: sidecar.status().position == entry - 1, "it came so far")
        time.sleep(0.2)
        answer = sidecar.within(Query(FACE, THRESHOLD, FOREVER))
        assert answer.tail == store.log(entry - 1, 1).start
        assert positions_of(answer.faces) == list(range(1, entry))
        began = time.monotonic()
        assert index.end(signal.SIGTERM, 10) == 0
        assert time.monotonic() - began < 9


def test_a_stop_in_the_middle_of_a_long_query_is_a_stop(valkey_url: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        store = stack.enter_context(redis_store(valkey_url))
        store.create(MODEL, THRESHOLD)
        for number in range(300):
            add(store, str(number), np.repeat(FACE, 256, axis=0))
        index = stack.enter_context(process(tmp_path, valkey_url))
        sidecar = stack.enter_context(asking(index.socket, timeout=60))
        up(sidecar)
        assert len(positions(sidecar, store)) == 300

        def ask_much() -> None:
            with suppress(Unavailable):
                for _ in range(20):
                    sidecar.within(Query(np.repeat(FACE, 256, axis=0), THRESHOLD, FOREVER))

        asker = Thread(target=ask_much)
        asker.start()
        time.sleep(0.2)
        began = time.monotonic()
        assert index.end(signal.SIGTERM, 10) == 0
        assert time.monotonic() - began < 9
        asker.join(10)
        assert "terminate" not in index.log


def test_in_the_middle_of_a_query_for_pairs_it_answers_follows_and_stops(
    valkey_url: str, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        store = stack.enter_context(redis_store(valkey_url))
        store.create(MODEL, THRESHOLD)
        add(store, "a", FACE)
        frozen = process(tmp_path, valkey_url, failpoint="mid_pairs:sleep:1")
        index = stack.enter_context(frozen)
        sidecar = stack.enter_context(asking(index.socket, timeout=60))
        up(sidecar)
        assert positions(sidecar, store) == [1]
        refused: list[str] = []

        def ask_for_pairs() -> None:
            try:
                sidecar.pairs(Query(FACE, THRESHOLD, FOREVER))
            except Unavailable as error:
                refused.append(error.code)

        askers = [Thread(target=ask_for_pairs) for _ in range(6)]
        for asker in askers:
            asker.start()
        time.sleep(0.3)
        add(store, "b", FACE)
        add(store, "c", FACE)
        erase(store, "a")
        assert positions(sidecar, store) == [2, 3]
        began = time.monotonic()
        assert index.end(signal.SIGTERM, 10) == 0
        assert time.monotonic() - began < 9
        for asker in askers:
            asker.join(10)
        assert refused == ["index_unavailable"] * 6


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [
        ("index_url", "tcp:/x", "unix:/path"),
        ("index_url", "milvus+http://ann:secret@milvus:19530", "unix:/path"),
        ("index_url", "unix:/proc/no/index.sock", "cannot listen on /proc/no/index.sock"),
        ("index_url", "unix:/tmp/" + "x" * 120, "too long"),
        ("redis_url", "redis:/nonsense:x", "Redis URL"),
        ("failpoint", "nowhere:kill", "failpoint"),
        ("port", "many", "FACEMATCH_PORT"),
        ("index_kind", "hnsw", "FACEMATCH_INDEX_KIND"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(
    tmp_path: Path, setting: str, value: str, reason: str
) -> None:
    settings = {"redis_url": "redis://127.0.0.1:1/0", setting: value}
    with process(tmp_path, **settings) as index:
        assert index.exit_code(30) == 1
    assert reason in index.log.splitlines()[-1]
    assert "secret" not in index.log
    assert "Traceback" not in index.log


def test_without_a_store_it_waits_and_says_why(tmp_path: Path) -> None:
    with (
        process(tmp_path, "redis://127.0.0.1:1/0") as index,
        asking(index.socket) as sidecar,
    ):
        up(sidecar)
        eventually(lambda: "refused" in sidecar.status().reason, "the reason is given")
        with pytest.raises(Unavailable):
            sidecar.check()
        assert get(index.socket, "/healthz")[0] == 200
        eventually(lambda: "refused" in index.log, "it says so")
        assert index.end(signal.SIGINT, 10) == 0
