"""facematch.ingest and what it is made of, against the real api and services that misbehave."""

import io
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from scripted_service import Reply, Request, job, problem, scripted
from told_service import ToldService, told_service
from waiting import eventually

from facematch.client import Client
from facematch.errors import Denied, FacematchError, Misconfigured, NotFound, Rejected
from facematch.faces import image_hash
from facematch.ingest.journal import Done, Journal, journal_path
from facematch.ingest.picture import Kind
from facematch.ingest.run import Report, ingest
from facematch.ingest.source import Entry, entries
from facematch.progress import Bar, Lines, progress_line
from facematch.store import State
from facematch.terminal import duration


class Said:
    """Progress that remembers what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.most = 0

    def update(self, done: int, total: int, failed: int | None = None) -> None:
        self.most = max(self.most, done)

    def say(self, line: str) -> None:
        self.lines.append(line)


class Runs:
    """Runs of an ingest of `source` into `url`, with one journal."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "pictures"
        self.source.mkdir()
        self.journal = folder / "journal.sqlite3"
        self.interrupted = threading.Event()
        self.said = Said()

    def write(self, name: str, data: bytes) -> Path:
        path = self.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def run(self, url: str, concurrency: int = 4, patience: float = 20, **more: float) -> Report:
        journal = Journal(self.journal)
        try:
            with Client(url, attempts=1, **more) as client:
                return ingest(
                    client,
                    self.source,
                    journal,
                    self.said,
                    self.interrupted,
                    concurrency,
                    patience,
                )
        finally:
            journal.close()

    def counts(self, url: str, concurrency: int = 4) -> dict[str, int]:
        """Run to the end; how many entries ended how."""
        report = self.run(url, concurrency)
        assert (report.error, report.interrupted) == (None, False)
        assert report.tally.ended == report.tally.total
        return {str(kind): number for kind, number in report.tally.counts.items()}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ToldService]:
    with told_service(tmp_path / "service") as service:
        yield service


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


# -- what is submitted --------------------------------------------------------------------------


