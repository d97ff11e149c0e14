"""`make audit` says clearly when nobody was asked, with programs in place of pip-audit and
cyclonedx-py that answer as these do."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: A database that is there: it knows holes of the canary, and none of anything else.
REACHED = 'case "$*" in *canary*) echo \'{"vulns": [{"id": "PYSEC-1"}]}\'; exit 1 ;; esac'
UNREACHED = 'echo "ERROR: Could not connect to the vulnerability feed" >&2; exit 1'
KNOWS_NOTHING = 'case "$*" in *canary*) echo \'{"vulns": []}\' ;; esac'
ONE_IS_KNOWN = f'{REACHED}\ncase "$*" in *worker.txt*) exit 1 ;; esac'


def audit(folder: Path, pip_audit: str, sbom: str = "") -> subprocess.CompletedProcess[str]:
    tools = folder / "audit"
    (tools / "bin").mkdir(parents=True)
    for name, body in (("pip-audit", pip_audit), ("cyclonedx-py", sbom)):
        program = tools / "bin" / name
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
    (tools / "installed").touch()
    return subprocess.run(
        [ROOT / "packaging/make-audit", folder],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("database", [UNREACHED, KNOWS_NOTHING])
def test_it_fails_where_nobody_answers_or_somebody_who_knows_nothing(
    tmp_path: Path, database: str
) -> None:
    done = audit(tmp_path, database)
    assert done.returncode == 2
    assert "FAILED, nothing was audited" in done.stderr
    assert ("Could not connect" in done.stderr) == (database == UNREACHED)
    assert "worker.txt" not in done.stdout


@pytest.mark.parametrize(("database", "status"), [(REACHED, 0), (ONE_IS_KNOWN, 1)])
def test_it_ends_with_a_line_that_says_what_it_came_to(
    tmp_path: Path, database: str, status: int
) -> None:
    done = audit(tmp_path, database)
    assert done.returncode == status, done.stderr
    assert ("nothing is known of what is installed" in done.stdout) == (status == 0)
    assert ("FAILED" in done.stderr) == (status == 1)


def test_an_sbom_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    done = audit(tmp_path, REACHED, 'echo "no such option" >&2; exit 2')
    assert done.returncode == 1
    assert "no such option" in done.stderr
    assert "there is no build/sbom-api.json" in done.stderr
