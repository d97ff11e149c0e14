"""Scripts as functions, for who may send Redis none: on Redis, and on Valkey."""

import json
from collections.abc import Iterator
from importlib.resources import files

import pytest
import redis
from click.testing import CliRunner
from servers import RedisServer
from submitting import MODEL, commit, submit, upload
from unprivileged import PASSWORD, rules, url_of

from facematch import redis_limits
from facematch.cli import main
from facematch.commands.functions import sources
from facematch.errors import Unavailable
from facematch.faces import image_hash
from facematch.redis_connection import Redis, connect, info_of
from facematch.redis_durability import check_durable
from facematch.redis_functions import Source, load, missing, prune, refuses_scripts
from facematch.redis_rewriting import RedisRewriting
from facematch.redis_store import RedisStore
from facematch.store import State


@pytest.fixture
def plain(server: RedisServer) -> Iterator[Redis]:
    """Who may everything; there are no functions."""
    with connect(server.url) as client:
        client.execute_command("FUNCTION", "FLUSH")
        yield client


@pytest.fixture
def client(plain: Redis, server: RedisServer) -> Iterator[Redis]:
    """Who may send no script, where the functions are."""
    with connect(url_of(server.port, "facematch")) as client:
        yield client


def test_who_may_send_no_script_calls_functions(plain: Redis, client: Redis) -> None:
    plain.config_resetstat()
    store = RedisStore(client)
    store.create(MODEL, 0.6)
    assert submit(store, b"a").state is State.INDEXED
    assert not refuses_scripts(plain)
    told = plain.info("commandstats")
    assert told["cmdstat_fcall"]["calls"] >= 3
    assert told["cmdstat_evalsha"]["rejected_calls"] == 1  # the question whether it may
    assert "cmdstat_script|load" not in told


def test_they_may_neither_send_a_script_nor_change_a_function(client: Redis) -> None:
    for command in (
        ["EVAL", "return 1", "0"],
        ["EVAL_RO", "return 1", "0"],
        ["EVALSHA", "0" * 40, "0"],
        ["SCRIPT", "LOAD", "return 1"],
        ["FUNCTION", "LOAD", "REPLACE", sources()[0].library()],
        ["FUNCTION", "DELETE", sources()[0].function],
        ["FUNCTION", "FLUSH"],
        ["CONFIG", "SET", "appendonly", "no"],
        ["FLUSHALL"],
        ["KEYS", "*"],
        ["GET", "other"],
        ["ACL", "LIST"],
    ):
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command(*command)


def test_who_puts_functions_there_may_do_nothing_else(plain: Redis, server: RedisServer) -> None:
    with client_of_functions(server, plain) as client:
        for command in (
            ["CLIENT", "LIST"],
            ["CLIENT", "KILL", "TYPE", "normal"],
            ["CLIENT", "PAUSE", "1"],
            ["FUNCTION", "FLUSH"],
            ["GET", "fm:{default}:meta"],
            ["FCALL", sources()[0].function, "0"],
        ):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*command)


def test_what_is_no_script_is_allowed_to_who_needs_it(client: Redis) -> None:
    RedisRewriting(client).rewrite()
    check_durable(client, allow_volatile=True)
    assert client.client_list()
    assert info_of(client)


def test_an_index_reads_and_may_write_nothing(server: RedisServer, client: Redis) -> None:
    store = RedisStore(client)
    store.create(MODEL, 0.6)
    submit(store, b"a")
    with connect(url_of(server.port, "index")) as other:
        seen = RedisStore(other)
        assert [entry.op for entry in seen.log(0, 10).entries] == ["add"]
        assert [list(portion) for portion in seen.live()] == [[1]]
        with pytest.raises(Unavailable):
            seen.erase(image_hash(b"a"))
        with pytest.raises(redis.exceptions.NoPermissionError):
            other.set("fm:{default}:meta", "x")
    assert store.image(image_hash(b"a")).state is State.INDEXED


