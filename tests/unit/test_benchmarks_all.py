"""All benchmarks one after the other: what is run, and what is said of those that fail."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import everything
from benchmarks.__main__ import main
from benchmarks.everything import commands, run


def test_every_benchmark_that_has_a_short_form_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert "browse" not in commands(tmp_path)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    short = {
        name
        for name, command in main.commands.items()
        if any("--short" in parameter.opts for parameter in command.params)
    }
    assert {arguments[0] for arguments in commands(tmp_path).values()} == short
    (tmp_path / "lfw").mkdir()
    with_pictures = commands(tmp_path)
    assert with_pictures["ingest"] == ["ingest", "--pictures", str(tmp_path / "lfw")]
    assert with_pictures.keys() - commands(tmp_path / "nowhere").keys() == {"ingest"}


def test_those_that_fail_are_named_and_the_others_are_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "made" / "results"
    asked = {"index": ["index", "--rounds", "1", "--faces", "1000"], "wrong": ["nonsense"]}
    assert run(asked, results) == ["wrong"]
    said = capfd.readouterr()
    assert "[1 of 2] index passed in" in said.out
    assert "[2 of 2] wrong FAILED with 2" in said.out
    assert json.loads((results / "index.json").read_text())["options"]["short"]
    monkeypatch.setattr(everything, "commands", lambda data: {"wrong": ["nonsense"]})
    done = CliRunner().invoke(main, ["all", "--results", str(results)])
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (
        1,
        f"results in {results}; failed: wrong",
    )
