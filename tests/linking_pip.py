"""A pip for tests that walk the Dockerfile: it installs by linking what this environment has.

So only what a target names is there, in the version it names, and nothing is downloaded. It is as
strict as what it stands for: no hash or another version is an error.
"""

import re
import sys
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement


def requirements(file: Path) -> dict[str, str]:
    """What a file of locked requirements asks for on this Python: versions by name."""
    wanted = {}
    for block in re.split(r"\n(?=\w)", file.read_text()):
        if not re.match(r"\w", block):
            continue
        requirement = Requirement(block.split("\\")[0].split("#")[0].strip())
        assert "--hash=sha256:" in block, f"no hash for {requirement.name}"
        if requirement.marker is None or requirement.marker.evaluate():
            (pin,) = requirement.specifier
            wanted[requirement.name] = pin.version
    assert wanted, f"nothing in {file}"
    return wanted


def link(name: str, version: str, site: Path) -> None:
    """Put a distribution into these site-packages."""
    found = distribution(name)
    assert found.version == version, f"{name} is {found.version} here, not {version}"
    for file in found.files or ():
        if ".." in file.parts:  # a program
            continue
        # Whole folders, but for those that several distributions have a part in.
        parts = 1
        while parts < len(file.parts) and not _is_whole(file.locate(), len(file.parts) - parts):
            parts += 1
        place = site.joinpath(*file.parts[:parts])
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.is_symlink():
            place.symlink_to(
                Path(file.locate()).parents[len(file.parts) - parts - 1]
                if parts < len(file.parts)
                else file.locate()
            )


def _is_whole(file: Any, above: int) -> bool:
    folder = Path(file).parents[above - 1]
    return (folder / "__init__.py").exists() or folder.suffix in (".dist-info", ".libs")


def main(arguments: list[str]) -> None:
    """See `pip install` and `pip check`."""
    python = Path(arguments[arguments.index("--python") + 1])
    (site,) = (python.parents[1] / "lib").glob("python*/site-packages")
    if "check" in arguments:
        return
    assert "--no-deps" in arguments
    if "-r" in arguments:
        assert "--require-hashes" in arguments
        assert "--only-binary" in arguments
        for name, version in requirements(Path(arguments[arguments.index("-r") + 1])).items():
            link(name, version, site)
    else:
        assert arguments[-1] == "./dlib-shim"
        link("dlib", distribution("dlib").version, site)


if __name__ == "__main__":
    main(sys.argv[1:])
