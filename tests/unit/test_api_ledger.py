"""The erasure ledger: on the disk before the answer, and played back to a forgetful store."""

import copy
import json
import os
import threading
import time
from pathlib import Path

import pytest
import structlog
from api_parts import Api, eventually, running_api
from submitting import commit, link, upload

from api.ledger import Ledger, erase, replay
from facematch import failpoints
from facematch.errors import Misconfigured, Unavailable
from facematch.faces import image_hash
from facematch.memory_store import MemoryStore
from facematch.store import LINK_CHUNK, Erased, State

IMAGE, OTHER = image_hash(b"a"), image_hash(b"b")


def ledger_in(folder: Path, host: str = "here", collection: str = "default") -> Ledger:
    ledger = Ledger(folder, collection, host)
    ledger.check()
    return ledger


def test_an_erasure_is_a_line_that_says_when(tmp_path: Path) -> None:
    ledger_in(tmp_path, "host/1").append(Erased(IMAGE, 17))
    [file] = tmp_path.iterdir()
    assert file.name == "erasures-host_1.jsonl"
    record = json.loads(file.read_text())
    assert set(record) == {"image", "upto", "collection", "time"}
    assert (record["image"], record["upto"]) == (IMAGE, 17)
    assert record["time"].endswith("+00:00")
    assert file.stat().st_mode & 0o077 == 0


def test_an_erasure_is_synced_and_so_is_a_new_file_s_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{handle}"))
        real(handle)

    monkeypatch.setattr("os.fsync", fsync)
    ledger = Ledger(tmp_path, host="here")
    ledger.append(Erased(IMAGE, 1))
    ledger.append(Erased(IMAGE, 2))
    file = str(tmp_path / "erasures-here.jsonl")
    assert synced == [str(tmp_path), file, file]


def test_the_erasures_of_all_hosts_are_read_each_once(tmp_path: Path) -> None:
    ledger_in(tmp_path, "one").append(Erased(IMAGE, 1))
    ledger_in(tmp_path, "two").append(Erased(IMAGE, 1))
    ledger_in(tmp_path, "two").append(Erased(IMAGE, 2))
    ledger_in(tmp_path, "two", "another").append(Erased(OTHER, 3))
    found = list(ledger_in(tmp_path, "three").erasures())
    assert found == [Erased(IMAGE, 1), Erased(IMAGE, 2)]


@pytest.mark.parametrize("cut", [1, 20, 100])
def test_a_torn_last_line_is_logged_left_out_and_not_continued(tmp_path: Path, cut: int) -> None:
    ledger = ledger_in(tmp_path)
    ledger.append(Erased(IMAGE, 1))
    ledger.append(Erased(IMAGE, 2))
    [file] = tmp_path.iterdir()
    data = file.read_bytes()
    torn_line = data.splitlines()[-1]
    file.write_bytes(data[: -1 - cut])
    with structlog.testing.capture_logs() as logged:
        assert list(ledger.erasures()) == [Erased(IMAGE, 1)]
    assert [line["log_level"] for line in logged] == ["error"]
    assert logged[0]["line"] == 2
    ledger.append(Erased(IMAGE, 3))
    assert list(ledger.erasures()) == [Erased(IMAGE, 1), Erased(IMAGE, 3)]
    assert torn_line not in file.read_bytes()


@pytest.mark.parametrize(
    "line", ["{}", "[]", "7", "\x00" * 9, '{"image": "x", "upto": 1, "collection": "default"}']
)
def test_a_line_that_is_no_record_is_left_out(tmp_path: Path, line: str) -> None:
    ledger = ledger_in(tmp_path)
    [file] = tmp_path.iterdir()
    file.write_text(f"{line}\n")
    ledger.append(Erased(IMAGE, 1))
    assert list(ledger.erasures()) == [Erased(IMAGE, 1)]


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    ledger = Ledger(tmp_path / "file" / "ledger")
    with pytest.raises(Misconfigured, match="FACEMATCH_LEDGER"):
        ledger.check()
    with pytest.raises(Unavailable) as failed:
        ledger.append(Erased(IMAGE, 1))
    assert failed.value.code == "ledger_unavailable"


def test_replay_erases_from_a_store_that_came_back_from_a_backup(tmp_path: Path) -> None:
    with running_api(tmp_path) as api:
        client = api.app.test_client()
        client.post("/v1/images", data=b"a")
        api.finish(b"a")
        client.post("/v1/images", data=b"b")
        api.finish(b"b", [(b"a", 0.3)])
        assert client.get(f"/match/{OTHER}").json == [IMAGE]
        backup = remembered(api)
        assert client.delete(f"/v1/images/{IMAGE}").status_code == 204
    with running_api(tmp_path, backup) as api:
        client = api.app.test_client()
        assert client.get(f"/v1/images/{IMAGE}").status_code == 410
        assert client.get(f"/match/{OTHER}").json == []
        assert api.store.erasing() == []
        assert api.store.linked([1, 2], 0) == {1: {}, 2: {}}


