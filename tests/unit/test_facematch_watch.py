"""facematch.ingest.watching, and the command: against the real api, on a real folder."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from told_service import ToldService, told_service
from waiting import eventually

from facematch.client import Client
from facematch.errors import Rejected
from facematch.faces import image_hash
from facematch.ingest.journal import Journal
from facematch.ingest.picture import Outcome
from facematch.ingest.run import Report
from facematch.ingest.watching import Limits, watch
from facematch.progress import Lines

ROOT = Path(__file__).parents[2]


class Watcher:
    """Watches a folder for a service, in a thread."""

    def __init__(self, folder: Path, url: str, limits: Limits) -> None:
        self.folder, self.url, self.limits = folder, url, limits
        self.ended: list[Outcome] = []
        self.report: Report | None = None
        self.error: Exception | None = None
        self._interrupted = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Watcher":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._interrupted.set()
        self._thread.join(30)
        assert not self._thread.is_alive()

    def outcomes(self) -> list[tuple[str, str]]:
        return [(one.entry.name, one.code or str(one.kind)) for one in self.ended]

    def joined(self) -> None:
        self._thread.join(30)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        journal = Journal(self.folder.parent / "journal.sqlite3")
        shown = Lines(sys.stderr, "pictures")
        try:
            with Client(self.url, attempts=1) as client:
                self.report = watch(
                    *(client, self.folder, journal, shown, self._interrupted, self.ended.append),
                    self.limits,
                )
        except Rejected as error:
            self.error = error
        finally:
            journal.close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ToldService]:
    with told_service(tmp_path / "service") as service:
        yield service


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    return folder


def old(path: Path, data: bytes) -> Path:
    """A file that was written a while ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (time.time() - 60,) * 2)
    return path


def test_what_is_there_and_what_comes_is_submitted_once(
    service: ToldService, folder: Path, tmp_path: Path
) -> None:
    old(folder / "there.jpg", b"ann 1")
    limits = Limits()
    with Watcher(folder, service.url, limits) as watcher:
        eventually(lambda: watcher.outcomes() == [("there.jpg", "done")])
        # Written, moved, in a folder that is moved, hidden, broken.
        (folder / "new.jpg").write_bytes(b"ann 2")
        eventually(lambda: len(watcher.ended) == 2)
        old(tmp_path / "moved.jpg", b"nobody").rename(folder / "moved.jpg")
        old(tmp_path / "sub" / "deep" / "below.jpg", b"ann 3")
        (tmp_path / "sub").rename(folder / "sub")
        old(tmp_path / "hidden.jpg", b"ann 4").rename(folder / ".hidden.jpg")
        old(tmp_path / "broken.jpg", b"broken").rename(folder / "broken.jpg")
        eventually(lambda: len(watcher.ended) == 5)
        assert sorted(watcher.outcomes()) == [
            ("broken.jpg", "not_an_image"),
            ("moved.jpg", "no_face"),
            ("new.jpg", "done"),
            ("sub/deep/below.jpg", "done"),
            ("there.jpg", "done"),
        ]
        with Client(service.url) as client:
            assert len(list(client.all_matches(image_hash(b"ann 2"), wait=5))) == 2
        (folder / "there.jpg").unlink()
        with Client(service.url) as client:
            assert client.image(image_hash(b"ann 1")).names == ("there.jpg",)
    assert watcher.report is not None
    assert (watcher.report.interrupted, watcher.report.error) == (True, None)
    assert watcher.report.tally.ended == watcher.report.tally.total == 5
    submissions = len(service.submissions)
    with Watcher(folder, service.url, limits) as watcher:
        # What failed is tried again by another run; nothing else is.
        eventually(lambda: watcher.outcomes() == [("broken.jpg", "not_an_image")])
        old(tmp_path / "last.jpg", b"bob").rename(folder / "last.jpg")
        eventually(lambda: len(watcher.ended) == 2)
    assert len(service.submissions) == submissions + 2


def test_a_file_is_submitted_when_it_is_whole(
    service: ToldService, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facematch.ingest.watching.SETTLED_SECONDS", 3.0)
    with Watcher(folder, service.url, Limits()) as watcher:
        with (folder / "slow.jpg").open("wb") as file:
            for part in (b"a", b"n", b"n", b" ", *(b"9",) * 8):  # longer in all than that
                file.write(part)
                file.flush()
                time.sleep(0.3)
                assert watcher.ended == []
        eventually(lambda: watcher.outcomes() == [("slow.jpg", "done")])
    with Client(service.url) as client:
        assert client.image(image_hash(b"ann 99999999")).names == ("slow.jpg",)


def test_what_no_change_was_told_of_is_found_by_looking(
    service: ToldService, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deaf(*paths: object, **options: object) -> Iterator[set[object]]:
        while True:
            time.sleep(0.05)
            yield set()

    monkeypatch.setattr("watchfiles.watch", deaf)
    old(folder / "bad.jpg", b"broken")
    with Watcher(folder, service.url, Limits(look_seconds=0.2)) as watcher:
        eventually(lambda: len(watcher.ended) == 1)
        old(folder / "a.jpg", b"ann 1")
        eventually(lambda: len(watcher.ended) == 2)
        time.sleep(0.5)
        # What failed is not tried again and again.
        assert watcher.outcomes() == [("bad.jpg", "not_an_image"), ("a.jpg", "done")]
        shutil.rmtree(folder)
        watcher.joined()
    assert isinstance(watcher.error, Rejected)
    assert watcher.error.code == "unreadable"


def test_a_service_that_is_away_for_too_long_ends_it(service: ToldService, folder: Path) -> None:
    old(folder / "a.jpg", b"ann 1")
    service.stop()
    with Watcher(folder, service.url, Limits(patience=0.5)) as watcher:
        watcher.joined()
    assert watcher.report is not None
    assert watcher.report.error is not None
    assert watcher.report.error.code == "service_unavailable"


def test_the_command_prints_a_line_for_each_until_it_is_interrupted(
    service: ToldService, folder: Path, tmp_path: Path
) -> None:
    old(folder / "a.jpg", b"ann 1")
    words = [sys.executable, "-m", "facematch", "--url", service.url, "--json", "watch", folder]
    environment = os.environ | {"XDG_STATE_HOME": str(tmp_path / "state")}
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline()) == {
                "name": "a.jpg",
                "outcome": "done",
                "hash": image_hash(b"ann 1"),
                "code": None,
                "detail": None,
            }
            process.send_signal(signal.SIGINT)
            last = json.loads(process.stdout.read())
            assert (last["ended"], last["interrupted"]) == (1, True)
            assert process.wait(30) == 130
        finally:
            process.kill()