def test_every_file_is_an_entry_but_hidden_ones_and_leftovers(tmp_path: Path) -> None:
    for name in ("a.jpg", "sub/deep/b.txt", "no ending", ".hidden.jpg", ".git/c.jpg", "sub/.x/d"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    for name in ("Thumbs.db", "sub/desktop.ini", ".DS_Store", "__MACOSX"):
        (tmp_path / name).write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe")
    found = {entry.name: entry for entry in entries(tmp_path)}
    assert found.keys() == {"a.jpg", "sub/deep/b.txt", "no ending"}
    assert found["sub/deep/b.txt"].path == tmp_path / "sub/deep/b.txt"
    assert not any(entry.problem for entry in found.values())


def test_links_are_followed_and_lead_into_no_circle(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    outside.mkdir()
    folder.mkdir()
    (outside / "a.jpg").write_bytes(b"x")
    (folder / "inside").symlink_to(outside)
    (folder / "file.jpg").symlink_to(outside / "a.jpg")
    (folder / "nowhere.jpg").symlink_to(tmp_path / "nothing")
    (folder / "self.jpg").symlink_to(folder / "self.jpg")
    (outside / "back").symlink_to(folder)
    found = {entry.name: entry.problem for entry in entries(folder)}
    assert found == {
        "inside/a.jpg": "",
        "file.jpg": "",
        "nowhere.jpg": "No such file or directory",
        "self.jpg": "Too many levels of symbolic links",
    }


def test_the_version_of_a_file_changes_with_its_size_and_its_time(tmp_path: Path) -> None:
    file = tmp_path / "a.jpg"
    versions = []
    for data, when in ((b"a", 1), (b"ab", 1), (b"ab", 2)):
        file.write_bytes(data)
        os.utime(file, (when, when))
        versions += [entry.version for entry in entries(tmp_path)]
    assert len(set(versions)) == 3


def test_a_list_is_the_first_field_of_each_line(tmp_path: Path) -> None:
    file = tmp_path / "urls.txt"
    file.write_bytes(
        b"\xef\xbb\xbfhttp://a.test/1.jpg\r\n# a comment\n\n  http://a.test/2.jpg \tann\t2\n"
        b"\t no url\nhttp://a.test/caf\xe9.jpg\nhttp://a.test/3.jpg"
    )
    assert list(entries(file)) == [
        Entry("http://a.test/1.jpg"),
        Entry("http://a.test/2.jpg"),
        Entry("http://a.test/caf\N{REPLACEMENT CHARACTER}.jpg"),
        Entry("http://a.test/3.jpg"),
    ]


def test_a_list_is_read_line_by_line(tmp_path: Path) -> None:
    pipe = tmp_path / "urls"
    pipe.write_text("".join(f"http://a.test/{number}\n" for number in range(100_000)))
    found = entries(pipe)
    assert next(found).name == "http://a.test/0"
    with pipe.open("a") as more:
        more.write("http://a.test/last\n")
    assert [entry.name for entry in found][-1] == "http://a.test/last"


def test_what_is_no_folder_and_no_text_is_refused(tmp_path: Path) -> None:
    picture = tmp_path / "a.jpg"
    picture.write_bytes(b"\xff\xd8\xff\0")
    for source in (picture, tmp_path / "missing"):
        with pytest.raises(Rejected) as caught:
            list(entries(source))
        assert caught.value.code == "unreadable"


# -- how each ends ------------------------------------------------------------------------------


def test_every_picture_of_a_folder_is_brought_to_its_end(service: ToldService, runs: Runs) -> None:
    for number in range(60):
        runs.write(f"ann/{number}.jpg", b"ann %d" % number)
    for number in range(7):
        runs.write(f"broken{number}.txt", b"broken %d" % number)
    runs.write("nobody.jpg", b"nobody")
    runs.write("empty.jpg", b"")
    (runs.source / "dangling.jpg").symlink_to("nothing")
    report = runs.run(service.url)
    tally = report.tally
    assert (report.error, tally.total, tally.ended) == (None, 70, 70)
    assert tally.counts == {Kind.DONE: 60, Kind.NO_FACE: 1, Kind.FAILED: 9}
    failures = {code: failure.count for code, failure in tally.failures.items()}
    assert failures == {"not_an_image": 7, "empty": 1, "unreadable": 1}
    assert len(set(tally.failures["not_an_image"].examples)) == 5
    assert tally.failures["unreadable"].examples == ["dangling.jpg"]
    image = service.api.store.image(image_hash(b"ann 5"))
    assert image.names == ("ann/5.jpg",)
    assert len(service.api.store.matches(image.hash, 100).matches) == 59


def test_the_same_bytes_under_many_names_are_one_image_with_all_names(
    service: ToldService, runs: Runs
) -> None:
    for number in range(20):
        runs.write(f"{number}.jpg", b"ann")
    report = runs.run(service.url)
    assert report.tally.counts[Kind.DONE] >= 1
    assert report.tally.counts[Kind.DONE] + report.tally.counts[Kind.ALREADY_THERE] == 20
    assert len(service.api.store.image(image_hash(b"ann")).names) == 20


def test_urls_are_ingested_from_a_list(service: ToldService, runs: Runs, tmp_path: Path) -> None:
    service.web.update({"http://p.test/a": b"ann 1", "http://p.test/b": b"nobody"})
    runs.source = tmp_path / "urls.txt"
    runs.source.write_text("http://p.test/a\nhttp://p.test/b\nhttp://p.test/c\nno url\n")
    report = runs.run(service.url)
    assert report.tally.counts == {Kind.DONE: 1, Kind.NO_FACE: 1, Kind.FAILED: 2}
    assert report.tally.failures["unreachable"].examples == ["http://p.test/c"]
    assert report.tally.failures["bad_url"].examples == ["no url"]
    service.web["http://p.test/c"] = b"ann 2"
    assert runs.counts(service.url) == {"already_there": 2, "done": 1, "failed": 1}


def test_a_picture_that_is_slow_is_waited_for(service: ToldService, runs: Runs) -> None:
    runs.write("a.jpg", b"slow ann")

    def work() -> None:
        eventually(lambda: service.slow)
        time.sleep(0.3)
        service.work_on_slow()

    worker = threading.Thread(target=work)
    worker.start()
    assert runs.counts(service.url) == {"done": 1}
    worker.join()


def test_a_job_that_the_service_loses_is_submitted_again(runs: Runs) -> None:
    runs.write("a.jpg", b"ann")
    answers = iter([job("accepted"), problem(404, "not_found"), job("accepted", job="j2"), job()])

    def script(request: Request) -> Reply:
        return next(answers, problem(500, "internal_error"))

    with scripted(script) as service:
        report = runs.run(service.url)
        assert [(request.method, request.path) for request in service.requests] == [
            ("POST", "/v1/images"),
            ("GET", "/v1/jobs/j1"),
            ("POST", "/v1/images"),
            ("GET", "/v1/jobs/j2"),
        ]
    assert report.tally.counts == {Kind.DONE: 1}


def test_a_failure_code_that_this_version_does_not_know_is_counted_as_it_is(runs: Runs) -> None:
    runs.write("a.jpg", b"ann")
    with scripted(lambda request: job("failed", code="code_of_tomorrow")) as service:
        assert runs.run(service.url).tally.failures.keys() == {"code_of_tomorrow"}


# -- running again ------------------------------------------------------------------------------


def test_a_second_run_submits_only_what_is_new_changed_or_failed(
    service: ToldService, runs: Runs
) -> None:
    runs.write("same.jpg", b"ann 1")
    changed = runs.write("changed.jpg", b"ann 2")
    runs.write("nobody.jpg", b"nobody")
    runs.write("broken.jpg", b"broken")
    assert runs.counts(service.url) == {"done": 2, "no_face": 1, "failed": 1}
    changed.write_bytes(b"ann 2, larger")
    runs.write("new.jpg", b"ann 3")
    service.submissions.clear()
    assert runs.counts(service.url) == {"already_there": 2, "done": 2, "failed": 1}
    assert sorted(service.submissions) == ["broken.jpg", "changed.jpg", "new.jpg"]


def test_a_service_that_lost_its_data_is_given_everything_again(
    service: ToldService, runs: Runs
) -> None:
    runs.write("a.jpg", b"ann 1")
    runs.write("copy of a.jpg", b"ann 1")
    runs.write("b.jpg", b"ann 2")
    runs.counts(service.url)
    service.stop()
    service.wipe()
    service.start()
    # One at a time: the second of the copies finds the image there again, but not its own name.
    runs.counts(service.url, concurrency=1)
    assert set(service.api.store.image(image_hash(b"ann 1")).names) == {"a.jpg", "copy of a.jpg"}
    assert service.api.store.image(image_hash(b"ann 2")).state is State.DONE


def test_what_was_erased_on_purpose_is_not_brought_back_by_itself(
    service: ToldService, runs: Runs
) -> None:
    file = runs.write("a.jpg", b"ann 1")
    runs.counts(service.url)
    with Client(service.url) as client:
        client.delete(image_hash(b"ann 1"))
    assert runs.counts(service.url) == {"erased": 1}
    assert runs.counts(service.url) == {"erased": 1}
    os.utime(file, (1, 1))
    assert runs.counts(service.url) == {"done": 1}


def test_pictures_that_the_service_has_from_elsewhere_are_already_there(
    service: ToldService, runs: Runs
) -> None:
    runs.write("a.jpg", b"ann 1")
    with Client(service.url) as client:
        client.submit(b"ann 1", "elsewhere.jpg", wait=10)
    assert runs.counts(service.url) == {"already_there": 1}
    assert set(service.api.store.image(image_hash(b"ann 1")).names) == {"a.jpg", "elsewhere.jpg"}


def test_a_run_that_is_interrupted_stops_soon_and_the_next_one_goes_on(
    service: ToldService, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facematch.ingest.run.GRACE_SECONDS", 0.5)
    runs.write("fast.jpg", b"ann")
    for number in range(20):
        runs.write(f"{number}.jpg", b"slow %d" % number)

    def interrupt() -> None:
        eventually(lambda: len(service.submissions) >= 4)
        runs.interrupted.set()

    thread = threading.Thread(target=interrupt)
    thread.start()
    report = runs.run(service.url)
    thread.join()
    assert (report.interrupted, report.error) == (True, None)
    assert report.seconds < 10
    assert report.tally.ended < report.tally.total == 21
    submitted = len(service.submissions)
    assert submitted <= 10
    assert "stops; waits up to 0.5 s for what is under way" in runs.said.lines

    runs.interrupted.clear()
    finishing = threading.Event()

    def finish() -> None:
        while not finishing.is_set():
            service.work_on_slow()
            time.sleep(0.05)

    worker = threading.Thread(target=finish)
    worker.start()
    counts = runs.counts(service.url)
    finishing.set()
    worker.join()
    assert sum(counts.values()) == 21
    assert counts["done"] >= 21 - submitted


# -- a service that goes away -------------------------------------------------------------------


def test_a_service_that_restarts_meanwhile_loses_nothing(
    service: ToldService, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facematch.ingest.run._TROUBLE_SECONDS", 0.2)
    for number in range(150):
        runs.write(f"{number}.jpg", b"ann %d" % number)
    url = service.url

    def restart() -> None:
        eventually(lambda: len(service.submissions) >= 20)
        service.stop()
        time.sleep(1.5)
        service.start()

    thread = threading.Thread(target=restart)
    thread.start()
    counts = runs.counts(url)
    thread.join()
    # Those whose answer was lost are still this run's work.
    assert counts == {"done": 150}
    # How the connection was lost depends on what was under way.
    assert runs.said.lines[0].startswith(f"no answer from {url}: ")
    assert runs.said.lines[0].endswith("(service_unavailable); tries for 20 s")
    assert runs.said.lines[-1] == "the service answers again"
    assert len(service.api.store.matches(image_hash(b"ann 7"), 1000).matches) == 149


def test_a_service_that_does_not_come_back_is_given_up(service: ToldService, runs: Runs) -> None:
    for number in range(30):
        runs.write(f"{number}.jpg", b"ann %d" % number)
    service.stop()
    report = runs.run(service.url, patience=1)
    assert report.error is not None
    assert report.error.code == "service_unavailable"
    assert 1 <= report.seconds < 18
    assert report.tally.ended == 0
    service.start()
    assert runs.counts(service.url) == {"done": 30}


def test_a_service_that_is_full_is_waited_for(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facematch.ingest.crew._backoff", lambda state: 0.05)
    runs.write("a.jpg", b"ann")
    refused = 0

    def script(request: Request) -> Reply:
        nonlocal refused
        if request.path == "/readyz":
            return Reply(200, {})
        if refused == 10:
            return job("failed", code="not_an_image")
        refused += 1
        return problem(503, "backlog_full")

    with scripted(script) as service:
        report = runs.run(service.url)
    assert (report.error, report.tally.failures.keys()) == (None, {"not_an_image"})


def test_one_picture_that_gets_no_answer_does_not_hold_up_the_others(runs: Runs) -> None:
    runs.write("far too large.bin", b"x" * 1000)
    for number in range(5):
        runs.write(f"{number}.jpg", b"ann")

    def script(request: Request) -> Reply | None:
        if request.path == "/readyz":
            return Reply(200, {})
        return None if len(request.body) == 1000 else job("failed", code="not_an_image")

    with scripted(script) as service:
        report = runs.run(service.url)
    assert report.error is None
    failures = report.tally.failures
    assert failures["service_unavailable"].examples == ["far too large.bin"]
    assert failures["not_an_image"].count == 5


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (problem(401, "no_key"), Denied),
        (Reply(404, "<h1>", "text/html"), Misconfigured),
        (problem(404, "unknown_collection"), NotFound),
    ],
)
def test_a_service_that_takes_nothing_from_us_ends_the_run_at_once(
    runs: Runs, reply: Reply, error: type[FacematchError]
) -> None:
    for number in range(100):
        runs.write(f"{number}.jpg", b"ann")
    with scripted(lambda request: reply) as service:
        report = runs.run(service.url)
        assert isinstance(report.error, error)
        assert report.tally.ended == 0
        assert len(service.requests) <= 20


def test_only_so_many_pictures_are_under_way_and_few_are_read_ahead(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        runs.write(f"{number:02}.jpg", b"ann %d" % number)
    together, most, last, drawn, ahead = 0, 0, 0, 0, 0

    def look() -> None:
        nonlocal ahead
        time.sleep(0.02)
        ahead = max(ahead, drawn - last)

    # All five are under way, and stay so until it has been looked.
    lock, five = threading.Lock(), threading.Barrier(5, look)

    def counted(source: Path) -> Iterator[Entry]:
        nonlocal drawn
        drawn = 0
        for entry in entries(source):
            drawn += 1
            yield entry

    monkeypatch.setattr("facematch.ingest.run.entries", counted)

    def script(request: Request) -> Reply:
        nonlocal together, most, last
        with lock:
            together += 1
            most, last = max(most, together), max(last, request.number)
        five.wait(30)
        with lock:
            together -= 1
        return job("failed", code="not_an_image")

    with scripted(script) as service:
        runs.run(service.url, concurrency=5)
    assert most == 5
    assert ahead <= 5


def test_an_error_that_nobody_planned_for_is_raised(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("a bug")

    runs.write("a.jpg", b"ann")
    monkeypatch.setattr(Client, "submit", broken)
    with pytest.raises(KeyError, match="a bug"):
        runs.run("http://127.0.0.1:1")


# -- journal and progress -----------------------------------------------------------------------


def test_a_journal_keeps_the_last_end_of_an_entry_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "journal"
    names = ["a.jpg", os.fsdecode(b"caf\xe9.jpg"), os.fsdecode(b"caf\xe8.jpg"), "two\nlines", "写"]
    journal = Journal(path)
    for number, name in enumerate(names):
        journal.record(name, Done("1:1", "", name.encode("utf-8", "replace").decode()))
        journal.record(name, Done("2:2", f"{number}", "known as"))
    journal.close()
    journal = Journal(path)
    for number, name in enumerate(names):
        assert journal.find(name) == Done("2:2", f"{number}", "known as")
    assert journal.find("b.jpg") is None
    journal.close()


def test_a_journal_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "broken").write_text("no database, " * 1000)
    for path in (tmp_path / "file" / "journal", tmp_path / "broken"):
        with pytest.raises(Misconfigured, match=f"the journal {path} cannot be used"):
            Journal(path)


def test_each_service_and_source_has_a_journal_below_the_state_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    paths = {journal_path(url, Path(source)) for url in ("http://a", "http://b") for source in "xy"}
    assert len(paths) == 4
    assert {path.parent for path in paths} == {tmp_path / "facematch" / "ingest"}
    monkeypatch.chdir(tmp_path)
    assert journal_path("http://a", Path("x")) == journal_path(
        "http://a", tmp_path / "y" / ".." / "x"
    )
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/somebody")
    assert journal_path("http://a", Path("x")).parent == Path(
        "/somebody/.local/state/facematch/ingest"
    )


def test_progress_is_a_line_every_few_seconds_or_a_bar() -> None:
    line = progress_line("pictures", 250, 1000, 10, 2.5)
    assert line == "250 of 1,000 pictures, 2.5/s, 10 failed, about 5 min 0 s left"
    assert progress_line("faces", 250, 1000, None, 0) == "250 of 1,000 faces, 0.0/s"
    out = io.StringIO()
    lines = Lines(out, "pictures")
    lines.update(250, 1000, 10)
    lines.say("trouble\x1b[2J")
    lines.close()
    assert out.getvalue() == "trouble\N{REPLACEMENT CHARACTER}[2J\n"
    out = io.StringIO()
    bar = Bar(out, "pictures")
    bar.update(250, 1000, 10)
    bar.say("trouble")
    bar.close()
    assert "250/1000" in out.getvalue()
    assert "failed=10" in out.getvalue()
    assert "trouble\n" in out.getvalue()


def test_lines_come_when_they_are_due(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    clock = SimpleNamespace(monotonic=lambda: now)
    monkeypatch.setattr("facematch.progress.time", clock)
    monkeypatch.setattr("facematch.progress._LINE_SECONDS", 5.0)
    out = io.StringIO()
    lines = Lines(out, "pictures")
    for done in range(1, 5):
        now += 3
        lines.update(done, 10, 0)
    assert out.getvalue().splitlines() == [
        "2 of 10 pictures, 0.3/s, 0 failed, about 24 s left",
        "4 of 10 pictures, 0.3/s, 0 failed, about 18 s left",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (59, "59 s"), (61, "1 min 1 s"), (7260, "2 h 1 min")],
)
def test_lengths_of_time_are_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text