def test_replay_hits_no_later_life_of_an_image(tmp_path: Path) -> None:
    with running_api(tmp_path) as api:
        client = api.app.test_client()
        client.post("/v1/images", data=b"a")
        api.finish(b"a")
        client.delete(f"/v1/images/{IMAGE}")
        client.post("/v1/images", data=b"a")
        api.finish(b"a")
        replay(api.collections.store, api.collections, api.ledger)
        assert client.get(f"/v1/images/{IMAGE}").status_code == 200


def test_replay_hits_no_job_that_was_submitted_after_the_erasure(tmp_path: Path) -> None:
    with running_api(tmp_path) as api:
        client = api.app.test_client()
        client.post("/v1/images", data=b"a")
        api.finish(b"a")
        client.delete(f"/v1/images/{IMAGE}")
        client.post("/v1/images", json={"url": "https://example.com/a"})
        replay(api.collections.store, api.collections, api.ledger)
        api.finish(b"a")
        assert client.get(f"/v1/images/{IMAGE}").json["state"] == "done"


def test_replay_tells_a_store_that_has_forgotten_everything(tmp_path: Path) -> None:
    with running_api(tmp_path) as api:
        api.ledger.append(Erased(IMAGE, 1))
        assert replay(api.collections.store, api.collections, api.ledger) == 1
        assert api.app.test_client().get(f"/v1/images/{IMAGE}").status_code == 410
        replay(api.collections.store, api.collections, api.ledger)


def test_the_ledger_is_replayed_again_when_the_store_was_away(tmp_path: Path) -> None:
    with running_api(tmp_path) as api:
        client = api.app.test_client()
        client.post("/v1/images", data=b"a")
        api.finish(b"a")
        now = int(time.time() * 1e6) + 1
        api.ledger.append(Erased(IMAGE, now))  # the store has forgotten it, say
        assert client.get(f"/v1/images/{IMAGE}").status_code == 200
        api.replayer.request()
        eventually(lambda: client.get(f"/v1/images/{IMAGE}").status_code == 410)
        eventually(lambda: api.replayer.replayed)


def test_replay_is_tried_again_until_the_store_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_api(tmp_path) as api:
        api.ledger.append(Erased(IMAGE, 1))
        tries: list[str] = []
        looked = threading.Event()
        real = api.store.erase

        def erase(image: str, nonce: str = "") -> Erased:
            assert looked.wait(60)
            tries.append(image)
            if len(tries) < 3:
                raise Unavailable("store_unavailable")
            return real(image, nonce)

        monkeypatch.setattr(api.store, "erase", erase)
        api.replayer.request()
        assert not api.replayer.replayed
        looked.set()
        eventually(lambda: api.replayer.replayed)
        assert len(tries) == 3


def remembered(api: Api) -> MemoryStore:
    """The store as a backup taken now would have it."""
    old = api.store
    backup = MemoryStore()
    for name, value in vars(old).items():
        if name not in ("_lock", "_listeners", "_clock"):
            setattr(backup, name, copy.deepcopy(value))
    return backup


@pytest.mark.parametrize("place", ["after_erase", "after_ledger", "mid_unlink"])
def test_an_erasure_that_was_cut_short_hides_at_once_and_is_finished_by_its_repetition(
    tmp_path: Path, place: str
) -> None:
    store, ledger = MemoryStore(), ledger_in(tmp_path)
    store.create("a-model", 0.6)
    peers = [f"peer {number}".encode() for number in range(LINK_CHUNK + 5)]
    places = [commit(store, upload(store, peer), peer) for peer in peers]
    own = commit(store, upload(store, b"a"), b"a")
    for peer, at in zip(peers, places, strict=True):
        link(store, peer, at)
    link(store, b"a", own, *((at.position, 0.1) for at in places))
    assert all(len(store.matches(image_hash(peer), 10).matches) == 1 for peer in peers)
    failpoints.arm(f"{place}:raise")
    try:
        with pytest.raises(failpoints.FailpointError):
            erase(store, ledger, IMAGE)
    finally:
        failpoints.set_hook(None)
    assert store.image(IMAGE).state is State.ERASED
    assert all(store.matches(image_hash(peer), 10).matches == () for peer in peers)
    assert [one.image for one in ledger.erasures()] == [IMAGE] * (place != "after_erase")
    erase(store, ledger, IMAGE)
    assert {one.image for one in ledger.erasures()} == {IMAGE}
    assert store.erasing() == []
