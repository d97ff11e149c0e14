"""The service on a Redis as in the manifests: with its configuration, and its users' rights."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import redis
import requests
import yaml
from cluster import Cluster
from planted import PLANTED, people, pictures_of, planted_picture
from servers import RedisServer
from waiting import eventually

from facematch.client import Client
from facematch.faces import image_hash

ROOT = Path(__file__).parents[2]


class ManifestRedis(RedisServer):
    """With redis.conf and users.acl as they are in a cluster; `probe` is what asks it there."""

    def __init__(self, binary: str, folder: Path) -> None:
        super().__init__(binary, folder)
        made = subprocess.check_output([ROOT / "k8s/make-secrets", "redis"])
        secret = yaml.safe_load(made)["stringData"]
        self.password = secret["password"]
        self.functions_password = secret["functions-password"]
        self.backup_password = secret["backup-password"]
        self.admin_password = secret["admin-password"]
        (folder / "users.acl").write_text(secret["users.acl"])
        stateful, _ = yaml.safe_load_all((ROOT / "k8s/base/redis.yaml").read_text())
        (container,) = stateful["spec"]["template"]["spec"]["containers"]
        self.probe = container["readinessProbe"]["exec"]["command"]

    def _command(self) -> Sequence[str]:
        told = (ROOT / "k8s/base/redis.conf").read_text()
        for there, here in (
            ("port 6379", f"port {self.port}"),
            ("dir /data", f"dir {self.folder}"),
            ("/etc/redis/acl/", f"{self.folder}/"),
        ):
            assert told.count(there) == 1
            told = told.replace(there, here)
        (self.folder / "redis.conf").write_text(told)
        return [self._binary, str(self.folder / "redis.conf")]

    def probed(self) -> bool:
        """Whether the readiness probe succeeds."""
        command = shlex.join(self.probe).replace("6379", str(self.port))
        return not subprocess.run(command, shell=True, capture_output=True).returncode

    def denied(self) -> list[object]:
        """What somebody was not allowed to do."""
        with redis.Redis(port=self.port, username="admin", password=self.admin_password) as client:
            told = list(client.acl_log())
        # The service asks whether it may send scripts, and then calls functions.
        return [entry for entry in told if entry["object"] != "evalsha"]


@pytest.fixture
def manifest_redis(redis_process: RedisServer, tmp_path: Path) -> Iterator[ManifestRedis]:
    server = ManifestRedis(redis_process._binary, tmp_path / "redis")
    server.start()
    yield server
    server.stop()


def test_the_service_needs_no_more_rights_than_the_secret_gives_it(
    manifest_redis: ManifestRedis, redis_url: str, tmp_path: Path
) -> None:
    assert manifest_redis.probed()
    url = f"redis://facematch:{manifest_redis.password}@127.0.0.1:{manifest_redis.port}/0"
    rng = np.random.default_rng(1)
    pictures = [
        planted_picture(encoding[None]) for encoding in pictures_of(rng, people(rng, 1)[0], 4)
    ]
    hashes = [image_hash(picture) for picture in pictures]
    cluster = Cluster(tmp_path, url, redis_url, workers=1, encoder=PLANTED)
    loader = f"redis://functions:{manifest_redis.functions_password}@{url.rpartition('@')[2]}"
    loaded = subprocess.run(
        [sys.executable, "-m", "worker", "functions", "load"],
        cwd=ROOT,
        env=cluster.environment | {"FACEMATCH_REDIS_URL": loader},
        capture_output=True,
    )
    assert loaded.returncode == 0, loaded.stdout + loaded.stderr
    with cluster:
        with Client(cluster.url) as client:
            for number, picture in enumerate(pictures):
                client.submit(picture, f"{number}.png", wait=30)
            client.delete(hashes[3])

            def all_matched() -> bool:
                found = {match.hash for match in client.all_matches(hashes[0])}
                return found == set(hashes[1:3])

            eventually(all_matched, "the pictures match", 30)
        reindexed = cluster.command("reindex", "--threshold", "0.5", "--most-change", "1")
        assert reindexed.returncode == 0, reindexed.stdout + reindexed.stderr
        cluster.fsck()
        cluster.environment["FACEMATCH_INDEX_URL"] = f"unix:{tmp_path / 'index-1.sock'}"
        for looked in (("status",), ("doctor",), ("migrate",), ("jobs", "failed")):
            said = cluster.command(*looked)
            assert said.returncode == 0, said.stdout + said.stderr
            assert "not allowed" not in said.stdout + said.stderr
        key = cluster.command("keys", "create", "anna", "--rate", "100/second").stdout.strip()
        path = f"{cluster.url}/v1/images/{hashes[0]}"
        eventually(lambda: requests.get(path, timeout=10).status_code == 401, "it asks for keys")
        with Client(cluster.url, key) as client:
            assert client.image(hashes[0]).names == ("0.png",)
    backup = tmp_path / "store.rdb"
    url = f"redis://backup:{manifest_redis.backup_password}@127.0.0.1:{manifest_redis.port}"
    subprocess.run(["redis-cli", "-u", url, "--rdb", backup], check=True, capture_output=True)
    subprocess.run(["redis-check-rdb", backup], check=True, capture_output=True)
    assert manifest_redis.denied() == []


def test_nobody_without_the_password_learns_more_than_that_it_answers(
    manifest_redis: ManifestRedis,
) -> None:
    with redis.Redis(port=manifest_redis.port) as client:
        for command in (["GET", "fm:{default}:meta"], ["CONFIG", "GET", "*"], ["FLUSHALL"]):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*command)
    with redis.Redis(
        port=manifest_redis.port, username="facematch", password=manifest_redis.password
    ) as client:
        volatile = ["CONFIG", "SET", "appendonly", "no"]
        for command in (["FLUSHALL"], volatile, ["SET", "other", "1"]):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*command)
    assert len(manifest_redis.denied()) == 6


def test_compose_sets_up_what_the_manifests_do() -> None:
    """The same settings, servers and ports; no service says what the settings do not have."""
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    services = compose["services"]
    manifest = dict(
        line.split("=", 1) for line in (ROOT / "k8s/base/settings.env").read_text().splitlines()
    )
    for name in ("api", "index", "worker"):
        settings = services[name]["environment"]
        assert services[name]["build"]["target"] == name
        assert services[name]["read_only"]
        for setting in ("INDEX_URL", "LEDGER", "PORT", "HOST"):
            assert settings[f"FACEMATCH_{setting}"] == manifest[f"FACEMATCH_{setting}"]
    assert services["api"]["ports"] == ["127.0.0.1:${PORT:-5000}:5000"]
    command = services["redis"]["command"]
    assert "requirepass" in " ".join(command)  # in the manifests there are users
    words = [word or '""' for word in command if "PASSWORD" not in word]
    told = re.findall(r"--(\S+) (?!--)(\S+)", " ".join(words))
    conf = (ROOT / "k8s/base/redis.conf").read_text()
    for option, value in told:
        assert f"\n{option} {value}\n" in conf
