"""The overlays as what would be applied: documents, by overlay."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]

ROOT = Path(__file__).parents[2]
OVERLAYS = ROOT / "k8s" / "overlays"


class ToolMissingError(Exception):
    """A program that a check needs is not there; its text says which."""


def overlays() -> list[str]:
    """Their names."""
    return sorted(path.parent.name for path in OVERLAYS.glob("*/kustomization.yaml"))


def render(overlay: str) -> str:
    """The YAML of an overlay. Raises ToolMissingError; RuntimeError when it cannot be built."""
    for command in (["kubectl", "kustomize"], ["kustomize", "build"]):
        if shutil.which(command[0]):
            said = subprocess.run(
                [*command, OVERLAYS / overlay], capture_output=True, text=True, check=False
            )
            if said.returncode or said.stderr:
                raise RuntimeError(said.stderr.strip())
            return said.stdout
    raise ToolMissingError("kubectl or kustomize")


def documents(text: str) -> list[Document]:
    """Those in a YAML text."""
    return [document for document in yaml.safe_load_all(text) if document]
