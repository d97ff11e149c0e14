"""What other people's programs say of the manifests: schemas, and checkov. They have environments
of their own, which `make k8s-check` makes; without one a check is left out, and says so."""

import json
import subprocess
import tempfile
from pathlib import Path

from k8s.checks.accepted import ACCEPTED
from k8s.checks.rendering import ROOT, Document, ToolMissingError

SCHEMAS = ROOT / ".venv" / "k8s-schemas"
CHECKOV = ROOT / ".venv" / "k8s-checkov"
OLDEST = "1.29"
#: API groups whose schema nobody publishes as a package: the operator's of RabbitMQ.
UNCHECKED = ["rabbitmq.com"]


def schema_findings(documents: dict[str, list[Document]]) -> tuple[list[str], str]:
    """What is wrong with the documents of each overlay, and against which versions.

    Raises ToolMissingError, RuntimeError.
    """
    python = SCHEMAS / "bin" / "python"
    if not (SCHEMAS / "installed").exists():
        raise ToolMissingError("kubernetes-validate")
    said = subprocess.run(
        [python, Path(__file__).with_name("in_tools.py")],
        input=json.dumps({"oldest": OLDEST, "unchecked": UNCHECKED, "documents": documents}),
        capture_output=True,
        text=True,
        check=False,
    )
    if said.returncode:
        raise RuntimeError(said.stderr)
    return said.stdout.splitlines(), said.stderr.strip()


def checkov_findings(rendered: dict[str, str]) -> list[str]:
    """What checkov finds in the YAML of each overlay and nobody has explained, and what was
    explained and is not there. Raises ToolMissingError, RuntimeError."""
    if not (CHECKOV / "installed").exists():
        raise ToolMissingError("checkov")
    with tempfile.TemporaryDirectory() as folder:
        for overlay, text in rendered.items():
            (Path(folder) / f"{overlay}.yaml").write_text(text)
        options = ("--framework", "kubernetes", "--skip-download", "--compact", "--quiet")
        program = CHECKOV / "bin" / "checkov"
        said = subprocess.run(
            [CHECKOV / "bin" / "python", program, *options, "--output", "json", "-d", folder],
            capture_output=True,
            text=True,
            check=False,
        )
    try:
        results = json.loads(said.stdout)["results"]
    except (ValueError, KeyError, TypeError):
        raise RuntimeError(said.stderr or said.stdout) from None
    seen, found = set(), []
    for one in results["failed_checks"]:
        kind, _, name = one["resource"].split(".")[0:3]
        seen.add((one["check_id"], f"{kind} {name}"))
        if f"{kind} {name}" not in ACCEPTED.get(one["check_id"], ((), ""))[0]:
            overlay = Path(one["file_path"]).stem
            found.append(f"{overlay}: {kind} {name}: {one['check_id']}, {one['check_name']}")
    for check, (names, _) in ACCEPTED.items():
        found += [
            f"{check} is accepted for {name}, and not found there"
            for name in names
            if (check, name) not in seen
        ]
    return found
