"""`facematch plan` at the command line: what it prints, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from facematch.cli import main
from facematch.sizing import Pictures, index_bytes, ingest_seconds, redis_bytes, redis_peak
from facematch.sizing_figures import packaged

PICTURES = Pictures(1, 5)


def run(*words: object) -> Result:
    result = CliRunner().invoke(main, ["plan", *map(str, words)])
    assert "Traceback" not in result.output
    return result


def document(*words: object) -> dict[str, Any]:
    result = run("--json", *words)
    assert result.exit_code == 0
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def ingest(folder: Path, name: str = "ingest", images: int = 13_233, **changed: Any) -> Path:
    """One that the plan foresees, but for what is changed: measures by name, and other fields."""
    figures = packaged()
    rate = figures.rates[-1]
    seconds = ingest_seconds(figures.costs, images, rate, PICTURES, 2)
    held = redis_bytes(figures.costs, images, rate, PICTURES, images, 10**5)
    measures = {
        "pictures a second": (images / seconds, "1/s"),
        "memory store": (redis_peak(held), "B"),
        "memory index": (index_bytes(figures.costs, images, PICTURES) / 2**20, "MiB"),
    }
    fields = {
        "benchmark": "ingest",
        "date": "2026-11-26T00:00:00+00:00",
        "machine": {"cpu": "x", "cores": 2, "memory": 24e9, "python": "3.11", "versions": {}},
        "options": {"pictures": images, "workers": 1, "threshold": 0.6},
        "checks": [],
    }
    measures |= {key: value for key, value in changed.items() if isinstance(value, tuple)}
    fields |= {key: value for key, value in changed.items() if not isinstance(value, tuple)}
    fields.setdefault(
        "measures",
        [{"name": key, "value": value, "unit": unit} for key, (value, unit) in measures.items()],
    )
    file = folder / f"{name}.json"
    file.write_text(json.dumps(fields))
    return file


def test_one_size_for_people() -> None:
    result = run("--images", "13233", "--per-day", "500", "--threshold", "0.6")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].startswith(
        "13,233 images of 0.062 megapixels with 1 face each, 500 more a day; mach"
    )
    for words in ("threshold       0.6", "82 false matches an image", "Redis  ", "machine-hours"):
        assert any(words in line for line in lines)
    assert lines[-1] == "! 82 of an image's matches are false at 0.6; 0.5 keeps to 10"


def test_without_a_size_from_ten_thousand_to_a_milliard() -> None:
    lines = run().stdout.splitlines()
    rows = [line.split("  ")[1] for line in lines if line.startswith("  ")]
    assert rows[:7] == ["images", "10 k", "100 k", "1 M", "10 M", "100 M", "1 G"]
    assert sum("Milvus" in line for line in lines) == 2
    plans = document()["plans"]
    assert [plan["images"] for plan in plans] == [10**power for power in range(4, 10)]
    assert plans[2]["per_day"] == 2740


def test_options_change_the_plan() -> None:
    plain = document("--images", "1M")
    assert (plain["threshold"], plain["advised"]) == (0.4, True)
    assert document("--images", "1,000,000") == document("--images", "1_000_000") == plain
    assert document("--images", "1M", "--false-matches", "50")["threshold"] == 0.45
    assert document("--images", "1M", "--threshold", "0.5")["false_matches"] == pytest.approx(240)
    assert (
        document("--images", "1M", "--faces-per-image", "2")["index_bytes"] > plain["index_bytes"]
    )
    assert document("--images", "1M", "--workers", "4")["first_hours"] < plain["first_hours"] / 3
    assert document("--images", "1M", "--cores", "8")["first_hours"] < plain["first_hours"] / 3
    assert document("--images", "2M", "--memory", "1")["index"] == "milvus"
    hours = [document("--images", "1M", "--megapixels", n)["first_hours"] for n in (1, 2, 12, 24)]
    assert plain["first_hours"] * 3 < hours[0] < hours[1] == hours[2] == hours[3]
    busy = [document("--images", "1M", "--headroom", n)["busy"] for n in (1, 2)]
    assert busy[1] == pytest.approx(2 * busy[0])


def test_the_model_explains_itself() -> None:
    lines = run("--explain").stdout
    assert "work(n) = picture + " in lines
    assert "sizing.json: Redis bytes a job" in lines
    explained = document("--explain")
    assert explained["costs"]["picture"]["value"] == packaged().costs.picture
    assert len(explained["rates"]) == 5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--images", "0"], "is not from 1 to"),
        (["--images", "-3"], "is no count"),
        (["--images", "many"], "is no count"),
        (["--images", "nan"], "is no count"),
        (["--images", "1.5"], "is no whole number"),
        (["--images", "1001G"], "is not from 1 to"),
        (["--images", "9" * 5000], "99…' is no count"),
        (["--images", "١٢"], "is no count"),
        (["--per-day", "0"], "is not from 1 to"),
        (["--threshold", "0"], "is not in the range"),
        (["--threshold", "0.3"], "is not within 0.4 and 0.6"),
        (["--threshold", "nan"], "--threshold: nan is no number"),
        (["--faces-per-image", "0"], "is not in the range"),
        (["--faces-per-image", "nan"], "--faces-per-image: nan is no number"),
        (["--images-per-person", "0"], "is not in the range"),
        (["--false-matches", "0"], "is not in the range"),
        (["--megapixels", "0"], "is not in the range"),
        (["--memory", "inf"], "is not in the range"),
        (["--workers", "0"], "is not in the range"),
        (["--headroom", "0.5"], "is not in the range"),
        (["--cores", "two"], "is not a valid integer"),
        (["--measured", "nowhere"], "does not exist"),
        (["--compare", "nowhere"], "does not exist"),
    ],
)
def test_wrong_uses_are_told(words: list[str], said: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"benchmark": "encode"}, "is a result of 'encode', not of an ingest"),
        ({"options": {"workers": 1}}, "does not say how many pictures"),
        ({"options": {"pictures": True, "workers": 1}}, "does not say how many pictures"),
        ({"options": {"pictures": 10, "workers": 0}}, "does not say how many workers"),
        ({"pictures a second": (0.0, "1/s")}, "has no measure 'pictures a second'"),
        (
            {"checks": [{"name": "it came to its end", "passed": False, "detail": ""}]},
            "is of an ingest that was interrupted",
        ),
        ({"options": {"pictures": 200, "workers": 1, "short": True}}, "is of a short run"),
        ({"measures": [{"name": 3}]}, "is no result of a benchmark: measures.0.name"),
        ({"machine": {"cores": 0, "memory": 1}}, "is no result of a benchmark: machine.cores"),
    ],
)
def test_what_is_no_ingest_is_told(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    for option in ("--measured", "--compare"):
        result = run(option, ingest(tmp_path, **changed))
        assert result.exit_code == 2
        assert said in result.stderr


def test_an_ingest_of_the_users_own_changes_the_plan(tmp_path: Path) -> None:
    slow = ingest(tmp_path, **{"pictures a second": (6.0, "1/s")})
    plain, own = document("--images", "1M"), document("--images", "1M", "--measured", slow)
    assert own["first_hours"] > 5 * plain["first_hours"]
    ingest(tmp_path, "an-older", date="2025-01-01T00:00:00Z", **{"pictures a second": (1.0, "1/s")})
    (tmp_path / "foreign.json").write_text("{}")
    assert document("--images", "1M", "--measured", tmp_path) == own
    explained = run("--explain", "--measured", slow).stdout
    assert "ingest.json, 2026-11-26" in explained


def test_a_folder_without_an_ingest_is_told(tmp_path: Path) -> None:
    result = run("--measured", tmp_path)
    assert result.exit_code == 2
    assert "holds no result of `python -m benchmarks ingest`" in result.stderr


def test_drawn_faces_say_nothing_of_pictures(tmp_path: Path) -> None:
    options = {"pictures": 13_233, "workers": 1, "threshold": 0.6, "source": "drawn"}
    drawn, other = (ingest(tmp_path, name, options=options) for name in ("drawn", "other"))
    for words in (("--measured", drawn), ("--compare", drawn)):
        result = run(*words)
        assert (result.exit_code, "is of drawn faces" in result.stderr) == (2, True)
    assert run("--compare", drawn, "--measured", other).exit_code == 0


class TestCompared:
    """A measured ingest beside the plan."""

    def test_what_was_foreseen_agrees(self, tmp_path: Path) -> None:
        result = run("--images", "13233", "--compare", ingest(tmp_path))
        assert result.exit_code == 0
        assert result.stdout.splitlines()[-3:] == [
            "ok     time of the ingest: within 25%",
            "ok     memory of Redis, at most: not above that",
            "ok     memory of an index: within 25%",
        ]
        found = json.loads(run("--json", "--compare", ingest(tmp_path)).stdout)
        assert found["agrees"] is True
        assert [each["off"] for each in found["compared"]] == pytest.approx([0, 0, 0], abs=1e-9)

    @pytest.mark.parametrize("name", ["pictures a second", "memory store", "memory index"])
    def test_what_is_far_off_does_not(self, tmp_path: Path, name: str) -> None:
        result = run("--compare", ingest(tmp_path, **{name: (1e12, "bytes")}))
        assert result.exit_code == 1
        assert result.stdout.count("FAILED") == 1

    def test_faces_and_matches_count_for_each_image(self, tmp_path: Path) -> None:
        counted = {
            "faces": (2 * 13_233.0, ""),
            "matches, in both directions": (13_233 * 330.0, ""),
        }
        result = run("--compare", ingest(tmp_path, **counted))
        (row,) = (line for line in result.stdout.splitlines() if line.startswith("  matches"))
        # Any of two faces with any of two others; and four images of one person.
        assert row.split() == ["matches", "of", "an", "image", "330", "329", "-0.3%"]

    def test_processor_time_is_that_of_all_parts(self, tmp_path: Path) -> None:
        parts = {
            f"processor {part}": (8.0, "ms/picture, of one core") for part in ("api", "worker")
        }
        other = {"processor nobody": (1e6, "ms/picture, of one core")}
        result = run("--compare", ingest(tmp_path, **parts, **other))
        (row,) = (line for line in result.stdout.splitlines() if line.startswith("  processor"))
        assert row.split()[4:6] == ["16", "ms"]
        assert "FAILED processor time a picture: within 25%" in result.stdout
        assert result.exit_code == 1

    def test_one_run_foretells_another(self, tmp_path: Path) -> None:
        small = ingest(tmp_path, "small", 2000, **{"pictures a second": (20.0, "1/s")})
        large = ingest(tmp_path, "large", 13_233, **{"pictures a second": (19.0, "1/s")})
        assert run("--compare", large).exit_code == 1
        result = run("--compare", large, "--measured", small)
        assert "ok     time of the ingest" in result.stdout
        assert result.exit_code == 0

    def test_with_itself_or_another_number_of_pictures_it_is_refused(self, tmp_path: Path) -> None:
        file = ingest(tmp_path)
        itself = run("--compare", file, "--measured", tmp_path)
        assert (itself.exit_code, "compared with itself" in itself.stderr) == (2, True)
        other = run("--compare", file, "--images", "5000")
        assert (other.exit_code, "is of 13,233 pictures, not 5,000" in other.stderr) == (2, True)
