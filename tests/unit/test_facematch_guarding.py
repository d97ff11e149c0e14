"""Nobody serves a network without a key by oversight: the rule, the api, and `facematch serve`."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import SecretStr
from servers import RedisServer

from api import wsgi
from facematch.cli import main
from facematch.embedded import serve
from facematch.errors import Misconfigured
from facematch.guarding import check_guarded, only_this_machine
from facematch.keys import Scope, new_key
from facematch.memory_keys import MemoryKeys
from facematch.redis_connection import connect
from facematch.redis_keys import RedisKeys
from facematch.settings import Settings

LOCAL = ["127.0.0.1", "127.9.9.9", "::1", "localhost"]
REACHED = [
    "0.0.0.0",
    "::",
    "",
    "10.0.0.1",
    "192.0.2.7",
    "fe80::1",
    "::ffff:10.0.0.1",
    "no.such.host.invalid",
]


@pytest.mark.parametrize("host", LOCAL)
def test_on_this_machine_alone_nobody_needs_a_key(host: str) -> None:
    assert only_this_machine(host)
    check_guarded(host, MemoryKeys(), Settings(), "make one")


@pytest.mark.parametrize("host", REACHED)
def test_elsewhere_there_has_to_be_one_or_somebody_else_who_asks(host: str) -> None:
    keys = MemoryKeys()
    with pytest.raises(Misconfigured, match=r"make one.*FACEMATCH_GUARDED_ELSEWHERE"):
        check_guarded(host, keys, Settings(), "make one")
    check_guarded(host, keys, Settings(guarded_elsewhere=True), "make one")
    key, _ = new_key("k", [Scope.READ], ["default"], 1.0)
    keys.add(key)
    check_guarded(host, keys, Settings(), "make one")
    # Callers are asked for one all the same.
    keys.revoke(key.id, 2.0)
    check_guarded(host, keys, Settings(), "make one")


def test_the_api_refuses_to_start_until_there_is_a_key(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    url = SecretStr(redis_server.url)
    settings = Settings(
        host="0.0.0.0", redis_url=url, broker_url=url, allow_volatile=True, ledger=str(tmp_path)
    )
    with pytest.raises(Misconfigured, match="facematch keys create"):
        wsgi.check(settings)
    wsgi.check(settings.model_copy(update={"host": "127.0.0.1"}))
    wsgi.check(settings.model_copy(update={"guarded_elsewhere": True}))
    with connect(redis_server.url) as client:
        RedisKeys(client).add(new_key("k", [Scope.READ], ["default"], 1.0)[0])
    wsgi.check(settings)


def test_the_embedded_service_does_too_and_says_how_to_make_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facematch.tree._PATIENCE_SECONDS", 60.0)
    data = tmp_path / "the data"
    assert serve("0.0.0.0", 0, data, 1) == 1
    said = capsys.readouterr()
    assert said.out == ""
    [line] = said.err.splitlines()
    assert f"facematch keys create NAME --data '{data}'" in line
    assert [log.name for log in (data / "logs").iterdir()] == ["valkey.log"], "nothing was open"


def test_a_key_can_be_made_before_the_first_start(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    made = CliRunner().invoke(main, ["keys", "create", "anna", "--data", data])
    assert made.exit_code == 0
    assert made.stdout.startswith("fm_")
    [listed] = CliRunner().invoke(main, ["keys", "list", "--data", data]).stdout.splitlines()
    assert "anna: read search submit of default; made" in listed
