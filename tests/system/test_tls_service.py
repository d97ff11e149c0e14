"""The clustered service with TLS everywhere, and as few rights as docs/hardening.md gives it."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import redis
from certificates import Authority
from cluster import Cluster
from missing import missing
from planted import PLANTED, people, pictures_of, planted_picture
from rabbit_server import RabbitServer
from servers import RedisServer
from submitting import MODEL, submit
from unprivileged import PASSWORD, rules
from waiting import eventually

from benchmarks.servers import ServerMissingError, free_port, listens
from benchmarks.services import problem_of
from facematch.brokers import open_broker
from facematch.client import Client
from facematch.commands.functions import sources
from facematch.errors import Unavailable
from facematch.faces import image_hash
from facematch.job import Message
from facematch.redis_connection import Subscription, connect
from facematch.redis_functions import load
from facematch.redis_store import RedisStore
from facematch.store import State

ROOT = Path(__file__).parents[2]
HARDENING = (ROOT / "docs" / "hardening.md").read_text()


class TlsRedis(RedisServer):
    """That speaks nothing but TLS, and only with who has a certificate."""

    def __init__(self, binary: str, folder: Path, authority: Authority) -> None:
        certificate, key = authority.sign("redis")
        self.acl = folder / "users.acl"
        super().__init__(
            binary,
            folder,
            *("--port", "0", "--tls-auth-clients", "yes", "--aclfile", str(self.acl)),
            *("--tls-cert-file", str(certificate), "--tls-key-file", str(key)),
            *("--tls-ca-cert-file", str(authority.certificate)),
        )
        self._options += ("--tls-port", str(self.port))
        digest = hashlib.sha256(PASSWORD.encode()).hexdigest()
        users = (f"user {name} on #{digest} {' '.join(its)}" for name, its in rules().items())
        self.acl.write_text("user default off\n" + "\n".join(users) + "\n")

    def as_(self, user: str, files: str) -> str:
        """The URL for a user with these files."""
        return f"rediss://{user}:{PASSWORD}@127.0.0.1:{self.port}/0?{files}"

    def _answers(self) -> bool:
        return listens(self.port)


class TlsRabbit(RabbitServer):
    """The same of RabbitMQ."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        folder.mkdir()
        super().__init__(folder)
        certificate, key = authority.sign("rabbitmq")
        self.port = free_port()
        (folder / "rabbitmq.conf").write_text(
            f"listeners.tcp = none\nlisteners.ssl.local = 127.0.0.1:{self.port}\n"
            f"ssl_options.cacertfile = {authority.certificate}\n"
            f"ssl_options.certfile = {certificate}\nssl_options.keyfile = {key}\n"
            "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n"
            f"load_definitions = {folder / 'definitions.json'}\n"
        )
        (rights,) = re.findall(r"set_permissions facematch '(.+)' '(.+)' '(.+)'", HARDENING)
        salt = b"salt"
        hashed = salt + hashlib.sha256(salt + PASSWORD.encode()).digest()
        user = {
            "name": "facematch",
            "password_hash": base64.b64encode(hashed).decode(),
            "hashing_algorithm": "rabbit_password_hashing_sha256",
            "tags": "",
        }
        its = dict(zip(("configure", "write", "read"), rights, strict=True))
        granted = {"user": "facematch", "vhost": "/", **its}
        definitions = {"vhosts": [{"name": "/"}], "users": [user], "permissions": [granted]}
        (folder / "definitions.json").write_text(json.dumps(definitions))

    def with_files(self, files: str) -> str:
        """The URL with these files."""
        return f"amqps://facematch:{PASSWORD}@127.0.0.1:{self.port}/%2F?{files}"

    def _answers(self) -> bool:
        return listens(self.port)


class Secured:
    """Both servers, and what a client has."""

    def __init__(self, folder: Path, redis_binary: str) -> None:
        self.authority = Authority.make(folder / "authority")
        client = self.authority.sign("client")
        other = Authority.make(folder / "other")
        self.ca = f"ca={self.authority.certificate}"
        self.files = f"{self.ca}&cert={client[0]}&key={client[1]}"
        self.other_ca = self.files.replace(self.ca, f"ca={other.certificate}")
        stranger = other.sign("client")
        self.stranger = f"{self.ca}&cert={stranger[0]}&key={stranger[1]}"
        self.redis = TlsRedis(redis_binary, folder / "redis", self.authority)
        self.rabbit = TlsRabbit(folder / "rabbitmq", self.authority)

    def __enter__(self) -> "Secured":
        self.redis.start()
        self.rabbit.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.rabbit.close()
        self.redis.stop()


@pytest.fixture(scope="module")
def secured(
    redis_process: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Secured]:
    try:
        servers = Secured(tmp_path_factory.mktemp("tls"), redis_process._binary)
    except ServerMissingError as error:
        missing(str(error))
    with servers:
        yield servers


