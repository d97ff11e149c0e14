"""docs/reliability.md names a test for each failure, and all that it names are there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "reliability.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))
FAILURES = 40
DOCUMENTS = sorted(f"docs/{one.name}" for one in (ROOT / "docs").glob("*.md"))


def test_every_failure_has_a_test() -> None:
    rows = re.findall(r"^\| (\d+) \| .* \| ([^|]*) \|$", TEXT, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, FAILURES + 1))
    assert [number for number, tests in rows if "::test_" not in tests] == []


@pytest.mark.parametrize("file", ["README.md", "benchmarks/README.md", *DOCUMENTS])
def test_every_table_has_its_head(file: str) -> None:
    """An empty line ends a table: what comes after it is shown as text."""
    blocks = re.findall(r"(?:^\|.*\n)+", (ROOT / file).read_text(), re.MULTILINE)
    assert [block for block in blocks if not re.match(r".*\n\|[-:| ]+\|\n", block)] == []


@pytest.mark.parametrize("file", sorted({file for file, _ in NAMED}))
def test_every_test_that_is_named_is_there(file: str) -> None:
    tree = ast.parse((ROOT / file).read_text())
    there = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert {test for its, test in NAMED if its == file} <= there
