"""The page of a folder of results, and what two folders say of each other."""

import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from benchmarks import charts
from benchmarks.__main__ import main
from benchmarks.families import families_in
from benchmarks.kept import read
from benchmarks.report import Measure, Report, Series

#: What must not come out as it went in.
NASTY = "<script>alert(1)</script>\"'&$\\frac_{$"


def keep(
    folder: Path,
    name: str,
    measures: Sequence[Measure],
    checks: Sequence[tuple[str, bool]] = (),
    options: dict[str, object] | None = None,
    **machine: object,
) -> Path:
    report = Report("index", options or {"faces": 5}, list(measures))
    for check, passed in checks:
        report.require(check, passed, "detail")
    content = json.loads(report.to_json())
    content["machine"] |= machine
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(content))
    return folder / f"{name}.json"


def run(*words: object) -> Result:
    result = CliRunner().invoke(main, ["report", *map(str, words)])
    assert "Traceback" not in result.output
    return result


def page_of(folder: Path, *words: object) -> tuple[Result, str]:
    result = run("--results", folder, *words)
    return result, (folder / "report.html").read_text()


class Reader(HTMLParser):
    """Every element, its ids, and whether all are closed."""

    VOID = ("meta", "br", "link", "img", "hr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.cells: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.names.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given[name] for name in ("href", "src", "xlink:href") if name in given]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.cells.append(data.strip())


SIZED = [
    Measure(f"one query, {faces:,} faces", faces / 1000, "ms", "flat", faces / 100)
    for faces in (1000, 10_000, 1_000_000)
]


def test_one_page_has_every_figure_and_nothing_from_elsewhere(tmp_path: Path) -> None:
    measures = [Measure("a query", 2.5, "ms", "FAISS", 10.0), Measure("faces", 1234567.0, "")]
    keep(tmp_path, "index", [*measures, *SIZED], [("complete", True)])
    result, text = page_of(tmp_path)
    assert result.exit_code == 0
    found = Reader(text)
    shown = {"a query", "2.5", "10", "4.00 ×", "1,234,567", "complete", "✓ passed", "10.00 ×"}
    assert shown <= set(found.cells)
    assert "all 1 checks passed" in text
    assert all(link.startswith("#") for link in found.links)
    assert {link[1:] for link in found.links} <= {*found.ids}
    assert len(found.ids) == len(set(found.ids))
    assert not {"script", "link", "img", "iframe"} & set(found.names)
    assert "url(" not in text.replace("url(#", "")


def test_numbers_stand_right_and_tables_have_headers_and_captions(tmp_path: Path) -> None:
    keep(tmp_path, "index", [Measure("a query", 2.5, "ms")])
    _, text = page_of(tmp_path)
    assert re.search(r'<td class="n\s*">2\.5</td>', text)
    assert re.search(r'<th scope="row">a query</th>', text)
    assert text.count("<table>") == text.count("<caption>") == 1
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text


@pytest.mark.parametrize("plots", [True, False])
def test_what_comes_from_files_is_escaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plots: bool
) -> None:
    if plots:
        pytest.importorskip("matplotlib", reason="only in the extra `peers`")
    else:
        monkeypatch.setattr(charts, "import_module", missing)
    sized = [Measure(f"{NASTY}, {n} faces", 1.0 + n, NASTY, NASTY, 2.0) for n in (1, 2)]
    nasty = [Measure(NASTY, 1.0, NASTY, NASTY, 2.0), *sized]
    file = keep(tmp_path, "a<b>", nasty, [(NASTY, False)], {NASTY: [NASTY]}, cpu=NASTY)
    content = json.loads(file.read_text())
    content["series"] = [{"name": NASTY, "unit": NASTY, "x": NASTY, "points": [[0, 1], [1, 2]]}]
    file.write_text(json.dumps(content | {"benchmark": NASTY}))
    (tmp_path / "no<i>.json").write_text(NASTY)
    _, text = page_of(tmp_path, "--against", tmp_path)
    found = Reader(text)
    assert "script" not in found.names
    assert "<b>" not in text
    assert "<i>" not in text
    assert NASTY in found.cells
    assert ("svg" in found.names) is plots


def missing(name: str) -> Any:
    raise ModuleNotFoundError(name)


def test_without_matplotlib_every_figure_is_there_and_what_is_missing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(charts, "import_module", missing)
    keep(tmp_path, "index", SIZED)
    _, text = page_of(tmp_path)
    assert {"1,000", "1,000,000", "10.00 ×"} <= set(Reader(text).cells)
    assert "svg" not in Reader(text).names
    assert "they need matplotlib" in text


def test_a_curve_is_drawn_in_the_colours_of_the_page(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="only in the extra `peers`")
    keep(tmp_path, "index", SIZED)
    _, text = page_of(tmp_path)
    found = Reader(text)
    assert found.names.count("svg") == 1
    assert "currentColor" in text
    assert "var(--line)" in text
    assert {"flat", "facematch", "1 k", "1 M"} <= set(found.cells)
    assert "#010203" not in text


