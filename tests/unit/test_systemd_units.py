"""The units of docs/by-hand.md: they start what there is, with settings that there are, and give it
the time that it needs to end."""

import re
import shlex
import shutil
import subprocess
import sys
from configparser import ConfigParser
from importlib.util import find_spec
from pathlib import Path

import pytest

from api.server import _GRACE_SECONDS as API_GRACE
from facematch.cli import main
from facematch.settings import PREFIX, Settings
from worker.sandbox import _CLOCK_TIMES, _GRACE_SECONDS

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "packaging" / "systemd"
PYTHON = "/opt/facematch/.venv/bin/python"
PARTS = ("api", "index", "worker")
#: Of the commands, of what keeps compiled code, and of the C library.
OTHERS = {"FACEMATCH_URL", "XDG_CACHE_HOME", "GLIBC_TUNABLES"}


def unit(name: str) -> ConfigParser:
    read = ConfigParser(interpolation=None)
    read.optionxform = str  # type: ignore[assignment,method-assign]
    read.read_string((FOLDER / name).read_text())
    return read


def assigned(lines: list[str]) -> dict[str, str]:
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


ENVIRONMENT = assigned((FOLDER / "facematch.env").read_text().splitlines())


def settings(part: str) -> Settings:
    """As its unit sets it up: what is in the file counts more than what is in the unit."""
    own = assigned(shlex.split(unit(f"facematch-{part}.service")["Service"]["Environment"]))
    assert not own.keys() & ENVIRONMENT.keys()
    both = own | ENVIRONMENT
    named = {name for name in both if name not in OTHERS}
    assert {name.removeprefix(PREFIX).lower() for name in named} <= Settings.model_fields.keys()
    return Settings.model_validate(
        {name.removeprefix(PREFIX).lower(): both[name] for name in named}
    )


@pytest.mark.parametrize("part", PARTS)
def test_a_unit_starts_its_part_with_settings_that_there_are(part: str) -> None:
    service = unit(f"facematch-{part}.service")["Service"]
    assert service["ExecStart"] == f"{PYTHON} -m {part}"
    assert find_spec(f"{part}.__main__")
    assert service["EnvironmentFile"] == "/etc/facematch.env"
    assert settings(part).metrics_port == 9464 + ["api", "index", "worker"].index(part)


def test_a_part_may_write_where_it_does_and_nowhere_else() -> None:
    folders = {"RuntimeDirectory": "/run", "StateDirectory": "/var/lib"}
    written = {"api": settings("api").ledger, "index": settings("index").index_url}
    for part, option in (("api", "StateDirectory"), ("index", "RuntimeDirectory")):
        service = unit(f"facematch-{part}.service")["Service"]
        place = f"{folders[option]}/{service[option]}/"
        told = written[part]
        path = told if isinstance(told, str) else told.get_secret_value().removeprefix("unix:")
        assert path.startswith(place)
    for part in ("index", "worker"):
        service = unit(f"facematch-{part}.service")["Service"]
        assert f"{ENVIRONMENT['XDG_CACHE_HOME']}/{service['CacheDirectory']}" == (
            "/var/cache/facematch"
        )
        assert service["ProtectSystem"] == "strict"


def test_there_is_time_to_finish_what_is_in_hand() -> None:
    worker = settings("worker")
    needed = {
        "api": API_GRACE,
        "worker": worker.fetch_timeout + _GRACE_SECONDS + 2 * _CLOCK_TIMES * worker.picture_seconds,
    }
    for part, seconds in needed.items():
        service = unit(f"facematch-{part}.service")["Service"]
        assert int(service["TimeoutStopSec"]) >= seconds
        assert service["KillMode"] == "mixed"
    # Ended in the opposite order: the index still answers a worker that finishes.
    assert "facematch-index.service" in unit("facematch-worker.service")["Unit"]["After"].split()


def test_the_timer_runs_a_command_that_there_is() -> None:
    _, command = unit("facematch-fsck.service")["Service"]["ExecStart"].split()
    assert command in main.commands
    assert unit("facematch-fsck.timer")["Timer"]["OnCalendar"]


def test_the_page_names_every_unit_and_systemd_takes_them(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "by-hand.md").read_text()
    (enabled,) = re.findall(r"systemctl enable --now (.*)", page)
    started = {name if "." in name else f"{name}.service" for name in enabled.split()}
    there = {path.name for path in FOLDER.iterdir() if path.suffix in (".service", ".timer")}
    assert there == started | {"facematch-fsck.service"}
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("needs systemd-analyze")
    for name in there:
        text = (FOLDER / name).read_text().replace("/opt/facematch/.venv/bin/", f"{tmp_path}/")
        (tmp_path / name).write_text(text)
    for program in ("python", "facematch"):
        (tmp_path / program).symlink_to(sys.executable)
    done = subprocess.run(
        [analyze, "verify", "--man=no", *(str(tmp_path / name) for name in sorted(there))],
        capture_output=True,
        text=True,
    )
    own = [
        line for line in done.stderr.splitlines() if str(tmp_path) in line or "facematch" in line
    ]
    assert (done.returncode, own) == (0, [])
