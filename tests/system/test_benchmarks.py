"""The benchmarks in their short form, on drawn pictures: that they work, not how fast they are."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from missing import missing
from PIL import Image

from benchmarks.pictures import jpeg
from benchmarks.servers import RabbitMQ, ServerMissingError, redis_binary
from benchmarks.sources import changed
from worker.golden_drawing import golden_picture

ROOT = Path(__file__).parents[2]
STAGES = {f"stage {name}" for name in ("fetch", "decode", "commit", "query", "link")}
STORED = {"Redis bytes an image", "Redis bytes a face", "Redis bytes a match", "index bytes a face"}
PARTS = ("api", "worker", "index", "store")
MEMORY = {f"{what} {part}" for what in ("memory", "processor") for part in PARTS}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(
            ("encode", "--rounds", "1"),
            {
                "face chip to encoding, one thread",
                "250×250 picture to encodings, one core",
                "12-megapixel picture with a face of 200 pixels to encodings, one core",
                "cold start of a worker to its first job done",
                "memory of a worker with two slots",
            },
            marks=pytest.mark.long,
        ),
        (("quality",), {"hog, 1600: faces of 220 pixels found", "hog, 1600: one picture"}),
    ],
)
def test_a_short_run_prints_its_table_and_keeps_it(
    options: tuple[str, ...], said: set[str], tmp_path: Path
) -> None:
    values, printed = run_shortly([*options, "--data", str(tmp_path / "nowhere")], tmp_path)
    assert said <= values.keys()
    assert all(values[name] > 0 for name in said)
    assert "--data" in printed  # nobody shall take drawn faces for real ones


def test_the_index_in_short(tmp_path: Path) -> None:
    values, printed = run_shortly(["index", "--rounds", "1"], tmp_path)
    assert {"memory of a face", "one query, 0.5", "faces loaded from Valkey"} <= values.keys()
    assert all(value > 0 for value in values.values())
    assert "ok     1,000 queries, 0.6: 0 of" in printed
    assert "FAISS IVF" not in printed  # the peers take an hour


def test_the_join_in_short(tmp_path: Path) -> None:
    values, printed = run_shortly(["join", "--faces", "5000"], tmp_path)
    assert values["all pairs within 0.5 of 5,000 faces"] > 0
    assert values["pairs found"] > 1000
    assert "ok     5 batches, FAISS: " in printed
    assert "ok     200 faces, brute force: 0 of " in printed


@pytest.mark.long
def test_the_soak_of_the_index_in_short(tmp_path: Path) -> None:
    values, printed = run_shortly(["index", "--soak", "5", "--faces", "5000"], tmp_path)
    assert {"query, p50", "query, p99", "memory of the index in the end"} <= values.keys()
    assert values["images added, and as many erased"] > 0
    assert "answers 0 faces missing, 0 too many; 0 for places" in printed


@pytest.mark.long
def test_what_a_plan_is_reckoned_with_in_short(tmp_path: Path) -> None:
    values, _ = run_shortly(["sizing"], tmp_path)
    assert values["Redis bytes an image with one face and no match"] > 512
    assert values["Redis bytes an entry of the log"] > 100


def test_what_a_match_takes_in_short(tmp_path: Path) -> None:
    values, printed = run_shortly(["match-sets"], tmp_path)
    short, long = (
        values[f"Redis bytes a match, one way, in {sets}"]
        for sets in ("sets of up to 1,024", "larger sets")
    )
    assert 10 < short < 40 < long < 200
    assert values["writing the 200 matches of an image"] > 0
    assert "ok     bytes a match, one way: " in printed


def test_an_ingest_of_drawn_faces_in_short(tmp_path: Path) -> None:
    values, printed = run_shortly(["ingest", "--drawn", "120"], tmp_path, all_shown=False)
    said = {"pictures a second", "match-set latency p50", "match-set latency p99", "stage encode"}
    said |= {"from its place in the log to done, 10,000 images"}
    assert said | STAGES | STORED | MEMORY <= values.keys()
    zero = {name for name, value in values.items() if not value > 0}
    assert zero <= {"pictures failed", "queue depth, most"}
    assert "120 of 120 pictures ended" in printed
    assert "ok     match sets: 0 findings, 0 unfinished; 7,140 pairs" in printed
    series = json.loads((tmp_path / "result.json").read_text())["series"]
    assert {"pictures a second", "match-set latency p99"} <= {one["name"] for one in series}


@pytest.mark.long
def test_an_ingest_of_urls_into_a_clustered_service_in_short(tmp_path: Path) -> None:
    """Real encoders; the pictures are served on this machine, and one is not there."""
    try:
        redis_binary()
        RabbitMQ(tmp_path)
    except ServerMissingError as error:
        missing(str(error))
    folder = tmp_path / "pictures" / "Some_One"
    folder.mkdir(parents=True)
    face = jpeg(Image.fromarray(golden_picture()).resize((250, 250)))
    names = [f"Some_One/Some_One_{number:04}.jpg" for number in range(1, 13)]
    for number, name in enumerate(names):
        (folder.parent / name).write_bytes(changed(face, number))
    urls = tmp_path / "urls"
    missing_one = "Some_One/Some_One_0099.jpg"
    lines = [f"http://pictures.example/lfw/images/{name}" for name in [*names, missing_one]]
    urls.write_text("\n".join(lines))
    source = ["--urls", str(urls), "--root", str(folder.parent)]
    options = ["ingest", *source, "--clustered", "--workers", "2", "--part", "main"]
    values, printed = run_shortly(options, tmp_path, all_shown=False)
    assert (
        STAGES | STORED | MEMORY | {"memory queue", "processor client", "stage detect"}
        <= values.keys()
    )
    assert (values["pictures failed"], values["pictures failed, http_status"]) == (1, 1)
    assert values["matches, in both directions"] == 12 * 11
    assert missing_one in printed
    assert "13 of 13 pictures ended" in printed


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """The path of a socket must not be long."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.long
def test_an_interrupted_ingest_keeps_what_was_measured_and_leaves_nothing(
    tmp_path: Path, short_folder: Path
) -> None:
    file = tmp_path / "result.json"
    command = [sys.executable, "-m", "benchmarks", "ingest", "--drawn", "100000"]
    process = subprocess.Popen(
        [*command, "--json", str(file)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(short_folder)},
    )
    assert process.stderr is not None
    try:
        assert any(" of 100,000 pictures" in line for line in process.stderr)
        started = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 1
    assert "FAILED it came to its end" in printed
    assert "ok     match sets: 0 findings, 0 unfinished" in printed
    result = json.loads(file.read_text())
    values = {measure["name"]: measure["value"] for measure in result["measures"]}
    assert values["pictures a second"] > 0
    assert values.keys() >= STAGES | STORED
    assert len(started) > 4
    _, alive = psutil.wait_procs(started, timeout=5)
    assert alive == []
    assert list(short_folder.iterdir()) == []