def test_a_series_is_drawn_and_listed(tmp_path: Path) -> None:
    report = Report("ingest", {})
    report.series.append(Series("jobs waiting", "jobs", "seconds", [(0.5, 3), (2, 70_000)]))
    (tmp_path / "ingest.json").write_text(report.to_json())
    _, text = page_of(tmp_path)
    assert {"jobs waiting", "seconds", "0.5", "70,000"} <= set(Reader(text).cells)


BROKEN = {
    "empty": "",
    "list": "[]",
    "cut": '{"benchmark": "index", "date"',
    "foreign": '{"name": "package", "version": "1.0"}',
    "nan": "NaN",
    "deep": "[" * 100_000,
    "bytes": "\udcff",
    "value": '{"benchmark":"index","date":"2026-01-01T00:00:00Z","machine":{"cpu":"","cores":1,'
    '"memory":1},"options":{},"measures":[{"name":"a","value":NaN,"unit":""}],"checks":[]}',
}


def test_what_is_no_result_is_named_and_stops_nothing(tmp_path: Path) -> None:
    keep(tmp_path, "index", [Measure("a query", 2.5, "ms")])
    for name, text in BROKEN.items():
        (tmp_path / f"{name}.json").write_bytes(text.encode(errors="surrogateescape"))
    (tmp_path / "folder.json").mkdir()
    result, text = page_of(tmp_path)
    assert result.exit_code == 0
    for name in [*BROKEN, "folder"]:
        assert f"{name}.json is no result: " in result.output
        assert f"<code>{name}.json</code>" in text
    assert "a query" in text
    assert "results: 1, files that are none: 9" in result.output
    assert len(result.output.splitlines()) == 9 + 2  # a line for each
    assert "For further information" not in result.output
    assert "foreign.json is no result: benchmark: Field required" in result.output
    assert [found.file for found in read(tmp_path)[0]] == ["index.json"]


def test_a_failed_check_is_said_at_the_top(tmp_path: Path) -> None:
    keep(tmp_path, "index", [], [("one", True), ("other", False)])
    _, text = page_of(tmp_path)
    assert "1 of 2 checks failed" in text
    assert text.index("✗ failed") < text.index("✓ passed")


def test_an_empty_folder_and_one_that_is_not_there(tmp_path: Path) -> None:
    result, text = page_of(tmp_path)
    assert result.exit_code == 0
    assert "0 results" in text
    assert run("--results", tmp_path / "none").exit_code == 2
    assert run("--results", tmp_path, "--out", tmp_path / "no" / "page.html").exit_code == 1


def test_only_what_has_several_sizes_is_a_family() -> None:
    alone = [Measure("a query, 5 faces", 1, "ms"), Measure("a query, 10 faces", 1, "s")]
    late = [Measure(f"waiting, after {n} s", n, "jobs") for n in (30, 2.5)]
    more = [Measure(f"seed, {n} images stored", n, "ms") for n in (1, 2)]
    slow = [Measure(f"done, {n} images, p99", n, "ms") for n in (1, 2)]
    found, others = families_in([*alone, *SIZED, *late, *more, *slow])
    assert [(family.name, family.along) for family in found] == [
        ("one query", "faces"),
        ("waiting", "s"),
        ("seed stored", "images"),
        ("done, p99", "images"),
    ]
    assert [point.at for point in found[1].points] == [2.5, 30]
    assert others == alone
    assert found[0].lines["flat"] == [(1000, 10), (10_000, 100), (1_000_000, 10_000)]