def test_without_functions_it_is_said_what_puts_them_there(
    plain: Redis, server: RedisServer
) -> None:
    url = url_of(server.port, "facematch")
    plain.execute_command("FUNCTION", "FLUSH")
    with connect(url) as client:
        store = RedisStore(client)
        with pytest.raises(Unavailable, match="facematch functions load") as raised:
            store.create(MODEL, 0.6)
        assert raised.value.code == "store_unavailable"
        assert len(missing(client_of_functions(server, plain), sources())) == len(sources())
        assert load(client_of_functions(server, plain), sources()) == len(sources())
        assert load(plain, sources()) == 0
        store.create(MODEL, 0.6)


def client_of_functions(server: RedisServer, plain: Redis) -> Redis:
    """Who may do nothing but put functions there."""
    plain.execute_command(
        "ACL", "SETUSER", "functions", "reset", "on", f">{PASSWORD}", *rules()["functions"]
    )
    return connect(f"redis://functions:{PASSWORD}@127.0.0.1:{server.port}/0")


def test_functions_survive_a_kill(server: RedisServer, client: Redis) -> None:
    server.kill()
    server.start()
    with connect(server.url) as plain:
        assert missing(plain, sources()) == []


def test_rules_that_change_are_noticed(plain: Redis, server: RedisServer) -> None:
    url = url_of(server.port, "facematch")
    plain.execute_command("ACL", "SETUSER", "facematch", "+@scripting")
    with connect(url) as client:
        store = RedisStore(client)
        store.create(MODEL, 0.6)
        for changed in (["-@scripting", "+fcall"], ["-fcall", "+@scripting", "-fcall"]):
            plain.execute_command("ACL", "SETUSER", "facematch", *changed)
            with pytest.raises(Unavailable):
                store.collection()
            assert store.collection().model == MODEL


def test_a_full_server_is_read_from_and_erased_from(plain: Redis, client: Redis) -> None:
    store = RedisStore(client)
    store.create(MODEL, 0.6)
    submit(store, b"a")
    submit(store, b"b")
    waiting = upload(store, b"c")
    plain.config_set("maxmemory", "1mb")
    try:
        assert store.image(image_hash(b"a")).state is State.INDEXED
        assert store.job(waiting).state is State.ACCEPTED
        assert store.matches(image_hash(b"a"), 10).matches == ()
        for call in (lambda: upload(store, b"d"), lambda: commit(store, waiting, b"c")):
            with pytest.raises(Unavailable) as raised:
                call()
            assert raised.value.code == "store_unavailable"
        store.erase(image_hash(b"a"))
        assert store.image(image_hash(b"a")).state is State.ERASED
    finally:
        plain.config_set("maxmemory", "0")


def test_two_versions_are_there_side_by_side_until_one_is_not_wanted(plain: Redis) -> None:
    before = [Source(one.name, f"{one.text}\n-- before") for one in sources()[:3]]
    foreign = Source("other", "return 1").library_text("somebodys")
    plain.function_load(foreign)
    assert load(plain, before) == 3
    assert load(plain, sources()) == len(sources())
    assert prune(plain, sources()) == 3
    assert missing(plain, sources()) == []
    assert plain.fcall("somebodys", 0) == 1


def test_the_command_loads_them_and_says_so(
    plain: Redis, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEMATCH_REDIS_URL", server.url)
    for loaded in (len(sources()), 0):
        done = CliRunner().invoke(main, ["functions", "load", "--only", "--json"])
        assert done.exit_code == 0, done.output
        told = json.loads(done.stdout)
        assert told == {"functions": len(sources()), "loaded": loaded, "deleted": 0}
    assert missing(plain, sources()) == []


@pytest.mark.parametrize("one", [redis_limits.LOOK, redis_limits.TAKE], ids=lambda one: one.name)
def test_the_scripts_of_limits_are_those_of_the_version_that_is_installed(one: Source) -> None:
    theirs = files("limits") / "resources" / "redis" / "lua_scripts" / f"{one.name}.lua"
    assert one.text.partition("\n")[2] == theirs.read_text()
