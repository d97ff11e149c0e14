"""Passwords that everybody knows, and files of TLS: what is refused, and in which words."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from certificates import Authority

from facematch import tls
from facematch.commands import checks_of_machine
from facematch.credentials import check_credentials, weakness
from facematch.errors import Misconfigured
from facematch.rabbitmq import parameters
from facematch.redis_connection import connect
from facematch.settings import Settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    authority = Authority.make(tmp_path_factory.mktemp("tls") / "authority")
    authority.sign("client")
    return authority


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:6379/0",
        "redis://localhost",
        "redis:///0",
        "redis://[::1]:6379",
        "unix:///run/redis.sock",
        "amqp://guest:guest@127.0.0.1:5672/%2F",
        "amqp://localhost",
        "redis://:s3cret@redis:6379/0",
        "redis://redis/0?password=s3cret",
        "amqps://facematch:s3cret@rabbitmq/",
        "rediss://redis:6379?cert=/c.crt&key=/c.key",
        "redis://[not-an-address",
        "unix:/run/facematch/index.sock",
        "milvus+http://root:Milvus@127.0.0.1:19530",
        "milvus+http://milvus:19530",
        "milvus+https://facematch:s3cret@milvus/faces",
    ],
)
def test_a_password_of_its_own_or_this_machine_alone_is_enough(url: str) -> None:
    assert weakness(url) == ""


@pytest.mark.parametrize(
    "url",
    [
        "redis://redis:6379/0",
        "redis://default@redis:6379/0",
        "redis://:@redis",
        "redis://:foobared@redis",
        "redis://redis?password=foobared",
        "rediss://redis:6379",
        "rediss://redis:6379?ca=/ca.crt",
        "redis://0.0.0.0",
        "redis://127.0.0.1.example.com",
        "redis://10.0.0.1:6379",
        "redis:///0?host=redis",
        "redis://r%65dis/0",
        "amqp://rabbitmq",
        "amqp://guest:guest@rabbitmq:5672/%2F",
        "amqp://guest:gu%65st@rabbitmq",
        "amqp://facematch:guest@rabbitmq",
        "amqps://rabbitmq?cert=/c.crt&key=/c.key",
        "milvus+http://root:Milvus@milvus:19530",
    ],
)
def test_no_password_or_one_that_everybody_knows_is_refused_elsewhere(url: str) -> None:
    assert "not on this machine" in weakness(url)


def test_each_setting_is_named_and_no_password_told() -> None:
    with pytest.raises(Misconfigured) as raised:
        check_credentials(Settings(redis_url="redis://:foobared@r", broker_url="amqp://rabbitmq"))
    assert "FACEMATCH_REDIS_URL: " in str(raised.value)
    assert "FACEMATCH_BROKER_URL: " in str(raised.value)
    assert "foobared" not in str(raised.value)
    check_credentials(Settings())


def test_the_doctor_finds_it() -> None:
    found = list(checks_of_machine.settings(Settings(redis_url="redis://redis:6379/0"), {}))
    assert [check.level for check in found] == ["wrong", "ok"]
    assert "FACEMATCH_REDIS_URL: there is no password" in found[0].said


@pytest.mark.parametrize("part", ["api", "worker"])
def test_no_process_starts_so(part: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", part],
        cwd=ROOT,
        env=os.environ | {"FACEMATCH_REDIS_URL": "redis://redis.invalid:6379/0"},
        capture_output=True,
        timeout=60,
    )
    assert ended.returncode == 1
    assert b"FACEMATCH_REDIS_URL: there is no password" in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("ca=/nowhere.crt", "/nowhere.crt"),
        ("ca={folder}/client.key", "client.key"),
        ("cert=/nowhere.crt&key=/nowhere.key", "/nowhere.crt"),
        ("cert={folder}/client.crt&key={folder}/ca.key", "client.crt"),
        ("cert={folder}/client.crt", "client.crt"),
        ("key={folder}/client.key", "no cert="),
        ("ssl_cert_reqs=none", "ca=, cert= and key="),
        ("ssl_check_hostname=false", "ca=, cert= and key="),
        ("ssl_options={{'verify_mode':0}}", "ca=, cert= and key="),
        ("%73sl_cert_reqs=none", "ca=, cert= and key="),
    ],
)
@pytest.mark.parametrize("scheme", ["rediss", "amqps"])
def test_files_that_are_wrong_are_named(
    authority: Authority, scheme: str, query: str, said: str
) -> None:
    url = f"{scheme}://user:s3cret@host/0?{query.format(folder=authority.folder)}"
    with pytest.raises(Misconfigured) as raised:
        connect(url) if scheme == "rediss" else parameters(url, 10)
    assert said in str(raised.value)
    assert "s3cret" not in str(raised.value)


def test_what_is_said_of_tls_is_taken_out_of_the_url_and_the_rest_left(
    authority: Authority,
) -> None:
    files = {"ca": "ca.crt", "cert": "client.crt", "key": "client.key"}
    query = "&".join(f"{name}={authority.folder / file}" for name, file in files.items())
    url, taken = tls.split(f"rediss://u:p%2F@h:1/0?protocol=3&{query}")
    assert url == "rediss://u:p%2F@h:1/0?protocol=3"
    assert taken is not None
    assert taken.ca == str(authority.certificate)
    assert tls.split("redis://h?protocol=3") == ("redis://h?protocol=3", None)
    assert parameters(f"amqps://h/%2F?{query}", 10).ssl_options is not None
    with connect(f"rediss://h?{query}") as client:
        assert client.connection_pool.connection_kwargs["ssl_ca_certs"] == taken.ca


@pytest.mark.parametrize("url", ["redis://h?ca=/x", "amqp://h?cert=/x", "unix:///s?key=/x"])
def test_files_of_tls_in_a_url_that_is_not_of_tls_are_no_oversight(url: str) -> None:
    """Whoever names them means to be encrypted."""
    with pytest.raises(Misconfigured, match="rediss:// or amqps://"):
        connect(url) if not url.startswith("amqp") else parameters(url, 10)


@pytest.mark.parametrize("url", ["redis://h?retries=3", "rediss://h?nonsense=1"])
def test_what_the_driver_does_not_know_is_found_before_it_connects(url: str) -> None:
    with pytest.raises(Misconfigured, match="a Redis URL is"):
        connect(url)