def test_who_is_not_whom_it_should_be_is_told_nothing(secured: Secured) -> None:
    plain = f"redis://facematch:{PASSWORD}@127.0.0.1:{secured.redis.port}/0"
    named = secured.redis.as_("facematch", secured.files).replace("127.0.0.1", "localhost")
    files = (secured.other_ca, secured.stranger, secured.ca)
    for url in (plain, named, *(secured.redis.as_("facematch", one) for one in files)):
        with connect(url) as client, pytest.raises(Unavailable) as raised:
            RedisStore(client).collection()
        assert raised.value.code == "store_unavailable"
        assert PASSWORD not in str(raised.value)
    encrypted = secured.rabbit.with_files(secured.files)
    plain = encrypted.replace("amqps", "amqp").partition("?")[0]
    named = encrypted.replace("127.0.0.1", "localhost")
    for url in (plain, named, *(secured.rabbit.with_files(one) for one in files)):
        with closing(open_broker(url)) as broker, pytest.raises(Unavailable) as raised:
            broker.publish(Message("job"))
        assert raised.value.code == "broker_unavailable"
        assert PASSWORD not in str(raised.value)


def test_store_and_broker_work_over_tls(secured: Secured) -> None:
    with connect(secured.redis.as_("functions", secured.files)) as client:
        load(client, sources())
    with connect(secured.redis.as_("facematch", secured.files)) as client:
        store = RedisStore(client)
        store.create(MODEL, 0.6)
        assert submit(store, b"a").state is State.INDEXED
        with closing(Subscription(client, "fm:x", 5)) as listening:
            client.publish("fm:x", "heard")
            assert listening.next(5) == b"heard"
    with closing(open_broker(secured.rabbit.with_files(secured.files))) as broker:
        eventually(lambda: not problem_of(broker.depth), "it has the queue")
        broker.publish(Message("job"))
        delivery = broker.receive(10)
        assert delivery is not None
        assert Message.decode(delivery.body) == Message("job")
        delivery.ack()
        eventually(lambda: broker.depth() == 0, "it is gone")
    with connect(secured.redis.as_("operator", secured.files)) as client:
        client.flushall()
        client.function_flush("SYNC")
        client.acl_log_reset()


@pytest.mark.long
def test_the_service_works_with_tls_and_the_rights_that_the_document_gives(
    secured: Secured, tmp_path: Path
) -> None:
    pictures = pictures_with_one_face()
    hashes = [image_hash(picture) for picture in pictures]
    url = secured.redis.as_("facematch", secured.files)
    broker = secured.rabbit.with_files(secured.files)
    cluster = Cluster(tmp_path, url, broker, workers=1, encoder=PLANTED)
    cluster.own["index-1"] = {"redis_url": secured.redis.as_("index", secured.files)}
    parts = ("api", "index-1", "worker-1")
    with closing(cluster):
        for name in parts:
            cluster.start(name)
        # Whoever comes before the functions waits for them, and says so.
        for log in (tmp_path / f"{name}.log" for name in parts):
            eventually(
                lambda log=log: b"facematch functions load" in log.read_bytes(), str(log), 60
            )
        cluster.environment["FACEMATCH_REDIS_URL"] = secured.redis.as_("functions", secured.files)
        done = cluster.command("functions", "load")
        assert done.returncode == 0, done.stdout + done.stderr
        cluster.environment["FACEMATCH_REDIS_URL"] = url
        cluster.wait_ready()
        with Client(cluster.url) as client:
            for picture in pictures:
                client.submit(picture, "p.png", wait=30)
            client.delete(hashes[3])

            def all_matched() -> bool:
                return {one.hash for one in client.all_matches(hashes[0])} == set(hashes[1:3])

            eventually(all_matched, "the pictures match", 30)
        cluster.fsck()
        cluster.environment["FACEMATCH_INDEX_URL"] = f"unix:{tmp_path / 'index-1.sock'}"
        for looked in (("status",), ("jobs", "failed")):
            said = cluster.command(*looked)
            assert said.returncode == 0, said.stdout + said.stderr
        logs = b"".join(log.read_bytes() for log in tmp_path.glob("*.log"))
        assert PASSWORD.encode() not in logs
    with connect(secured.redis.as_("operator", secured.files)) as client:
        denied = {(entry["username"], entry["object"]) for entry in client.acl_log()}
        assert denied <= {("facematch", "evalsha"), ("index", "evalsha")}, denied


def pictures_with_one_face() -> Sequence[bytes]:
    rng = np.random.default_rng(1)
    return [planted_picture(encoding[None]) for encoding in pictures_of(rng, people(rng, 1)[0], 4)]


def test_no_user_but_the_operator_may_more_than_it_needs(secured: Secured) -> None:
    for user, command in (
        ("facematch", ["EVAL", "return 1", "0"]),
        ("facematch", ["FUNCTION", "LOAD", "#!lua name=x"]),
        ("facematch", ["CONFIG", "SET", "appendonly", "no"]),
        ("index", ["SET", "fm:x", "1"]),
        ("index", ["XADD", "fm:x", "*", "a", "b"]),
        ("functions", ["GET", "fm:{default}:meta"]),
        ("functions", ["FUNCTION", "FLUSH"]),
        ("backup", ["GET", "fm:{default}:meta"]),
    ):
        with (
            connect(secured.redis.as_(user, secured.files)) as client,
            pytest.raises(redis.exceptions.NoPermissionError),
        ):
            client.execute_command(*command)
