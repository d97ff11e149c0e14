"""Dashboard, alerts, runbooks and docs speak of metrics that there are, by labels they have."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from api_parts import running_api
from told_metrics import Told, all_texts, all_told, names_in

from facematch.cli import main
from facematch.errors import CODES
from facematch.reindexing import Phase
from facematch.settings import Settings
from facematch.store import State

ROOT = Path(__file__).parents[2]
METRICS = (ROOT / "docs" / "metrics.md").read_text()
ALERTS = ROOT / "alerts" / "facematch.yaml"
RUNBOOKS = {path.stem: path.read_text() for path in (ROOT / "docs" / "runbooks").glob("*.md")}
DASHBOARD = json.loads((ROOT / "dashboards" / "facematch.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
DRAWN = [(one["title"], target["expr"]) for one in PANELS for target in one["targets"]]
#: What Prometheus adds itself.
ADDED = {"job", "instance"}
#: Words of the pages that look like codes: of INFO in Redis, of fsck and of an answer.
OTHER_WORDS = {
    *("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status"),
    *("left_over", "complete_through"),
}
_SUFFIXES = ("_bucket", "_sum", "_count")


def alerts() -> dict[str, dict[str, str]]:
    """Of each its text after `expr`, `for`, `summary`, `runbook` and so on."""
    found = {}
    for part in re.split(r"^ +- alert: ", ALERTS.read_text(), flags=re.MULTILINE)[1:]:
        name, _, rest = part.partition("\n")
        rest = re.sub(r"^ *#.*$", "", rest, flags=re.MULTILINE)
        fields = re.findall(r"^ +(\w+):(.*(?:\n {10,}(?!\w+: ).*)*)", rest, re.MULTILINE)
        found[name] = {key: value.lstrip(" |").strip() for key, value in fields}
    return found


RULES = alerts()
ASKED = [*DRAWN, *((name, fields["expr"]) for name, fields in RULES.items())]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    return dict(all_told(tmp_path_factory.mktemp("api")))


@pytest.fixture(scope="module")
def names(told: dict[str, Told]) -> dict[str, frozenset[str]]:
    return {name: labels for one in told.values() for name, labels in one.names.items()}


def test_every_metric_is_in_the_table_and_the_other_way_round(told: dict[str, Told]) -> None:
    families = {name for one in told.values() for name in one.families}
    documented = {
        name for line in METRICS.splitlines() if line[:1] == "|" for name in names_in(line)
    }
    assert documented == families


@pytest.mark.parametrize("part", ["api", "worker", "index"])
def test_each_process_says_what_it_is_and_how_it_is(told: dict[str, Told], part: str) -> None:
    own = told[part]
    assert {"facematch_build_info", "process_resident_memory_bytes"} <= own.names.keys()
    others = [one.families for name, one in told.items() if name != part]
    assert own.families & frozenset.union(*others) == {"facematch_build_info"}


@pytest.mark.parametrize(("where", "expr"), ASKED)
def test_what_is_asked_for_is_told_with_these_labels(
    where: str, expr: str, names: dict[str, frozenset[str]]
) -> None:
    asked = set(re.findall(r"\b(?:facematch|process)_[a-z0-9_]+", expr))
    assert asked <= names.keys(), where
    assert asked or re.search(r"\bup\b", expr), where
    known = ADDED.union(*(names[name] for name in asked))
    grouped = re.findall(r"\b(?:by|on|group_left|ignoring|without)\s*\(([^)]*)\)", expr)
    used = {label for group in grouped for label in re.findall(r"\w+", group)}
    used |= set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", expr))
    assert used <= known, where


@pytest.mark.parametrize(("where", "expr"), ASKED)
def test_what_is_asked_for_may_be_the_value_of_that_label(
    where: str, expr: str, tmp_path: Path
) -> None:
    # Status 500 stands for all: which there are, nobody has a list of.
    values = {
        "state": set(State),
        "phase": set(Phase),
        "code": set(CODES) | {""},
        "stage": {"finish"},
        "status": {"500"},
        "job": {"facematch-api", "facematch-worker", "facematch-index"},
    }
    for label, sign, value in re.findall(r"(\w+)\s*(=~|=|!=)\s*\"([^\"]*)\"", expr):
        if label == "route":
            with running_api(tmp_path) as api:
                assert value in {rule.rule for rule in api.app.url_map.iter_rules()}, where
            continue
        for one in re.sub(r"\((.*)\)", r"\1", value).split("|") if sign == "=~" else [value]:
            pattern = re.compile(one if sign == "=~" else re.escape(one))
            if label == "job" and sign == "=~" and one in ("api", "worker", "index"):
                continue
            assert any(map(pattern.match, values[label])), (where, label, one)


@pytest.mark.parametrize("name", sorted(RULES))
def test_an_alert_has_a_page_of_what_to_do(name: str) -> None:
    rule = RULES[name]
    assert rule["runbook"] == f"docs/runbooks/{name}.md"
    assert rule["summary"]
    assert re.fullmatch(r"\{severity: (page|ticket)\}", rule["labels"])
    lines = RUNBOOKS[name].splitlines()
    assert lines[0] == f"# {name}"
    heads = [line for line in lines if line.startswith("## ")]
    assert heads == ["## What it means", "## What to look at", "## What to do"]


def test_there_is_no_page_without_an_alert() -> None:
    assert RUNBOOKS.keys() == RULES.keys()


@pytest.mark.parametrize("name", sorted(RUNBOOKS))
def test_what_a_page_names_is_there(name: str, names: dict[str, frozenset[str]]) -> None:
    page = RUNBOOKS[name]
    named = names_in(page)
    assert {one for one in named if not any(one + s in names for s in ("", *_SUFFIXES))} == set()
    for linked in re.findall(r"\]\((\w+)\.md\)", page):
        assert linked in RUNBOOKS
    for command in re.findall(r"`facematch (\w+)", page):
        assert command in main.commands
    for setting in re.findall(r"\bFACEMATCH_(\w+)", page):
        assert setting.lower() in Settings.model_fields
    codes = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", page)) - names.keys()
    assert codes <= CODES.keys() | OTHER_WORDS, name


def test_the_dashboard_has_each_place_once() -> None:
    places = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(places) == len(set(places))
    assert max(x for x, _ in places) < 24
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(numbers) == len(set(numbers))
    assert all(panel["title"] and panel["description"] for panel in PANELS)
    assert {panel["datasource"]["uid"] for panel in PANELS} == {"${datasource}"}


def promtool(*arguments: str, told: str = "") -> None:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("needs promtool (apt-get install prometheus)")
    command = [found, *arguments]
    done = subprocess.run(command, input=told, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_finds_nothing_in_the_names_and_units(tmp_path: Path) -> None:
    for _, text in all_texts(tmp_path):
        promtool("check", "metrics", told=text)


def test_promtool_takes_the_alerts() -> None:
    promtool("check", "rules", str(ALERTS))


def test_each_alert_goes_off_when_it_should_and_not_otherwise() -> None:
    test = ALERTS.with_name("facematch_test.yaml")
    assert {f'alertname="{name}"' for name in RULES} <= set(
        re.findall(r'alertname="\w+"', test.read_text())
    )
    promtool("test", "rules", str(test))


def test_promtool_takes_what_the_dashboard_asks(tmp_path: Path) -> None:
    rules = [
        {"record": f"drawn:{number}", "expr": expr.replace("$__rate_interval", "1m")}
        for number, (_, expr) in enumerate(DRAWN)
    ]
    file = tmp_path / "drawn.yaml"
    file.write_text(json.dumps({"groups": [{"name": "drawn", "rules": rules}]}))
    promtool("check", "rules", str(file))