class TestAgainst:
    """Before and now."""

    @pytest.fixture
    def folders(self, tmp_path: Path) -> tuple[Path, Path]:
        return tmp_path / "before", tmp_path / "now"

    def compared(self, folders: tuple[Path, Path], *words: object) -> tuple[int, list[str]]:
        before, now = folders
        result, text = page_of(now, "--against", before, *words)
        Reader(text)
        assert "Better and worse" in text
        return result.exit_code, result.output.splitlines()

    @pytest.mark.parametrize(
        ("before", "now", "verdict"),
        [
            # Twice as slow, on a machine that is twice as slow.
            (Measure("q", 1, "ms", "b", 4), Measure("q", 2, "ms", "b", 8), "same"),
            (Measure("q", 1, "ms", "b", 4), Measure("q", 1, "ms", "b", 3), "worse"),
            (Measure("q", 1, "ms", "b", 4), Measure("q", 1, "ms", "b", 5), "better"),
            (Measure("q", 1, "ms", "b", 4), Measure("q", 1, "ms", "b", 3.5), "same"),
            (Measure("q", 1, "ms"), Measure("q", 1.19, "ms"), "same"),
            (Measure("q", 1, "ms"), Measure("q", 1.21, "ms"), "worse"),
            (Measure("q", 1, "1/s"), Measure("q", 1.3, "1/s"), "better"),
            (
                Measure("q", 1, "ms/picture, by the clock"),
                Measure("q", 2, "ms/picture, by the clock"),
                "worse",
            ),
            (Measure("q", 2, "bytes, one way"), Measure("q", 1, "bytes, one way"), "better"),
            (Measure("q", 2, "jobs"), Measure("q", 1, "jobs"), "other"),
            (Measure("q", 1, "MiB"), Measure("q", 1.3, "MiB"), "worse"),
            (Measure("q", 1, "", more_is_better=True), Measure("q", 0.5, ""), "other"),
            (Measure("q", 1, ""), Measure("q", 2, ""), "other"),
            (Measure("q", 0, "ms"), Measure("q", 2, "ms"), "worse"),
            (Measure("q", 2, "ms"), Measure("q", 0, "ms"), "better"),
            (Measure("q", 0, "ms"), Measure("q", 0, "ms"), "same"),
        ],
    )
    def test_a_measure(
        self, folders: tuple[Path, Path], before: Measure, now: Measure, verdict: str
    ) -> None:
        keep(folders[0], "index", [before])
        keep(folders[1], "index", [now])
        code, lines = self.compared(folders)
        assert f"1 {verdict}" in next(line for line in lines if " worse, " in line)
        assert code == (1 if verdict == "worse" else 0)

    def test_the_exit_can_be_had_without(self, folders: tuple[Path, Path]) -> None:
        keep(folders[0], "index", [Measure("q", 1, "ms")])
        keep(folders[1], "index", [Measure("q", 3, "ms")])
        code, lines = self.compared(folders, "--allow-worse")
        assert code == 0
        assert "WORSE  index (index.json): q: 1 ms → 3 ms (0.33 times as good, noise 20%)" in lines
        assert self.compared(folders, "--noise", "250")[0] == 0

    def test_repeated_runs_say_what_noise_is(self, folders: tuple[Path, Path]) -> None:
        for run_, value in enumerate((1.0, 1.1, 1.6)):
            keep(folders[0], f"index-{run_}", [Measure("q", value, "ms")])
        keep(folders[1], "index", [Measure("q", 1.7, "ms")])
        assert self.compared(folders)[0] == 0  # 1.55 times as long, and 1.6 was there before
        keep(folders[1], "index", [Measure("q", 1.8, "ms")])
        assert self.compared(folders)[0] == 1
        for run_, value in enumerate((1.0, 1.01, 1.02)):
            keep(folders[0], f"index-{run_}", [Measure("q", value, "ms")])
        keep(folders[1], "index", [Measure("q", 1.05, "ms")])
        assert self.compared(folders)[0] == 1

    def test_a_check_that_fails_now_is_worse(self, folders: tuple[Path, Path]) -> None:
        keep(folders[0], "index", [], [("one", True), ("two", False), ("old", True)])
        keep(folders[1], "index", [], [("one", False), ("two", True), ("new", True)])
        code, lines = self.compared(folders)
        assert code == 1
        assert "WORSE  index (index.json): check one: passed → failed" in lines
        assert "BETTER index (index.json): check two: failed → passed" in lines
        assert "only before: index (index.json): check old" in lines
        assert "only now: index (index.json): check new" in lines

    def test_what_only_one_has_is_listed(self, folders: tuple[Path, Path]) -> None:
        keep(folders[0], "index", [Measure("q", 1, "ms"), Measure("old", 1, "ms")])
        keep(folders[1], "index", [Measure("q", 1, "ms")])
        keep(folders[1], "large", [Measure("q", 1, "ms")], options={"faces": 6})
        code, lines = self.compared(folders)
        assert code == 0
        assert "only before: index (index.json): old (ms)" in lines
        assert "only now: index with these options: large.json" in lines

    def test_another_machine_is_said_loudly_and_its_times_are_not_held_against_it(
        self, folders: tuple[Path, Path]
    ) -> None:
        some = [Measure("t", 1, "ms"), Measure("m", 1, "bytes"), Measure("r", 1, "ms", "b", 2)]
        more = [Measure("t", 9, "ms"), Measure("m", 1, "bytes"), Measure("r", 9, "ms", "b", 18)]
        keep(folders[0], "index", some, cpu="old")
        keep(folders[1], "index", more, cpu="new")
        code, lines = self.compared(folders)
        assert code == 0
        assert lines[0].startswith("!! DIFFERENT MACHINES, index (index.json): old, ")
        assert "OTHER  index (index.json): t: 1 ms → 9 ms; different machines" in lines
        assert "0 worse, 0 better, 2 same, 1 other" in lines

    def test_nothing_to_compare_is_no_success(self, folders: tuple[Path, Path]) -> None:
        keep(folders[0], "index", [Measure("q", 1, "ms")])
        keep(folders[1], "index", [Measure("q", 1, "ms")], options={"faces": 6})
        code, lines = self.compared(folders)
        assert code == 1
        assert any("NOTHING TO COMPARE" in line for line in lines)


def test_the_results_that_are_kept_make_a_page_without_a_complaint(tmp_path: Path) -> None:
    kept = Path(__file__).parents[2] / "benchmarks" / "results"
    result = run("--results", kept, "--out", tmp_path / "page.html", "--against", kept)
    assert result.exit_code == 0
    assert "0 worse, 0 better" in result.output
    Reader((tmp_path / "page.html").read_text())
