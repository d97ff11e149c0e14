"""What only an index behind a socket has to get right: loading, restarts, other histories."""

import json
import os
import socket
import stat
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from histories import MODEL, THRESHOLD, Switch, add, erase
from indexes import (
    FACE,
    FOREVER,
    announce,
    ask,
    ask_pairs,
    asking,
    get,
    impostor,
    positions,
    post,
    server_of,
    serving,
)
from waiting import eventually

from facematch.collection_name import DEFAULT
from facematch.errors import Misconfigured, Unavailable
from facematch.faces import FACES_PER_POSITION
from facematch.log import genesis
from facematch.memory_store import MemoryStore
from facematch.sidecar import IndexStatus, Sidecar, socket_path
from facematch.store import Store
from facematch.wire import MAX_ENCODINGS, PAIRS, WITHIN, Candidates, Query, decode_error, path_of

WITHIN_PATH, PAIRS_PATH = (path_of(DEFAULT, what) for what in (WITHIN, PAIRS))


@pytest.fixture
def store() -> MemoryStore:
    made = MemoryStore()
    made.create(MODEL, THRESHOLD)
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "index.sock"


def test_a_restarted_sidecar_answers_the_same_over_the_same_client(
    store: MemoryStore, path: Path
) -> None:
    add(store, "a", FACE)
    with asking(path) as sidecar:
        for _ in range(2):
            with serving(store, path):
                assert positions(sidecar, store) == [1]
            for call in (sidecar.check, sidecar.status, lambda: ask(sidecar, store)):
                with pytest.raises(Unavailable) as raised:
                    cast(Callable[[], object], call)()
                assert raised.value.code == "index_unavailable"


def test_a_connection_that_the_sidecar_closed_is_made_anew(store: MemoryStore, path: Path) -> None:
    with asking(path) as sidecar, ExitStack() as first:
        first.enter_context(serving(store, path))
        ask(sidecar, store)
        first.close()
        with serving(store, path):
            sidecar.status()
            ask(sidecar, store)


def test_before_it_has_loaded_it_is_alive_and_not_ready(path: Path) -> None:
    empty = MemoryStore()
    with serving(empty, path), asking(path) as sidecar:
        with pytest.raises(Unavailable) as raised:
            sidecar.within(Query(FACE, THRESHOLD, 1))
        assert raised.value.code == "index_loading"
        eventually(lambda: "not created" in sidecar.status().reason, "the reason is given")
        with pytest.raises(Unavailable, match="not created") as raised:
            sidecar.check()
        assert raised.value.code == "index_loading"
        assert get(path, "/healthz")[0] == 200
        assert get(path, "/readyz")[0] == 503
        empty.create(MODEL, THRESHOLD)
        assert positions(sidecar, empty) == []
        sidecar.check()
        assert get(path, "/readyz")[0] == 200


def test_its_status_tells_the_place_it_reflects(store: MemoryStore, path: Path) -> None:
    add(store, "a", np.repeat(FACE, 3, axis=0))
    tail = store.collection().tail
    with serving(store, path), asking(path) as sidecar:
        ask(sidecar, store)
        status = sidecar.status()
    assert status.memory >= 3 * 512
    assert status == IndexStatus(
        ready=True,
        position=1,
        chain=tail.chain,
        faces=3,
        memory=status.memory,
        loaded=1,
        images=1,
    )


def test_another_history_is_never_answered_from(path: Path) -> None:
    stores = []
    for name in ("a", "b", "c"):
        made = MemoryStore()
        made.create(MODEL, THRESHOLD)
        add(made, name, FACE)
        stores.append(made)
    add(stores[1], "d", FACE)
    switch = Switch(stores[0])
    with serving(cast(Store, switch), path), asking(path) as sidecar:
        for made, expected in zip(stores, ([1], [1, 2], [1]), strict=True):
            switch.store = made
            assert positions(sidecar, made) == expected


def test_a_trimmed_log_is_loaded_anew(path: Path) -> None:
    store = MemoryStore(log_keep=3)
    store.create(MODEL, THRESHOLD)
    switch = Switch(store)
    with serving(cast(Store, switch), path), asking(path) as sidecar:
        assert positions(sidecar, store) == []
        switch.down = True
        eventually(lambda: sidecar.status().reason == "switched off", "it noticed")
        for number in range(20):
            add(store, str(number), FACE)
        erase(store, "4")
        answer = sidecar.within(Query(FACE, THRESHOLD, FOREVER))
        assert answer.tail == genesis(store.collection().epoch)
        switch.down = False
        assert positions(sidecar, store) == [1, 2, 3, 4, *range(6, 21)]


