"""`facematch keys`: makes a key that works, shows all without a secret, ends them."""

import json
import time

import pytest
from click.testing import CliRunner, Result
from servers import RedisServer

from facematch.cli import main
from facematch.keys import EVERY, ApiKey, Scope, parsed
from facematch.redis_connection import connect
from facematch.redis_keys import RedisKeys


@pytest.fixture(autouse=True)
def redis(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> RedisServer:
    monkeypatch.setenv("FACEMATCH_REDIS_URL", redis_server.url)
    return redis_server


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["keys", *arguments])


def kept(redis: RedisServer) -> list[ApiKey]:
    with connect(redis.url) as client:
        return RedisKeys(client).keys()


def test_the_key_alone_is_printed_and_it_is_the_one_that_is_kept(redis: RedisServer) -> None:
    done = run("create", "anna")
    assert done.exit_code == 0
    [text] = done.stdout.splitlines()
    found = parsed(text)
    assert found is not None
    [key] = kept(redis)
    assert key.id == found[0]
    assert key.is_of(found[1])
    assert not key.is_of(found[1][:-1])
    assert (key.name, key.collections) == ("anna", {"default"})
    assert key.scopes == {Scope.SUBMIT, Scope.READ, Scope.SEARCH}
    assert (key.expires, key.rate, key.quota, key.used) == (None, None, None, None)
    assert "read search submit of default" in done.stderr
    assert text not in done.stderr


def test_all_that_a_key_may_be_can_be_said(redis: RedisServer) -> None:
    words = ["--scope", "erase", "--scope", "read", "--collection", "a", "--collection", "*"]
    limits = ["--days", "2", "--rate", "5/second,100/hour", "--quota", "none"]
    done = run("create", "x y", *words, *limits, "--json")
    told = json.loads(done.stdout)
    [key] = kept(redis)
    assert key.scopes == {Scope.ERASE, Scope.READ}
    assert key.collections == {"a", EVERY}
    assert key.expires == pytest.approx(time.time() + 2 * 86_400, abs=60)
    assert (key.rate, key.quota) == ("5/second,100/hour", "")
    assert told["key"].startswith(f"fm_{key.id}_")
    assert told["scopes"] == ["erase", "read"]
    assert told["works"] is True
    [line] = run("list").stdout.splitlines()
    assert "erase read of * a, 5/second,100/hour requests, any submissions, until 20" in line


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("--scope", "fly"), ("--collection", "A B"), ("--collection", ""), ("--days", "0")),
        *(("--rate", "0/second"), ("--rate", "5"), ("--quota", "5/week"), ("--quota", "")),
    ],
)
def test_what_is_none_is_refused(redis: RedisServer, option: str, value: str) -> None:
    assert run("create", "anna", option, value).exit_code == 2
    assert kept(redis) == []


def test_where_there_is_none_that_is_said() -> None:
    done = run("list")
    assert (done.exit_code, done.stdout) == (0, "no keys: nobody is asked for one\n")


def test_keys_are_ended_by_their_ids(redis: RedisServer) -> None:
    run("create", "anna")
    run("create", "bob")
    anna, bob = kept(redis)
    done = run("revoke", anna.id, "0" * 12)
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        f"{anna.id}  anna: revoked",
        f"{'0' * 12}: there is no such key",
    ]
    first, second = run("list").stdout.splitlines()
    assert "revoked 20" in first
    assert "never used" in second
    told = json.loads(run("revoke", bob.id, "--json").stdout)
    assert [key["works"] for key in told["revoked"]] == [False]
    assert all(key.revoked for key in kept(redis))


def test_a_name_that_is_no_text_does_no_harm_to_the_terminal() -> None:
    run("create", "a\x1b[2Jb")
    assert "\x1b" not in run("list").stdout