@pytest.mark.long
def test_workers_that_come_and_go_in_short(tmp_path: Path) -> None:
    values, printed = run_shortly(["scale"], tmp_path, all_shown=False)
    assert 0.2 < values["submit until done, p50"] <= values["submit until done, p99"] < 30
    assert values["messages that wait, most"] > 20
    assert "ok     workers 1 → 3 → 1: 1 → " in printed
    assert "ok     nothing is lost: " in printed


@pytest.mark.long
def test_a_flood_in_short(tmp_path: Path) -> None:
    values, printed = run_shortly(["flood"], tmp_path, all_shown=False)
    assert values["accepted"] > 20
    assert values["refused: 503, with Retry-After"] > 20
    assert "ok     accepted jobs lost: 0: 0 of" in printed
    assert printed.count("everything is answered: none failed, 0 not sent") == 2


def test_reading_in_short(tmp_path: Path) -> None:
    values, printed = run_shortly(["read", "--images", "300"], tmp_path, all_shown=False)
    asked = ("GET /match", "GET /v1 matches", "bare Flask")
    rates = {f"{what}: highest rate with p99 below 50 ms" for what in asked}
    full = "images with 100 matches or more"
    assert rates | {full, "GET /v1 matches, 50/s, p99.9", "matches of an image"} <= values.keys()
    # On a busy machine no rate may be slow enough, and among few images none has so many.
    assert all(values[name] > 0 for name in values.keys() - rates - {full})
    assert printed.count("everything is answered, as long as it is in time: none") == 3


def run_shortly(
    options: list[str], folder: Path, *, all_shown: bool = True
) -> tuple[dict[str, float], str]:
    """The measures by name, which are printed and kept; and all that is printed. `all_shown`: by
    their names, and not in a table of another form."""
    file = folder / "result.json"
    command = [sys.executable, "-m", "benchmarks", *options, "--short", "--json", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    result = json.loads(file.read_text())
    assert result["benchmark"] == options[0]
    assert {"cpu", "cores", "memory", "python", "versions"} <= result["machine"].keys()
    values = {measure["name"]: measure["value"] for measure in result["measures"]}
    assert not all_shown or all(name in done.stdout for name in values)
    return values, done.stdout


def test_a_reindex_in_short(tmp_path: Path) -> None:
    values, printed = run_shortly(["reindex", "--images", "500"], tmp_path)
    name = "reindex of 500 images from 0.45 to 0.5 with live requests"
    assert {name, "GET matches meanwhile, p99", "submit until done meanwhile, p99"} <= values.keys()
    assert values[name] > 0
    assert "fsck finds nothing: 0 findings" in printed
    assert values["pairs written"] > 0
