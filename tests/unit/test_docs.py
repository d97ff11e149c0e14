"""The documents say what the code does: settings, codes, routes, commands, targets, modules."""

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from api.problems import STATUS
from facematch.cli import main
from facematch.errors import CODES, MAY_PASS
from facematch.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
OPERATING = (ROOT / "docs" / "operating.md").read_text()
GUIDES = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()


def rows(header: str) -> list[list[str]]:
    """The rows of the README table that begins with this header."""
    lines = README[README.index(header) :].splitlines()[2:]
    table = [line for line in lines[: lines.index("")] if line.startswith("|")]
    return [
        [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in table
    ]


def shown(default: object) -> str:
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    if isinstance(default, bool):
        default = str(default).lower()
    return f"`{default}`" if default != "" else ""


def test_every_setting_is_in_the_table_with_its_default_and_meaning() -> None:
    documented = rows("| setting | default | meaning |")
    assert documented == [
        [f"`{PREFIX}{name.upper()}`", shown(field.default), field.description]
        for name, field in Settings.model_fields.items()
    ]


def test_every_error_code_is_in_the_table() -> None:
    assert rows("| code | meaning |") == [[f"`{code}`", text] for code, text in CODES.items()]
    assert list(CODES) == sorted(CODES)
    assert STATUS.keys() == CODES.keys()


def test_the_codes_of_jobs_that_are_all_tried_again_are_named() -> None:
    about = OPERATING.split("`--all` takes those that may end otherwise:")[1].split(". Others")[0]
    assert set(re.findall(r"`(\w+)`", about)) == MAY_PASS
    assert set(CODES) >= MAY_PASS


def test_every_command_is_in_the_table() -> None:
    documented = {row[0].split()[1].rstrip("`") for row in rows("| command | does |")}
    assert documented == set(main.commands)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: str(guide.relative_to(ROOT)))
def test_every_link_leads_somewhere(guide: Path) -> None:
    for link in re.findall(r"\]\(((?!https?:)[^)\s]+)\)", guide.read_text()):
        path, _, heading = link.partition("#")
        target = (guide.parent / path).resolve() if path else guide
        assert target.exists(), link
        if heading:
            assert heading in headings(target.read_text()), link


def headings(text: str) -> set[str]:
    """Those of a document, as they are linked to."""
    found = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in found}


NAMED = {
    target
    for guide in GUIDES
    for target in re.findall(r"(?:^|`)make ([a-z][a-z0-9-]+)", guide.read_text(), re.MULTILINE)
}


@pytest.mark.parametrize("target", sorted(NAMED))
def test_every_make_target_named_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    "path",
    sorted(set(re.findall(r"`((?:api|worker|index|facematch|tests)/[\w/.]*)`", ARCHITECTURE))),
)
def test_every_file_that_the_architecture_names_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("guide", ["SECURITY.md", "docs/hardening.md"])
def test_every_test_and_module_that_is_named_as_a_proof_is_there(guide: str) -> None:
    named = re.findall(
        r"`((?:api|worker|tests|k8s|packaging)/[\w/.-]+)`", (ROOT / guide).read_text()
    )
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_path_of_one_image_takes_ten_lines() -> None:
    section = ARCHITECTURE.split("## The path of one image")[1].split("##")[0]
    assert re.findall(r"^(\d+)\. ", section, re.MULTILINE) == [str(n) for n in range(1, 11)]
