"""The benchmarks in their short form, on drawn pictures: that they work, not how fast they are."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ("encode", "--rounds", "1"),
            {
                "face chip to encoding, one thread",
                "250×250 picture to encodings, one core",
                "12-megapixel picture with a face of 200 pixels to encodings, one core",
                "cold start of a worker to its first job done",
                "memory of a worker with two slots",
            },
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


def test_the_soak_of_the_index_in_short(tmp_path: Path) -> None:
    values, printed = run_shortly(["index", "--soak", "5", "--faces", "5000"], tmp_path)
    assert {"query, p50", "query, p99", "memory of the index in the end"} <= values.keys()
    assert values["images added, and as many erased"] > 0
    assert "answers 0 faces missing, 0 too many; 0 for places" in printed


def test_what_a_plan_is_reckoned_with_in_short(tmp_path: Path) -> None:
    values, _ = run_shortly(["sizing"], tmp_path)
    assert values["Redis bytes an image with one face and no match"] > 512
    assert values["Redis bytes an entry of the log"] > 100
    short, long = (
        values[f"Redis bytes a match, one way, in {sets}"]
        for sets in ("sets of up to 128", "larger sets")
    )
    assert 10 < short < long < 200


def run_shortly(options: list[str], folder: Path) -> tuple[dict[str, float], str]:
    """The measures by name, which are printed and kept; and all that is printed."""
    file = folder / "result.json"
    command = [sys.executable, "-m", "benchmarks", *options, "--short", "--json", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    result = json.loads(file.read_text())
    assert result["benchmark"] == options[0]
    assert {"cpu", "cores", "memory", "python", "versions"} <= result["machine"].keys()
    values = {measure["name"]: measure["value"] for measure in result["measures"]}
    assert all(name in done.stdout for name in values)
    return values, done.stdout