def test_requests_of_another_form_are_refused_and_harm_nothing(
    store: MemoryStore, path: Path
) -> None:
    good = Query(FACE, THRESHOLD, 1).encode()
    bad = [b"", good[:-1], good + b"\0", b"XXXX" + good[4:], good[:24] + b"\xff" * 512]
    with serving(store, path), asking(path) as sidecar:
        ask(sidecar, store)
        for query in (WITHIN_PATH, PAIRS_PATH):
            for body in bad:
                status, answer = post(path, query, body)
                assert (status, decode_error(answer)[0]) == (400, "bad_request")
            assert announce(path, query, 1_000_000) == 413
            assert get(path, query)[0] == 405
        assert post(path, "/status", b"")[0] == 405
        status, answer = get(path, "/elsewhere")
        assert (status, decode_error(answer)[0]) == (404, "not_found")
        with pytest.raises(ValueError, match="finite"):
            sidecar.within(Query(FACE * np.float32(np.nan), THRESHOLD, 1))
        assert positions(sidecar, store) == []


def test_the_largest_queries_and_large_answers_pass(store: MemoryStore, path: Path) -> None:
    for number in range(800):
        add(store, str(number), np.repeat(FACE, 256, axis=0))
    with serving(store, path), asking(path, timeout=60) as sidecar:
        answer = ask(sidecar, store, np.repeat(FACE, FACES_PER_POSITION, axis=0))
        asked = np.repeat(FACE, MAX_ENCODINGS, axis=0)
        pairs = ask_pairs(sidecar, store, asked, before=41)
    assert len(answer.faces) == 800 * 256
    each = np.arange(40 * 256) + 256
    assert len(pairs.faces) == MAX_ENCODINGS * len(each)
    for number in range(0, MAX_ENCODINGS, 100):
        assert (np.sort(pairs.faces[pairs.numbers == number]) == each).all()


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 503 Busy\r\nContent-Length: 5\r\n\r\nhello",
        b'HTTP/1.1 503 Busy\r\nContent-Length: 30\r\n\r\n{"code": "new", "detail": "x"}',
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhello",
        b"nonsense\r\n\r\n",
        b"",
    ],
)
def test_an_answer_of_another_form_is_an_index_unavailable(tmp_path: Path, reply: bytes) -> None:
    with impostor(tmp_path / "s", reply), asking(tmp_path / "s") as sidecar:
        query = Query(FACE, THRESHOLD, 1)
        calls = (lambda: sidecar.within(query), lambda: sidecar.pairs(query), sidecar.status)
        for call in calls:
            with pytest.raises(Unavailable) as raised:
                cast(Callable[[], object], call)()
            assert raised.value.code == "index_unavailable"


def test_a_silent_index_is_unavailable_after_the_timeout(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen()
        began = time.monotonic()
        with asking(tmp_path / "s", timeout=0.3) as sidecar, pytest.raises(Unavailable):
            sidecar.check()
        assert 0.2 < time.monotonic() - began < 3


def test_an_index_and_a_worker_of_different_versions_say_so(
    store: MemoryStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store, "a", FACE)
    with serving(store, path), asking(path) as sidecar:
        assert positions(sidecar, store) == [1]
        frame = Query(FACE, 0.6, 10).encode()
        for target in (WITHIN_PATH, PAIRS_PATH):
            status, answer = post(path, target, b"FMQ2" + frame[4:])
            assert (status, decode_error(answer)[0]) == (503, "other_version")
        monkeypatch.setattr(Query, "encode", lambda query: b"FMQ2" + frame[4:])
        with pytest.raises(Unavailable, match="different versions") as refused:
            sidecar.within(Query(FACE, 0.6, 10))
        assert refused.value.code == "other_version"
        monkeypatch.undo()
        answered = Candidates.encode
        monkeypatch.setattr(Candidates, "encode", lambda made: b"FMR3" + answered(made)[4:])
        with pytest.raises(Unavailable, match="different versions") as refused:
            sidecar.within(Query(FACE, 0.6, 10))
        assert refused.value.code == "other_version"


def test_what_a_newer_index_tells_besides_is_left_out() -> None:
    told = json.loads(IndexStatus(ready=True, position=7).encode())
    newer = json.dumps(told | {"weather": "fine"}).encode()
    assert IndexStatus.decode(newer) == IndexStatus(ready=True, position=7)
    for wrong in (b"[]", b"{}", b"7"):
        with pytest.raises(ValueError, match="not the status"):
            IndexStatus.decode(wrong)


def test_the_socket_is_for_owner_and_group_and_taken_from_the_dead_only(
    store: MemoryStore,
    path: Path,
) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with serving(store, path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        with pytest.raises(Misconfigured, match="another index"):
            server_of(store, path)
    assert not path.exists()
    path.write_text("not a socket")
    with pytest.raises(Misconfigured, match="something else"):
        server_of(store, path)
    assert path.read_text() == "not a socket"


@pytest.mark.parametrize("url", ["", "/run/x", "unix:x", "unix:", "unix:/", "http://x/y"])
def test_a_url_of_another_form_is_misconfigured(url: str) -> None:
    with pytest.raises(Misconfigured, match="unix:/path"):
        Sidecar(url)


def test_both_ways_to_write_the_url_name_the_same_file() -> None:
    assert Path(socket_path("unix:/run/x.sock")) == Path("/run/x.sock")
    assert os.path.samefile(socket_path("unix:///tmp"), "/tmp")
