"""What the benchmark of ingesting is made of: pictures, the job log, the seed way, and its sums."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from benchmarks.__main__ import main
from benchmarks.drawn_encoder import MODEL, DrawnEncoder, drawn_faces, drawn_picture
from benchmarks.filling import FillingStore, fill_store, link_all
from benchmarks.ingest_results import tell_ingest
from benchmarks.job_log import JobLog
from benchmarks.pictures import jpeg
from benchmarks.processes import children_of, command_of, processor_seconds
from benchmarks.redis_bytes import data_bytes, redis_bytes
from benchmarks.report import Report, Series
from benchmarks.seed_way import SeedWay, drawn_encode, mean_up_to
from benchmarks.sources import (
    DrawnPictures,
    changed,
    folder_pictures,
    listed_pictures,
    served_file,
)
from benchmarks.submitting import Ended, Submitting
from benchmarks.watching import Watched
from facematch import fsck
from facematch.client import Client
from facematch.encoding_model import encoding_model
from facematch.errors import Unavailable
from facematch.faces import distances, image_hash
from facematch.redis_connection import Redis, connect
from facematch.redis_store import RedisStore
from worker.decode import decode

LFW = "http://vis-www.cs.umass.edu/lfw/images/{0}/{0}_{1:04}.jpg"


@pytest.fixture
def client(redis_url: str) -> Iterator[Redis]:
    with closing(connect(redis_url)) as connected:
        yield connected


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """A folder of folders of people, as LFW has it: Ann has two pictures, Bob one."""
    folder = tmp_path / "people"
    for number, name in enumerate(("Ann/Ann_0001", "Ann/Ann_0002", "Bob/Bob_0001")):
        file = folder / f"{name}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(number)
        file.write_bytes(jpeg(Image.fromarray(rng.integers(0, 256, (80, 90, 3), np.uint8))))
    return folder


class TestSources:
    def test_a_folder_gives_all_its_pictures_in_one_order(self, people: Path) -> None:
        pictures = folder_pictures(people, None, people)
        names = ["Ann/Ann_0001.jpg", "Ann/Ann_0002.jpg", "Bob/Bob_0001.jpg"]
        assert sorted(picture.name for picture in pictures) == names
        again = folder_pictures(people, None, people)
        assert [one.name for one in pictures] == [one.name for one in again]
        assert all(one.read() == (people / one.name).read_bytes() for one in pictures)
        assert len(folder_pictures(people, 2, people)) == 2

    def test_further_pictures_are_made_of_those_there_are(
        self, people: Path, tmp_path: Path
    ) -> None:
        made = tmp_path / "made"
        made.mkdir()
        pictures = folder_pictures(people, 40, made)
        contents = [picture.read() for picture in pictures]
        assert len({image_hash(data) for data in contents}) == 40
        assert len({picture.name for picture in pictures}) == 40
        assert len(list(made.iterdir())) == 37
        assert all(Image.open(io.BytesIO(data)).format == "JPEG" for data in contents)
        assert len(list(people.rglob("*.jpg"))) == 3

    def test_a_folder_without_pictures_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="no picture"):
            folder_pictures(tmp_path, None, tmp_path)

    def test_a_changed_picture_is_cropped_and_every_other_one_mirrored(self) -> None:
        ramp = np.repeat(np.arange(0, 200, 2, dtype=np.uint8)[None], 100, axis=0)
        data = jpeg(Image.fromarray(np.stack([ramp] * 3, axis=2)))
        for version, rises in ((1, False), (2, True)):
            with Image.open(io.BytesIO(changed(data, version))) as image:
                row = np.asarray(image.convert("L"))[50].astype(int)
                assert image.size < (100, 100)
            assert bool(row[-1] > row[0]) is rises
        assert changed(data, 1) == changed(data, 1)

    @pytest.mark.parametrize("data", [b"", b"no picture", jpeg(Image.new("RGB", (8, 8)))])
    def test_what_cannot_be_changed_is_another_image_all_the_same(self, data: bytes) -> None:
        assert len({data, changed(data, 1), changed(data, 2)}) == 3

    @pytest.mark.parametrize("below", ["", "images", "lfw/images", "a/lfw/images"])
    def test_the_file_of_a_url_is_found_wherever_its_path_begins(
        self, tmp_path: Path, below: str
    ) -> None:
        file = tmp_path / below / "Ann" / "Ann_0001.jpg"
        file.parent.mkdir(parents=True)
        file.write_bytes(b"her")
        found = served_file(tmp_path, "/a/lfw/images/Ann/Ann_0001.jpg")
        assert found == file
        assert served_file(tmp_path, "/a/lfw/images/Ann/Ann_0002.jpg") is None

    @pytest.mark.parametrize("path", ["/../secret", "/Ann/%2e%2e/../../secret", "/", "", "//"])
    def test_nothing_outside_the_folder_is_served(self, tmp_path: Path, path: str) -> None:
        (tmp_path / "secret").write_text("")
        (tmp_path / "root").mkdir()
        assert served_file(tmp_path / "root", path) is None

    def test_a_list_of_urls_becomes_urls_of_this_machine(
        self, people: Path, tmp_path: Path
    ) -> None:
        file = tmp_path / "urls"
        urls = [LFW.format("Ann", 1), LFW.format("Bob", 1), LFW.format("Nobody", 1)]
        file.write_text("\n".join(["# the course's", *urls, ""]))
        pictures = listed_pictures(file, people, "http://127.0.0.1:8000", None)
        assert [picture.name for picture in pictures] == urls
        assert pictures[0].url == "http://127.0.0.1:8000/lfw/images/Ann/Ann_0001.jpg"
        assert pictures[1].read() == (people / "Bob/Bob_0001.jpg").read_bytes()
        with pytest.raises(FileNotFoundError):
            pictures[2].read()
        assert len(listed_pictures(file, people, "http://127.0.0.1:8000", 2)) == 2


class TestDrawn:
    @pytest.mark.parametrize("number", [0, 1, 4095, 4096, 2**40 + 7])
    def test_a_picture_is_seen_as_the_face_of_its_number(self, number: int) -> None:
        pixels = decode(drawn_picture(number), 10**6).pixels
        encoder = DrawnEncoder()
        found = encoder.find(pixels, 100)
        assert (len(found.boxes), found.total) == (1, 1)
        (encoding,) = encoder.encode(found.crops)
        assert (encoding == drawn_faces(np.array([number]))[0]).all()
        assert (drawn_encode(drawn_picture(number))[0] == encoding).all()

    def test_faces_of_a_batch_are_those_of_their_numbers(self) -> None:
        numbers = np.array([5000, 3, 5000, 9999, 2**40])
        together = drawn_faces(numbers)
        for row, number in enumerate(numbers):
            assert (together[row] == drawn_faces(np.array([number]))[0]).all()
        assert together.dtype == np.float32
        assert len(np.unique(together, axis=0)) == 4

    def test_another_picture_has_no_face(self) -> None:
        found = DrawnEncoder().find(np.zeros((8, 8, 3), dtype=np.uint8), 100)
        assert (len(found.boxes), found.total, len(found.crops)) == (0, 0, 0)


class TestJobLog:
    def test_a_mean_is_over_all_jobs_and_a_list_over_those_that_came_to_the_stage(self) -> None:
        log = JobLog()
        for seconds in ({"fetch": 0.5, "link": 0.25}, {"fetch": 1.5}):
            line = {"event": "job", "state": "done", "seconds": seconds}
            log.hear(f"worker-1 | {json.dumps(line)}")
        assert log.jobs == 2
        assert list(log.taken("link")) == [0.25]
        assert (log.mean("fetch"), log.mean("link"), log.mean("query")) == (1.0, 0.125, 0.0)

    @pytest.mark.parametrize(
        "line",
        ["", "Traceback", "{", '{"event": "ready"}', '{"event": "job"}', "[1]", "{1: 2}"],
    )
    def test_other_lines_are_no_jobs(self, line: str) -> None:
        log = JobLog()
        log.hear(line)
        assert log.jobs == 0
        assert log.mean("fetch") == 0.0


class TestSeedWay:
    def test_it_finds_what_brute_force_does_and_writes_both_sets(self, client: Redis) -> None:
        threshold = 0.75
        way = SeedWay(client, threshold, drawn_encode)
        stored = encoding_model().draw(1500, np.random.default_rng(2))
        way.fill(stored)
        for number in (1, 2):
            picture = drawn_picture(number)
            found = way.add(picture)
            apart = distances(drawn_faces(np.array([number])), stored)[0]
            expected = int((apart <= threshold).sum())
            assert len(found) >= expected > 0
            assert len(found) <= expected + number - 1
            assert way.matches(image_hash(picture)) == set(found)
            assert all(image_hash(picture) in way.matches(other) for other in found)

    def test_a_mean_over_all_pictures_is_the_area_below_the_line(self) -> None:
        assert mean_up_to(1000, [0, 1000], [0.1, 1.1]) == pytest.approx(0.5995)
        assert mean_up_to(2000, [0, 1000], [0.1, 1.1]) == pytest.approx(1.0995)
        assert mean_up_to(100, [0, 1000], [0.1, 1.1]) == pytest.approx(0.1495)
        bent = mean_up_to(300, [0, 100, 200], [1.0, 1.0, 2.0])
        assert bent == pytest.approx((1 + 1.495 + 2.495) / 3)
        assert mean_up_to(10, [0], [2.0]) == 2.0


class TestFilling:
    @pytest.mark.parametrize("count", [1, 500, 1203])
    def test_images_filled_in_and_linked_are_as_a_worker_leaves_them(
        self, client: Redis, count: int
    ) -> None:
        store = FillingStore(client)
        store.create(MODEL, 0.7)
        encodings = drawn_faces(np.arange(count))
        pairs = link_all(store, fill_store(store, encodings, MODEL), encodings, 0.7)
        report = fsck.run(RedisStore(client))
        assert report.findings == ()
        assert (report.images, report.unfinished, report.matches) == (count, 0, pairs)
        assert (pairs > 0) is (count > 1)

    def test_more_images_are_added_behind_the_first(self, client: Redis) -> None:
        store = FillingStore(client)
        store.create(MODEL, 0.6)
        first = fill_store(store, drawn_faces(np.arange(3)), MODEL)
        more = fill_store(store, drawn_faces(np.arange(3, 5)), MODEL, 3)
        assert [place.position for _, place in [*first, *more]] == [1, 2, 3, 4, 5]
        found = RedisStore(client).faces([5])[5]
        assert (found == drawn_faces(np.array([4]))).all()


class TestRedisBytes:
    def test_what_is_stored_is_counted_and_shared_out(self, client: Redis) -> None:
        store = FillingStore(client)
        store.create(MODEL, 0.7)
        encodings = drawn_faces(np.arange(600))
        pairs = link_all(store, fill_store(store, encodings, MODEL), encodings, 0.7)
        found = redis_bytes(client)
        assert (found.faces, found.matches) == (600, 2 * pairs)
        assert 512 < found.face < 800
        assert 8 < found.match < 200
        shared = 600 * found.image + 600 * found.face + 2 * pairs * found.match
        assert shared == pytest.approx(found.total, rel=1e-6)
        assert found.total == pytest.approx(data_bytes(client), rel=0.02)

    def test_of_many_keys_a_sample_is_enough(
        self, client: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = FillingStore(client)
        store.create(MODEL, 0.6)
        encodings = drawn_faces(np.arange(2000))
        link_all(store, fill_store(store, encodings, MODEL), encodings, 0.6)
        every = redis_bytes(client)
        monkeypatch.setattr("benchmarks.redis_bytes._LOOKED_AT", 3000)
        some = redis_bytes(client)
        assert some.faces == pytest.approx(every.faces, rel=0.15)
        assert some.face == pytest.approx(every.face, rel=0.05)
        assert some.image == pytest.approx(every.image, rel=0.15)

    def test_an_empty_store_has_nothing(self, client: Redis) -> None:
        found = redis_bytes(client)
        assert (found.faces, found.matches) == (0, 0)


class TestResults:
    def told(self) -> Report:
        with closing(Client("http://127.0.0.1:9")) as client:
            work = Submitting(client, 4)
        work.seconds = 10.0
        work.ended = [Ended(0.1 * number, 0.5, "") for number in range(100)]
        work.ended[7] = Ended(0.7, 9.0, "bad_image")
        report, log = Report("ingest", {}), JobLog()
        log.hear('{"event": "job", "seconds": {"decode": 0.002}}')
        watched = Watched([(1.0, 5), (2.0, 9)], {"api": 1000, "worker": 2000})
        watched.processor["worker"] = 3.0
        tell_ingest(report, work, watched, log)
        return report

    def test_the_measures_have_their_names(self) -> None:
        values = {measure.name: measure.value for measure in self.told().measures}
        assert values["pictures a second"] == 10.0
        assert values["stage decode"] == 2.0
        assert values["stage link"] == 0.0
        assert values["match-set latency p50"] == values["match-set latency p99"] == 0.5
        assert (values["memory api"], values["memory worker"]) == (1000, 2000)
        assert "memory queue" not in values
        assert values["processor worker"] == 30.0

    def test_what_went_on_over_time_is_kept(self) -> None:
        kept = json.loads(self.told().to_json())["series"]
        series = {one["name"]: one["points"] for one in kept}
        assert series["queue depth"] == [[1.0, 5.0], [2.0, 9.0]]
        rates = [rate for _, rate in series["pictures a second"]]
        assert sum(rates) / len(rates) == pytest.approx(10.0)
        assert max(latency for _, latency in series["match-set latency p99"]) > 5

    def test_a_report_without_series_has_none(self) -> None:
        assert "series" not in json.loads(Report("name", {}).to_json())
        report = Report("name", {}, series=[Series("x", "s", "s", [(1.0, 2.0)])])
        assert json.loads(report.to_json())["series"][0]["points"] == [[1.0, 2.0]]


class TestProcessor:
    def test_what_a_process_and_its_children_computed_is_told(self) -> None:
        work = "import time\nwhile time.process_time() < 0.3: pass\n"
        wait = "import sys; print(); sys.stdin.read()"
        child = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {work!r}])\n"
        for program in (work, child):
            with subprocess.Popen(
                [sys.executable, "-c", f"{program}\n{wait}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            ) as process:
                assert process.stdout is not None
                process.stdout.readline()
                assert 0.28 < processor_seconds(process.pid) < 3
                assert process.pid in children_of(os.getpid())
                assert command_of(process.pid)[1] == "-c"
                process.kill()
        assert processor_seconds(process.pid) == 0.0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "one of --pictures, --urls and --drawn"),
        (("--drawn", "5", "--pictures", "."), "one of --pictures, --urls and --drawn"),
        (("--urls", __file__), "--urls and --root go together"),
        (("--drawn", "5", "--root", "."), "--urls and --root go together"),
    ],
)
def test_what_is_to_be_submitted_has_to_be_clear(options: tuple[str, ...], said: str) -> None:
    done = CliRunner().invoke(main, ["ingest", *options])
    assert done.exit_code == 2
    assert said in done.output


def test_drawn_pictures_are_of_the_numbers_asked_for() -> None:
    pictures = DrawnPictures(range(10**12))[7:10]
    assert len(pictures) == 3
    assert [picture.read() for picture in pictures] == [drawn_picture(n) for n in (7, 8, 9)]
    assert len({picture.name for picture in pictures}) == 3


def test_a_service_that_is_gone_ends_it() -> None:
    with closing(Client("http://127.0.0.1:9", timeout=1, attempts=1)) as client:
        work = Submitting(client, 4)
        with pytest.raises(Unavailable):
            work.run(DrawnPictures(range(10**6)), lambda: None)
    assert 4 < len(work.ended) < 20
    assert work.failures["service_unavailable"].count == len(work.ended)
