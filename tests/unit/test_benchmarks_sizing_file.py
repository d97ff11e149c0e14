"""The figures that come with facematch are those of the results that are kept."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.report import Measure, Report
from benchmarks.sizing_file import renew
from facematch import sizing_figures
from facematch.sizing import Pictures, ingest_seconds, rate_at
from facematch.sizing_figures import packaged

FILE = Path(sizing_figures.__file__).with_name("sizing.json")
RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return Path(shutil.copy(FILE, tmp_path / "sizing.json"))


def costs(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text())["costs"]
    return found


def keep(folder: Path, benchmark: str, measures: list[Measure], **options: object) -> Path:
    folder.mkdir(exist_ok=True)
    kept = folder / f"{benchmark}.json"
    kept.write_text(Report(benchmark, options, measures).to_json())
    return kept


def test_every_cost_that_is_measured_here_is_found_in_what_is_kept(file: Path) -> None:
    renewed = renew(file, RESULTS, None)
    assert set(renewed) == costs(file).keys() - {"picture"}


def test_units_become_seconds_and_bytes(file: Path, tmp_path: Path) -> None:
    keep(
        tmp_path / "results",
        "sizing",
        [Measure("Redis, a picture", 0.25, "ms"), Measure("Redis bytes a job", 300.4, "bytes")],
    )
    keep(tmp_path / "results", "encode", [Measure("memory of a worker with two slots", 2, "MiB")])
    keep(
        tmp_path / "results",
        "index",
        [Measure("one query, 0.5", 2.0, "ms", "IndexFlatL2", 20.0)],
        faces=1_000_000,
    )
    before = costs(file)
    renewed = renew(file, tmp_path / "results", None)
    now = costs(file)
    assert set(renewed) == {"store_picture", "job_bytes", "worker_bytes", "milvus_face"}
    found = {name: now[name]["value"] for name in renewed}
    assert found == {
        "store_picture": pytest.approx(2.5e-4),
        "job_bytes": 300.4,
        "worker_bytes": 2**21 // 1000 * 1000,
        "milvus_face": pytest.approx(2e-8),
    }
    assert now["job_bytes"]["measured"].endswith(", sizing.json: Redis bytes a job")
    assert {name: now[name] for name in now.keys() - set(renewed)} == {
        name: before[name] for name in before.keys() - set(renewed)
    }


def test_short_runs_and_figures_that_cannot_be_are_not_taken(file: Path, tmp_path: Path) -> None:
    keep(tmp_path / "short", "sizing", [Measure("Redis, a picture", 9, "ms")], short=True)
    assert renew(file, tmp_path / "short", None) == []
    keep(tmp_path / "noisy", "sizing", [Measure("query of one face", -9, "µs")])
    before = file.read_text()
    with pytest.raises(ValueError, match="query would be -9e-06: measure it again"):
        renew(file, tmp_path / "noisy", None)
    assert file.read_text() == before


def test_what_a_picture_takes_gives_the_time_of_the_ingest(file: Path, tmp_path: Path) -> None:
    measures = [
        Measure("pictures a second", 25.0, "1/s"),
        Measure("memory index", 2e8, "bytes"),
        Measure("index bytes a face", 304.0, "bytes"),
    ]
    options = {"pictures": 10_000, "workers": 1, "threshold": 0.6}
    kept = keep(tmp_path / "ingests", "ingest", measures, **options)
    content = json.loads(kept.read_text())
    content["machine"]["cores"] = 4
    kept.write_text(json.dumps(content))
    (tmp_path / "none").mkdir()
    assert renew(file, tmp_path / "none", kept) == ["picture", "index_bytes"]
    now = costs(file)
    fitted = replace(packaged().costs, picture=now["picture"]["value"])
    rate = rate_at(packaged().rates, 0.6)
    seconds = ingest_seconds(fitted, 10_000, rate, Pictures(1, 5), 4)
    assert seconds == pytest.approx(400, rel=1e-3)
    assert now["index_bytes"]["value"] == pytest.approx(2e8 - 3.04e6, rel=1e-3)
    content["options"]["source"] = "drawn"
    kept.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="is of drawn faces"):
        renew(file, tmp_path / "none", kept)
