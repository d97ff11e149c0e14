"""Renders every overlay and prints what is wrong with it: exit status 1 when there is anything."""

import sys
from collections.abc import Callable, Iterable

from k8s.checks import agreement, hardening
from k8s.checks.manifests import Manifests
from k8s.checks.rendering import ROOT, ToolMissingError, documents, overlays, render
from k8s.checks.tools import checkov_findings, schema_findings


def targets() -> list[str]:
    """Those of the Dockerfile."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    return [line.split(" AS ")[1] for line in lines if line.startswith("FROM ")]


def own_findings(manifests: Manifests) -> list[str]:
    """What does not agree with the code, or gives more than is needed."""
    return [*agreement.findings(manifests, targets()), *hardening.findings(manifests)]


def main() -> int:
    """Say it."""
    try:
        rendered = {overlay: render(overlay) for overlay in overlays()}
    except ToolMissingError as missing:
        sys.stdout.write(f"k8s-check: left out, there is no {missing}\n")
        return 0
    except RuntimeError as error:
        sys.stdout.write(f"k8s-check: {error}\n")
        return 1
    sys.stdout.write(f"k8s-check: {', '.join(rendered)} can be built\n")
    parsed = {overlay: documents(text) for overlay, text in rendered.items()}

    def own() -> list[str]:
        return [
            f"{overlay}: {wrong}"
            for overlay, found in parsed.items()
            for wrong in own_findings(Manifests(found))
        ]

    def schemas() -> list[str]:
        found, versions = schema_findings(parsed)
        sys.stdout.write(f"k8s-check: schemas of Kubernetes {versions}, and of KEDA\n")
        return found

    return max(
        [
            _said("agreement with the code", own),
            _said("schemas", schemas),
            _said("checkov", lambda: checkov_findings(rendered)),
        ]
    )


def _said(what: str, check: Callable[[], Iterable[str]]) -> int:
    try:
        found = list(check())
    except ToolMissingError as missing:
        sys.stdout.write(f"k8s-check: {what}: left out, there is no {missing}\n")
        return 0
    except RuntimeError as error:
        found = [str(error)]
    for one in found:
        sys.stdout.write(f"k8s-check: {one}\n")
    sys.stdout.write(f"k8s-check: {what}: {len(found) or 'no'} finding{'s' * (len(found) != 1)}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
