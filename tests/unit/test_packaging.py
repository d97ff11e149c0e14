"""What is imported is declared, and what is declared is pinned."""

import ast
import re
import sys
from configparser import ConfigParser
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PACKAGES = {"facematch", "api", "worker", "index"}


def declared(section, option):
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = config[section][option].split("\n")
    return {canonicalize_name(r.name): r for r in map(Requirement, filter(None, lines))}


def pinned(file):
    lines = (ROOT / file).read_text().splitlines()
    pins = (Requirement(line.rstrip(" \\")) for line in lines if re.match(r"\w[^#]*==", line))
    return {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in pins}


def test_everything_declared_is_pinned_within_its_range():
    runtime, milvus = pinned("requirements.txt"), pinned("requirements-milvus.txt")
    otel = pinned("requirements-otel.txt")
    for pins, wanted in (
        (runtime, declared("options", "install_requires")),
        (milvus, declared("options.extras_require", "milvus")),
        (otel, declared("options.extras_require", "otel")),
        (milvus | otel | pinned("requirements-dev.txt"), declared("options.extras_require", "dev")),
    ):
        outside = {
            name: requirement
            for name, requirement in wanted.items()
            if name not in pins or pins[name] not in requirement.specifier
        }
        assert outside == {}


def test_everything_imported_is_declared():
    distributions = dict(packages_distributions())
    imported = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    imported |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    imported.add(node.module.split(".")[0])
    outside = imported - sys.stdlib_module_names - PACKAGES
    assert outside
    distributions["dlib"] = ["dlib-bin"]  # it does not say so itself
    names = {name: {canonicalize_name(d) for d in distributions[name]} for name in outside}
    known = declared("options", "install_requires").keys()
    known |= declared("options.extras_require", "milvus").keys()
    known |= declared("options.extras_require", "otel").keys()
    assert {name for name in names if not names[name] & known} == set()


def test_the_tested_set_begins_with_what_keeps_dlib_from_being_compiled():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert lines[:2] == ["./packaging/dlib-shim", "-e ."]
    assert "--only-binary :all:" in lines
    assert pinned("requirements.txt").keys().isdisjoint({"dlib", "facematch"})


@pytest.mark.parametrize(
    "file", sorted((ROOT / "packaging/images").glob("*.txt")), ids=lambda file: file.name
)
def test_an_image_installs_what_is_tested_by_hash(file: Path) -> None:
    tested = pinned("requirements.txt") | pinned("requirements-milvus.txt")
    blocks = re.split(r"\n(?=\w)", file.read_text())[1:]
    locked = pinned(file.relative_to(ROOT))
    assert len(blocks) == len(locked)
    assert locked.items() <= tested.items()
    assert all("--hash=sha256:" in block for block in blocks)
    named = file.with_suffix(".in").read_text().split("\n")
    roots = {canonicalize_name(line) for line in named if re.match(r"\w", line)}
    assert roots <= locked.keys()
